import { pinInstance, snoozeInstance, unpinInstance, unsnoozeInstance } from './api/actions';

export type Kept = { id: string; protection?: { kind: string } | null };

/** Until when: '' for ever, a span such as 7d, or a day of the calendar. */
export function keep(id: string, until: string, reason: string): Promise<unknown> {
  if (until === '') return pinInstance(id, reason);
  if (/^\d+d$/.test(until)) return snoozeInstance(id, { for: until, reason });
  return snoozeInstance(id, { until: endOf(until), reason });
}

/** The last moment of a day of the calendar, where the browser is. */
export const endOf = (day: string) => new Date(`${day}T23:59:59`).toISOString();

/** Whether a person can end what keeps it; a rollback or a label ends elsewhere. */
export const releasable = (k: Kept) => k.protection?.kind === 'pinned' || k.protection?.kind === 'snoozed';

export const release = (k: Kept): Promise<unknown> => (k.protection?.kind === 'snoozed' ? unsnoozeInstance(k.id) : unpinInstance(k.id));
