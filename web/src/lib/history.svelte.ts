import { type HistoryDay } from './api/client';
import { getHistory } from './api/events';
import { Resource } from './live/resource.svelte';
import { who } from './session.svelte';

const days = 30;

/** What was stale and what came back on each of the last thirty days, from midnight to midnight where the browser is. */
export const history = new Resource(
  async () => {
    if (!who.wide) return [];
    const from = new Date();
    from.setHours(0, 0, 0, 0);
    from.setDate(from.getDate() - days + 1);
    return (await getHistory(from.toISOString(), days)).items;
  },
  { topics: ['stale', 'archives', 'plans'], every: 300_000 },
);

/** The bytes that came back on a day, of removed containers and of images. */
export const cameBack = (d: HistoryDay) => d.bytes + d.image_bytes;
