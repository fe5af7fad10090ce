import type { Deploy, DeployLine } from './api/client';
import { ms } from './format';

type State = Deploy['state'];

/** The states that a deploy goes through when nothing is in its way. */
export const walk: State[] = ['queued', 'pulling', 'starting', 'checking', 'switching', 'draining', 'done'];

export const ended = (s: State) => s === 'done' || s === 'failed' || s === 'cancelled' || s === 'superseded';

/** It can be ended before its new instance serves. */
export const cancellable = (s: State) => ['queued', 'pulling', 'starting', 'checking'].includes(s);

export type Step = { state: State; phase: 'done' | 'now' | 'bad' | 'waiting' | 'never'; from: number | null; to: number | null };

/** The steps of a deploy with their times, by the lines of its log; what it left out or did not come to is `never`. */
export function stepsOf(d: Deploy, lines: DeployLine[]): Step[] {
  const begun = new Map<State, number>([['queued', ms(d.created_at)]]);
  for (const l of lines) if (!begun.has(l.state)) begun.set(l.state, ms(l.time));
  const over = ended(d.state);
  const last = walk.findLastIndex((s) => begun.has(s));
  const at = over ? last : Math.max(walk.indexOf(d.state), last);
  const endedAt = d.ended_at ? ms(d.ended_at) : null;
  return walk.map((state, n) => {
    const from = begun.get(state) ?? null;
    const next = walk.slice(n + 1).find((s) => begun.has(s));
    const to = from === null || state === 'done' ? null : next ? begun.get(next)! : endedAt;
    return { state, from, to, phase: phaseOf(d, state, n, at, from !== null) };
  });
}

function phaseOf(d: Deploy, state: State, n: number, at: number, seen: boolean): Step['phase'] {
  if (d.state === 'done') return seen || state === 'done' ? 'done' : 'never';
  if (ended(d.state)) return n > at || !seen ? 'never' : n < at ? 'done' : d.state === 'failed' ? 'bad' : 'never';
  if (n === at) return 'now';
  return n < at ? (seen ? 'done' : 'never') : 'waiting';
}

export type Pull = { done: number; total: number };

/** How far the pull is: the newest that was told. */
export function pullOf(lines: DeployLine[], told: Pull | null): Pull | null {
  const line = lines.findLast((l) => l.total_bytes);
  const kept = line ? { done: line.done_bytes ?? 0, total: line.total_bytes! } : null;
  if (!told?.total) return kept;
  return kept && kept.done > told.done && kept.total >= told.total ? kept : told;
}

/** Lines that came after those that are there; what came twice is taken once. */
export function appended(lines: DeployLine[], more: DeployLine[]): DeployLine[] {
  const last = lines.at(-1)?.line ?? 0;
  const fresh = more.filter((l) => l.line > last);
  return fresh.length ? [...lines, ...fresh] : lines;
}
