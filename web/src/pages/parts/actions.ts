import { restartInstance, startInstance, stopInstance } from '$lib/api/actions';
import { instance as words } from '$lib/strings/instance';
import { attempt, toast } from '$lib/toast.svelte';

type Named = { id: string; name: string };

const acts = { start: startInstance, stop: stopInstance, restart: restartInstance };
export type Act = keyof typeof acts;

/** Does one thing to an instance and says what came of it. */
export function act(what: Act, i: Named): Promise<boolean> {
  return attempt(words.failed[what](i.name), async () => {
    await acts[what](i.id);
    toast({ tone: 'ok', title: words.done[what](i.name) });
  });
}
