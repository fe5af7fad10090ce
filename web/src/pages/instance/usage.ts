import type { Usage, UsageHistory } from '$lib/api/client';

/** What the instance used at a moment; rates are bytes a second. */
export type Sample = { at: number; cpu: number; memory: number; limit: number; rx: number; tx: number };

type Told = Pick<Usage, 'cpu_percent' | 'memory_bytes' | 'memory_limit' | 'rx_rate' | 'tx_rate'>;
const sample = (time: string, u: Told): Sample => ({
  at: Date.parse(time),
  cpu: u.cpu_percent,
  memory: u.memory_bytes,
  limit: u.memory_limit,
  rx: u.rx_rate,
  tx: u.tx_rate,
});

const most = 200; // some minutes, at a sample each two seconds

/** Adds a sample at the end and lets old ones go. One that is not newer, or of a process that does not run, adds nothing. */
export function add(samples: Sample[], u: Usage): Sample[] {
  if (!u.time) return samples;
  const s = sample(u.time, u);
  return s.at > (samples.at(-1)?.at ?? 0) ? [...samples, s].slice(-most) : samples;
}

/** The last hour, up to what was seen live since it was asked. */
export function hour(history: UsageHistory | null, live: Sample[]): Sample[] {
  const kept = (history?.items ?? []).map((i) => sample(i.time, i));
  const last = kept.at(-1)?.at ?? 0;
  return [...kept, ...live.filter((s) => s.at > last)];
}

/** A little more than the largest value, so that a line never touches the top: 1, 2, 5 times a power of ten. */
export function ceiling(values: number[], least: number): number {
  const top = Math.max(least, ...values) * 1.1;
  const ten = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= top)!;
}

/** The same for bytes: a power of two. */
export const ceilingBytes = (values: number[], least: number): number => 2 ** Math.ceil(Math.log2(Math.max(least, ...values) * 1.05));

/**
 * Line and area through samples over `span` milliseconds up to the newest one, in a box of width and height. Where nothing
 * was measured for longer than `gap` both are broken.
 */
export function paths(
  points: { at: number; value: number }[],
  top: number,
  span: number,
  width: number,
  height: number,
  gap = Infinity,
): [string, string] {
  const last = points.at(-1);
  if (!last) return ['', ''];
  const x = (at: number) => Math.round((width - ((last.at - at) / span) * width) * 10) / 10;
  const y = (v: number) => Math.round((height - (Math.min(v, top) / top) * height) * 10) / 10;
  const parts: { at: number; value: number }[][] = [];
  let before = -Infinity;
  for (const p of points) {
    if (last.at - p.at > span) continue;
    if (p.at - before > gap) parts.push([]);
    if (!parts.length) parts.push([]);
    parts.at(-1)!.push(p);
    before = p.at;
  }
  const lines = parts.map((part) => 'M' + part.map((p) => `${x(p.at)} ${y(p.value)}`).join('L'));
  return [lines.join(''), lines.map((line, i) => `${line}V${height}H${x(parts[i]![0]!.at)}Z`).join('')];
}
