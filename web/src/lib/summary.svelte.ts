import { getOverview, listScans, type Scan } from './api/client';
import { Resource } from './live/resource.svelte';
import { who } from './session.svelte';

const bounds = [7, 14, 30, 90]; // days
const colors = ['var(--fg-3)', 'var(--heat-1)', 'var(--heat-2)', 'var(--heat-3)', 'var(--heat-4)'];

/** The colour of an age in days: the warmer, the longer ago. */
export const heat = (days: number) => colors[bounds.filter((b) => days >= b).length]!;

/** What is stale and what needs somebody, in figures. */
export const summary = new Resource(getOverview, {
  topics: ['stale', 'archives', 'deploys', 'hosts', 'leftovers', 'plans'],
  every: 60_000,
});

/** How many are stale and not kept. */
export const openStale = () => (summary.data ? summary.data.stale - summary.data.kept : 0);

type ScanList = Awaited<ReturnType<typeof listScans>>;

/** The last scans and when the next is due. A scan that finds nothing new makes no event, so it is asked now and then. */
export const scans = new Resource(async (): Promise<ScanList> => (who.wide ? listScans({ limit: 50 }) : { items: [] }), {
  topics: ['scans', 'stale'],
  every: 30_000,
});

/** The newest scan of each host. */
export function lastScans(list: Scan[]): Scan[] {
  const seen = new Map<string, Scan>();
  for (const s of list) if (!seen.has(s.host_id)) seen.set(s.host_id, s);
  return [...seen.values()];
}
