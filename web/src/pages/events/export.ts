import { type Event, type EventQuery } from '$lib/api/client';
import { listEvents } from '$lib/api/events';
import { save as offer } from '$lib/save';
import { events as words } from '$lib/strings/events';
import { attempt, toast } from '$lib/toast.svelte';

const most = 20_000;

/** Saves the events that match as a file, one JSON object a line. */
export async function save(query: EventQuery): Promise<void> {
  await attempt(words.exportFailed, async () => {
    const all: Event[] = [];
    let cursor: string | undefined;
    do {
      const page = await listEvents({ ...query, limit: 1000, cursor });
      all.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && all.length < most);
    if (cursor) toast({ tone: 'warn', title: words.exportCut(all.length) });
    const name = `events-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.jsonl`;
    offer(name, all.map((e) => JSON.stringify(e)).join('\n') + '\n', 'application/jsonl');
  });
}
