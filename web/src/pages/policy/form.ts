import type { Policy, PolicyRequest } from '$lib/api/client';

export type Day = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun';
export const week: Day[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** A policy as a form shows it; an empty field is inherited. */
export type Form = {
  staleAfter: string;
  action: string;
  grace: string;
  window: string; // '' inherited, 'always', 'own'
  days: Day[];
  from: string;
  until: string;
  zone: string;
  keepLast: string;
  maxPerRun: string;
  maxShare: string;
};

const text = (n: number | null | undefined) => (n === null || n === undefined ? '' : String(n));
const always = (w: NonNullable<Policy['window']>) => !w.from && !w.until && (!w.days?.length || w.days.length === week.length);

export function formOf(p: Policy, zone: string): Form {
  const w = p.window;
  return {
    staleAfter: p.stale_after ?? '',
    action: p.action ?? '',
    grace: p.cleanup_after ?? '',
    window: !w ? '' : always(w) ? 'always' : 'own',
    days: w?.days?.length ? [...w.days] : [...week],
    from: w?.from ?? '',
    until: w?.until ?? '',
    zone: w?.time_zone ?? zone,
    keepLast: text(p.keep_last),
    maxPerRun: text(p.max_per_run),
    maxShare: text(p.max_share_percent),
  };
}

export function requestOf(f: Form): PolicyRequest {
  const number = (t: string) => (t.trim() === '' ? undefined : Number(t));
  const word = (t: string) => t.trim() || undefined;
  return {
    stale_after: word(f.staleAfter),
    action: (word(f.action) as PolicyRequest['action']) ?? undefined,
    cleanup_after: word(f.grace),
    window: f.window === '' ? undefined : f.window === 'always' ? {} : windowOf(f),
    keep_last: number(f.keepLast),
    max_per_run: number(f.maxPerRun),
    max_share_percent: number(f.maxShare),
  };
}

function windowOf(f: Form): NonNullable<PolicyRequest['window']> {
  return {
    ...(f.days.length && f.days.length < week.length ? { days: week.filter((d) => f.days.includes(d)) } : {}),
    ...(f.from ? { from: f.from } : {}),
    ...(f.until ? { until: f.until } : {}),
    ...(f.zone ? { time_zone: f.zone } : {}),
  };
}
