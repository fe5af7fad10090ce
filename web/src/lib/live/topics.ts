/** What a list on the screen is about; an event makes some of them out of date. */
export type Topic =
  | 'archives'
  | 'backups'
  | 'deploys'
  | 'hosts'
  | 'instances'
  | 'jobs'
  | 'leftovers'
  | 'notifications'
  | 'plans'
  | 'policies'
  | 'projects'
  | 'reclaim'
  | 'registries'
  | 'routes'
  | 'scans'
  | 'settings'
  | 'stages'
  | 'stale'
  | 'tokens'
  | 'users';

const byFamily: Record<string, Topic[]> = {
  archive: ['archives', 'instances', 'stale'],
  backup: ['backups'],
  channel: ['notifications'],
  cleanup: ['archives', 'instances', 'plans', 'stale'],
  deploy: ['deploys', 'instances', 'stale'],
  host: ['hosts', 'stale'],
  instance: ['instances', 'stale'],
  job: ['jobs'],
  leftover: ['leftovers'],
  message: ['notifications'],
  policy: ['policies', 'settings', 'stale'],
  poll: ['registries', 'stages'],
  project: ['projects', 'registries'],
  proxy: ['routes'],
  reclaim: ['reclaim'],
  registry: ['registries'],
  route: ['routes'],
  routing: ['routes'],
  rule: ['notifications'],
  scan: ['hosts', 'scans', 'stale'],
  settings: ['hosts', 'scans', 'settings', 'stale'],
  stage: ['registries', 'stages', 'stale'],
  target: ['routes'],
  system: ['hosts', 'scans'],
  session: ['users'],
  token: ['tokens'],
  user: ['users'],
  volume: ['reclaim'],
};

/** The lists that an event of this kind makes out of date. Chatter about progress changes none. */
export function topicsOf(kind: string): Topic[] {
  if (kind.endsWith('.progress')) return [];
  return byFamily[kind.split('.', 1)[0]!] ?? [];
}
