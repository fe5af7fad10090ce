import { restoreArchive } from '$lib/api/archives';
import { type Plan } from '$lib/api/client';
import { restorePlan } from '$lib/api/plans';
import { go } from '$lib/router.svelte';
import { who } from '$lib/session.svelte';
import { undo as words } from '$lib/strings/removed';
import { attempt, toast } from '$lib/toast.svelte';

/** Whether somebody of this role may undo this plan: one by one needs less than many at once. */
export function undoable(plan: Plan): boolean {
  const kept = plan.items.filter((i) => i.result === 'removed' && i.archive_id);
  return kept.length === 1 ? who.can('operator') : kept.length > 1 && who.can('admin');
}

/** Brings back what a plan removed. What is in the way of some is settled under Removed. */
export async function undo(plan: Plan, ondone: () => void): Promise<void> {
  const kept = plan.items.filter((i) => i.result === 'removed' && i.archive_id);
  await attempt(words.failed, async () => {
    const back = kept.length === 1 ? await one(kept[0]!.archive_id!) : await many(plan.id);
    if (back === kept.length) toast({ tone: 'ok', title: words.done(back) });
    else {
      toast({ tone: 'warn', title: words.some(back, kept.length), body: words.someBody });
      go('/stale?view=removed');
    }
  });
  ondone();
}

async function one(archive: string): Promise<number> {
  const { instance } = await restoreArchive(archive, {});
  return instance ? 1 : 0;
}

async function many(plan: string): Promise<number> {
  const { results } = await restorePlan(plan, {});
  return results.filter((r) => r.result === 'restored').length;
}
