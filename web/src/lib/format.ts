const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1288490188 is "1.20 GiB": three digits that count, binary units, as everywhere in docker-watcher. */
export function bytes(n: number): string {
  if (!Number.isFinite(n) || n <= 0) return '0 B';
  let [v, i] = [n, 0];
  for (; v >= (i ? 1023.5 : 1024) && i < units.length - 1; i++) v /= 1024;
  const digits = i === 0 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
  return `${v.toFixed(digits)} ${units[i]}`;
}

type Step = { below: number; unit: Intl.RelativeTimeFormatUnit; letter: string; seconds: number };
const steps: Step[] = [
  { below: 60, unit: 'second', letter: 's', seconds: 1 },
  { below: 3600, unit: 'minute', letter: 'm', seconds: 60 },
  { below: 86400, unit: 'hour', letter: 'h', seconds: 3600 },
  { below: 86400 * 14, unit: 'day', letter: 'd', seconds: 86400 },
  { below: 86400 * 60, unit: 'week', letter: 'w', seconds: 604800 },
  { below: 86400 * 365, unit: 'month', letter: 'mo', seconds: 2629800 },
  { below: Infinity, unit: 'year', letter: 'y', seconds: 31557600 },
];
const stepOf = (seconds: number) => steps.find((s) => seconds < s.below)!;
const rtf = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** Milliseconds of a time of the API. */
export const ms = (iso: string) => Date.parse(iso);

/** "3 weeks ago", "in 12 minutes". */
export function relative(at: number, now: number): string {
  const s = Math.round((at - now) / 1000);
  if (Math.abs(s) < 5) return 'just now';
  const step = stepOf(Math.abs(s));
  return rtf.format(Math.trunc(s / step.seconds), step.unit);
}

/** "3w", "12m": how long, in the least room. */
export function short(duration: number): string {
  const s = Math.abs(duration) / 1000;
  const step = stepOf(s);
  return `${Math.floor(s / step.seconds)}${step.letter}`;
}

/** "2 h 5 min", "6 d 3 h": how long, in two units. */
export function span(duration: number): string {
  let rest = Math.max(0, Math.round(duration / 1000));
  const parts: string[] = [];
  for (const [size, letter] of [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0 && parts.length < 2) parts.push(`${n} ${letter}`);
    else if (parts.length > 0) break;
  }
  return parts.join(' ') || '0 s';
}

const clock24 = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const exactFormat = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric',
  month: 'short',
  day: '2-digit',
  ...clock24,
  timeZoneName: 'short',
});
const clockFormat = new Intl.DateTimeFormat('en-GB', clock24);
const dayFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const dayYearFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const shortDayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** The moment to the second, with its zone: the browser's. */
export const exact = (at: number) => exactFormat.format(at);
export const hms = (at: number) => clockFormat.format(at);
export const day = (at: number) => (new Date(at).getFullYear() === new Date().getFullYear() ? dayFormat : dayYearFormat).format(at);
export const shortDay = (at: number) => shortDayFormat.format(at);

export const count = (n: number) => n.toLocaleString('en');
export const plural = (n: number, one: string, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;
export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** never_started is "never started". */
export const spaced = (word: string) => word.replaceAll('_', ' ');

/** A volume without a name of its own is called by 64 signs; twelve are enough for people. */
export const volumeName = (name: string) => (/^[0-9a-f]{64}$/.test(name) ? name.slice(0, 12) : name);

/** The first twelve signs of a container or image id, without the name of its hash. */
export const shortId = (id: string) => id.replace(/^sha256:/, '').slice(0, 12);

/** What the server says within a sentence, as the begin of one. */
export const upper = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
