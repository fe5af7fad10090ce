import type { Route } from '$lib/api/client';

/** How a route does, in one word: as it is served, then as its targets are. */
export function stateOf(r: Route): { word: string; tone: 'ok' | 'warn' | 'bad' | 'plain'; up: number; all: number } {
  const targets = r.health?.targets ?? [];
  const up = targets.filter((t) => t.state === 'up').length;
  const all = targets.length;
  if (r.state === 'disabled') return { word: 'disabled', tone: 'plain', up, all };
  if (r.state !== 'served') return { word: r.state, tone: r.state === 'not_served' ? 'bad' : 'warn', up, all };
  if (r.maintenance) return { word: 'maintenance', tone: 'warn', up, all };
  const unasked = targets.filter((t) => t.state === 'not_asked').length;
  if (unasked && unasked === all) return { word: 'not_asked', tone: 'plain', up, all };
  if (up + unasked === all) return { word: 'up', tone: 'ok', up, all };
  if (up > 0) return { word: 'some', tone: 'warn', up, all };
  return { word: targets.find((t) => t.state !== 'not_asked')!.state, tone: 'bad', up, all };
}

/** What has become of the instance of a route, where it is nothing good: null for a standalone proxy, and for one that runs. */
export function fateOf(r: Route): 'gone' | 'missing' | 'stale' | 'stopped' | null {
  if (!r.stage_id) return null;
  if (!r.instance_id) return 'gone';
  if (r.instance_status === 'missing') return 'missing';
  if (r.stale_since) return 'stale';
  return ['stopped', 'paused', 'dead', 'failed'].includes(r.instance_status ?? '') ? 'stopped' : null;
}

/** Whether a route leads to nothing, or to what nobody will bring back by itself. */
export const isLeftover = (r: Route) => ['gone', 'missing', 'stale'].includes(fateOf(r) ?? '');

/** Whether a text is in a domain, a target, a name or the note of a route. */
export function holds(r: Route, text: string): boolean {
  const has = text.trim().toLowerCase();
  return [...r.domains, ...(r.targets ?? []), r.path_prefix, r.project, r.stage, r.instance, r.notes, r.owner].some((s) =>
    s?.toLowerCase().includes(has),
  );
}

export const nameOf = (r: Route) => (r.domains[0] ?? r.id) + (r.path_prefix === '/' ? '' : r.path_prefix);
