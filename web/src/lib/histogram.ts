import type { Event } from './api/client';
import { ms } from './format';

/** Counts per slice of time, each as [info, warn, error], oldest first. */
export function histogram(events: Pick<Event, 'time' | 'severity'>[], from: number, slice: number, slices: number): number[][] {
  const out = Array.from({ length: slices }, () => [0, 0, 0]);
  for (const e of events) {
    const i = Math.floor((ms(e.time) - from) / slice);
    const bar = out[i];
    if (bar) bar[{ info: 0, warn: 1, error: 2 }[e.severity]]!++;
  }
  return out;
}
