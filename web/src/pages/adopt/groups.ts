import type { Foreign } from '$lib/api/foreign';

/** What belongs together: a compose project on a host, or what has none on that host. */
export type Group = { key: string; host: string; hostId: string; project: string; items: Foreign[] };

/** Groups in the order of the list, which is by host and compose project. */
export function groups(items: Foreign[]): Group[] {
  const all: Group[] = [];
  for (const f of items) {
    const project = f.compose_project ?? '';
    const last = all.at(-1);
    if (last && last.hostId === f.host_id && last.project === project) last.items.push(f);
    else all.push({ key: `${f.host_id} ${project}`, host: f.host, hostId: f.host_id, project, items: [f] });
  }
  return all;
}

/** Whom "adopt all" would take. */
export const adoptable = (g: Group) => g.items.filter((f) => f.adoptable);
