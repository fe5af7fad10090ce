import { styled, type Span } from './ansi';

/** A line of a log, or what happened between two of them (a note). */
export type Line = { n: number; at: string; stream: 'stdout' | 'stderr' | 'note'; text: string; spans: Span[]; cut: number };

/** How much a page holds: lines, and signs in them. */
export const most = { lines: 100_000, signs: 16_000_000 };

/** Lines as they come, numbered; the oldest go when there are too many. */
export class Book {
  #n = 0;
  #signs = 0;

  line(raw: { stream: string; time: string | null; text: string; cut?: number }): Line {
    const { text, spans } = styled(raw.text);
    return { n: ++this.#n, at: raw.time ?? '', stream: raw.stream === 'stderr' ? 'stderr' : 'stdout', text, spans, cut: raw.cut ?? 0 };
  }
  note(text: string): Line {
    return { n: ++this.#n, at: '', stream: 'note', text, spans: [], cut: 0 };
  }
  /** The lines with more at their end, without what no longer fits. */
  kept(lines: Line[], more: Line[]): Line[] {
    const all = lines.concat(more);
    for (const l of more) this.#signs += l.text.length;
    let from = 0;
    while (all.length - from > most.lines || (this.#signs > most.signs && from < all.length - 1)) this.#signs -= all[from++]!.text.length;
    return from ? all.slice(from) : all;
  }
}

export type Find = { text: string; regex: boolean; exact: boolean };

/** What is looked for, or null where nothing is, or where it is no expression. */
export function finder({ text, regex, exact }: Find): RegExp | null {
  if (!text) return null;
  try {
    return new RegExp(regex ? text : text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), exact ? 'g' : 'gi');
  } catch {
    return null;
  }
}

const longest = 10_000; // signs of a line that are looked through
const often = 100; // hits in one line

/** Where a line holds it. */
export function hits(text: string, find: RegExp): [number, number][] {
  const found: [number, number][] = [];
  find.lastIndex = 0;
  for (const m of text.slice(0, longest).matchAll(find)) {
    if (m[0]) found.push([m.index, m.index + m[0].length]);
    if (found.length === often) break;
  }
  return found;
}

/** The indexes of the lines that hold it. */
export const holding = (lines: Line[], find: RegExp): number[] =>
  lines.flatMap((l, i) => {
    find.lastIndex = 0;
    return l.stream !== 'note' && find.test(l.text.slice(0, longest)) ? [i] : [];
  });

/** In which row each line begins when lines are broken after so many signs; the last is the number of rows. */
export function starts(lines: Line[], columns: number): Uint32Array {
  const at = new Uint32Array(lines.length + 1);
  for (let i = 0; i < lines.length; i++) at[i + 1] = at[i]! + Math.max(1, Math.ceil(lines[i]!.text.length / columns));
  return at;
}

/** The line that a row belongs to. */
export function lineOf(at: Uint32Array, row: number): number {
  let [low, high] = [0, at.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (at[middle]! <= row) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

export type Piece = { text: string; style: string; hit: boolean };

/** The pieces of a part of a line, each in one style and either found or not. */
export function pieces(l: Line, from: number, to: number, found: [number, number][]): Piece[] {
  if (!l.spans.length && !found.length) return [{ text: l.text.slice(from, to), style: '', hit: false }];
  const cuts = new Set([from, to]);
  for (const [a, b] of [...l.spans.map((s) => [s.from, s.to]), ...found] as [number, number][])
    for (const x of [a, b]) if (x > from && x < to) cuts.add(x);
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(0, -1).map((a, i) => ({
    text: l.text.slice(a, sorted[i + 1]),
    style: l.spans.find((s) => s.from <= a && a < s.to)?.style ?? '',
    hit: found.some(([x, y]) => x <= a && a < y),
  }));
}
