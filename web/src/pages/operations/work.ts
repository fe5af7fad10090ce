import type { HostWork, Job } from '$lib/api/operations';
import { span } from '$lib/format';
import { operations } from '$lib/strings/operations';

const words = operations.jobs;

/** The shape of each state; what is late or failed is a square, what could not be judged a triangle. */
export const tones = { well: 'ok', waiting: 'off', running: 'deploying', failed: 'bad', blind: 'warn', overdue: 'bad' } as const;
export const chips = { well: 'ok', waiting: 'plain', running: 'info', failed: 'bad', blind: 'warn', overdue: 'bad' } as const;

const wrong = (w: Job | HostWork) => ['failed', 'blind', 'overdue'].includes(w.state);

/** How many pieces of work need somebody: jobs, and what they do on each host. */
export const troubles = (jobs: Job[]) => jobs.reduce((n, j) => n + Number(wrong(j)) + j.hosts.filter(wrong).length, 0);

const places = Object.keys(words.names);
const placeOf = (j: Job) => (places.includes(j.name) ? places.indexOf(j.name) : places.length);

/** The jobs in the order in which their names stand in the texts, what people ask about first; one that is new there comes last. */
export const inOrder = (jobs: Job[]) => jobs.toSorted((a, b) => placeOf(a) - placeOf(b));

/** What is wrong with a piece of work; empty when it is well. */
export function reason(w: Job | HostWork): string {
  return w.last_error || (w.state === 'overdue' ? words.overdue : '');
}

/** "@every 1h30m0s" is "every 1 h 30 min", "17 3 * * *" is "daily at 03:17 UTC". */
export function scheduleWords(spec: string): string {
  const every = /^@every (?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?$/.exec(spec);
  if (every) {
    const [h, m, s] = every.slice(1).map((n) => Number(n ?? 0));
    return words.every(span(((h! * 60 + m!) * 60 + s!) * 1000));
  }
  const daily = /^(\d{1,2}) (\d{1,2}) \* \* \*$/.exec(spec);
  if (daily) return words.daily(`${daily[2]!.padStart(2, '0')}:${daily[1]!.padStart(2, '0')}`);
  return words.cron(spec);
}

/** How long a run took; empty when that is not known. */
export function tookWords(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '';
  return words.took(ms) || span(ms);
}
