import type { Instance, Stage } from './api/client';

/** It runs, or it does so again at once. */
export const live = (i: Instance) => i.status === 'running' || i.status === 'restarting' || i.status === 'paused';
const newest = (a: Instance, b: Instance) => b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id);
const byHand = (i: Instance) => ['pinned', 'snoozed', 'keep'].includes(i.protection?.kind ?? '');

/** What runs in a stage, the newest first. */
export const liveIn = (stage: Stage, instances: Instance[]) => instances.filter((i) => i.stage_id === stage.id && live(i)).toSorted(newest);

/** Those that would give way if one of this tag came: the oldest that nobody protects, of a stage whose tags run side by side. */
export function givesWay(stage: Stage, instances: Instance[], tag: string): Instance[] {
  const rest = liveIn(stage, instances).filter((i) => i.image_tag !== tag);
  const over = rest.length + 1 - stage.parallel_max;
  return over <= 0
    ? []
    : rest
        .toReversed()
        .filter((i) => !byHand(i))
        .slice(0, over);
}
