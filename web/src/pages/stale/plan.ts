import type { Event, Plan, PlanItem } from '$lib/api/client';

export type Result = { result: string; detail: string };
export type Results = ReadonlyMap<string, Result>;

/** What a plan itself says of its items so far. */
export function resultsOf(plan: Plan): Results {
  return new Map(plan.items.filter((i) => i.result).map((i) => [i.instance_id, { result: i.result!, detail: i.result_detail ?? '' }]));
}

/** The results after an event; the same ones when it is not about an item of this plan. */
export function withEvent(results: Results, planId: string, e: Event): Results {
  if (e.kind !== 'cleanup.item' && e.kind !== 'cleanup.progress') return results;
  const data = e.data as { plan_id?: string; result?: string; detail?: string; instance_id?: string } | undefined;
  const id = data?.instance_id ?? e.instance_id;
  if (data?.plan_id !== planId || !id || !data.result) return results;
  const before = results.get(id);
  return new Map(results).set(id, { result: data.result, detail: data.detail ?? before?.detail ?? '' });
}

export const gone = (result: string | undefined) => result === 'removed' || result === 'already_gone';
export const worthAgain = (result: string | undefined) => result === 'timeout' || result === 'error' || result === 'in_use';

export type Sum = { removed: number; bytes: number; left: number; done: number; again: string[] };

/** What came of a plan. Bytes are those of what was removed by us. */
export function sumOf(items: PlanItem[], results: Results): Sum {
  const sum: Sum = { removed: 0, bytes: 0, left: 0, done: 0, again: [] };
  for (const i of items) {
    const r = results.get(i.instance_id)?.result;
    if (!r) continue;
    sum.done++;
    if (gone(r)) sum.removed++;
    else sum.left++;
    if (r === 'removed') sum.bytes += i.bytes ?? 0;
    if (worthAgain(r)) sum.again.push(i.instance_id);
  }
  return sum;
}
