import type { Event, Instance } from '$lib/api/client';
import { ms } from '$lib/format';

const dayMs = 86_400_000;

/** A stretch of time in which an instance was alive, was not, or in which nothing is known. */
export type Stretch = { from: number; to: number; state: 'alive' | 'dead' | 'unknown' };

const begins = new Set(['instance.started', 'instance.restarted', 'instance.recovered']);
const ends = new Set(['instance.stopped', 'instance.missing', 'instance.engine_lost', 'instance.removed']);

type Life = Pick<Instance, 'status' | 'created_at' | 'last_alive_at' | 'started_at'>;

/**
 * The life of an instance as its events tell it, oldest first, up to now. Between what is told nothing is made up: where an end
 * is missing, the time is unknown. The end of the last run is what the instance itself says.
 */
export function stretches(i: Life, events: Event[], now: number): Stretch[] {
  const made = ms(i.created_at);
  const turns = events
    .flatMap((e) => turnOf(e) ?? [])
    .filter((t) => t.at >= made)
    .toSorted((a, b) => a.at - b.at);
  if (i.started_at && ms(i.started_at) >= made && !turns.some((t) => t.alive && Math.abs(t.at - ms(i.started_at!)) < 60_000))
    insert(turns, { at: ms(i.started_at), alive: true });
  const runs = i.status === 'running';
  if (!runs && i.last_alive_at && ms(i.last_alive_at) >= (turns.findLast((t) => t.alive)?.at ?? made)) {
    while (turns.length && !turns.at(-1)!.alive) turns.pop();
    if (turns.length) turns.push({ at: ms(i.last_alive_at), alive: false });
  }
  return between(turns, made, now, runs);
}

type Turn = { at: number; alive: boolean };

function turnOf(e: Event): Turn | null {
  const data = (e.data ?? {}) as { status?: string; last_alive_at?: string };
  // The end is when it was last alive, which can lie before the scan that saw it.
  const ended = { at: ms(data.last_alive_at ?? e.time), alive: false };
  if (begins.has(e.kind)) return { at: ms(e.time), alive: true };
  if (ends.has(e.kind)) return ended;
  if (e.kind !== 'instance.status' || !data.status) return null;
  if (data.status === 'running') return { at: ms(e.time), alive: true };
  return data.status === 'stopped' || data.status === 'dead' || data.status === 'missing' ? ended : null;
}

function insert(turns: Turn[], t: Turn) {
  const i = turns.findIndex((x) => x.at > t.at);
  turns.splice(i < 0 ? turns.length : i, 0, t);
}

function between(turns: Turn[], made: number, now: number, runs: boolean): Stretch[] {
  const out: Stretch[] = [];
  const add = (from: number, to: number, state: Stretch['state']) => {
    const last = out.at(-1);
    if (to <= from) return;
    if (last && last.state === state && last.to === from) last.to = to;
    else out.push({ from, to, state });
  };
  let at = made;
  let state: Stretch['state'] = turns[0]?.alive === false ? 'unknown' : turns.length ? 'dead' : runs ? 'alive' : 'unknown';
  for (const t of turns) {
    add(at, t.at, state);
    at = Math.max(at, t.at);
    state = t.alive ? 'alive' : 'dead';
  }
  // What the last turn says and what is seen now must agree, or the time since is unknown.
  if (turns.length && (state === 'alive') !== runs) state = 'unknown';
  add(at, now, state);
  return out;
}

/** How much of the last year it was alive and was not, in milliseconds. */
export function lastYear(list: Stretch[], now: number): { alive: number; dead: number } {
  const sum = (state: Stretch['state']) =>
    list.filter((s) => s.state === state).reduce((n, s) => n + Math.max(0, s.to - Math.max(s.from, now - 365 * dayMs)), 0);
  return { alive: sum('alive'), dead: sum('dead') };
}

/** How much of from..now nobody watched; what overlaps counts once. */
export function unwatched(blind: Blind[], from: number, now: number): number {
  let reached = from;
  let sum = 0;
  for (const b of blind.toSorted((x, y) => x.from - y.from)) {
    const begin = Math.max(b.from, reached);
    const end = Math.min(b.to ?? now, now);
    if (end <= begin) continue;
    sum += end - begin;
    reached = end;
  }
  return sum;
}

/** A stretch of a life with what happened in it, and what of it nobody watched; newest first. */
export type Chapter = Stretch & { entries: Entry[] };
export type Entry = { at: number; event: Event } | { at: number; blind: Blind };
export type Blind = { from: number; to: number | null; reason: string };

/** The life as it is told: each stretch with its events. An event belongs to the stretch that it begins, not to the one that it ends. */
export function chapters(list: Stretch[], events: Event[], blind: Blind[]): Chapter[] {
  if (!list.length) return [];
  const out: Chapter[] = list.map((s) => ({ ...s, entries: [] }));
  const born = list[0]!.from;
  const add = (e: Entry) => (out.findLast((c) => c.from <= e.at) ?? out[0]!).entries.push(e);
  for (const event of events) add({ at: turnOf(event)?.at ?? ms(event.time), event });
  for (const b of blind) if (b.to === null || b.to > born) add({ at: b.from, blind: b });
  for (const c of out) c.entries.sort((a, b) => b.at - a.at);
  return out.toReversed();
}

export type Mark = { at: number; kind: 'deploy' | 'restart' | 'warn' | 'error'; text: string };

/** What stands out in a life. */
export function marks(events: Event[]): Mark[] {
  return events.flatMap((e): Mark[] => {
    const mark = (kind: Mark['kind']) => [{ at: ms(e.time), kind, text: e.message }];
    if (e.severity === 'error') return mark('error');
    if (e.kind === 'instance.restarted') return mark('restart');
    if (e.severity === 'warn') return mark('warn');
    return e.kind === 'deploy.done' ? mark('deploy') : [];
  });
}
