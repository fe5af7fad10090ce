import type { Usage } from '$lib/api/client';

/** What an instance used at a moment, and how fast it sent and received since the moment before. */
export type Sample = { at: number; cpu: number; memory: number; limit: number; pids: number; rx: number | null; tx: number | null };

const most = 100; // five minutes, at a sample each three seconds

/** Adds a sample at the end and lets old ones go. One that is not newer, or of a process that does not run, adds nothing. */
export function add(samples: Sample[], u: Usage, before: Usage | null): Sample[] {
  if (!u.time) return samples;
  const at = Date.parse(u.time);
  if (at <= (samples.at(-1)?.at ?? 0)) return samples;
  const seconds = before?.time ? (at - Date.parse(before.time)) / 1000 : 0;
  // After a restart the counters begin anew.
  const rate = (now: number, then: number | undefined) =>
    seconds > 0 && then !== undefined && now >= then ? (now - then) / seconds : null;
  const sample = {
    at,
    cpu: u.cpu_percent,
    memory: u.memory_bytes,
    limit: u.memory_limit,
    pids: u.pids,
    rx: rate(u.rx_bytes, before?.rx_bytes),
    tx: rate(u.tx_bytes, before?.tx_bytes),
  };
  return [...samples, sample].slice(-most);
}

/** A little more than the largest value, so that a line never touches the top: 1, 2, 5 times a power of ten. */
export function ceiling(values: number[], least: number): number {
  const top = Math.max(least, ...values) * 1.1;
  const ten = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= top)!;
}

/** The same for bytes: a power of two. */
export const ceilingBytes = (values: number[], least: number): number => 2 ** Math.ceil(Math.log2(Math.max(least, ...values) * 1.05));

/** Line and area through samples over `span` milliseconds up to the newest one, in a box of width and height. */
export function paths(points: { at: number; value: number }[], top: number, span: number, width: number, height: number): [string, string] {
  const last = points.at(-1);
  if (!last) return ['', ''];
  const x = (at: number) => Math.round((width - ((last.at - at) / span) * width) * 10) / 10;
  const y = (v: number) => Math.round((height - (Math.min(v, top) / top) * height) * 10) / 10;
  const seen = points.filter((p) => last.at - p.at <= span);
  const line = 'M' + seen.map((p) => `${x(p.at)} ${y(p.value)}`).join('L');
  return [line, `${line}V${height}H${x(seen[0]!.at)}Z`];
}
