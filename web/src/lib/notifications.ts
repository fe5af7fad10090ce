import type { Channel, NotifyRule } from './api/notifications';
import { notifications as words } from './strings/notifications';

export type State = 'off' | 'failing' | 'refused' | 'lost' | 'ok' | 'untried';

/** How a channel does. */
export function stateOf(c: Channel): State {
  if (!c.enabled) return 'off';
  if (c.failing_since) return 'failing';
  const tested = c.last_test ? Date.parse(c.last_test.at) : 0;
  const sent = c.last_sent_at ? Date.parse(c.last_sent_at) : 0;
  if (c.last_test && !c.last_test.ok && tested > sent) return 'refused';
  if (c.dead) return 'lost';
  return tested || sent ? 'ok' : 'untried';
}

/** What a rule wants, in words. */
export function wantsOf(r: NotifyRule): string {
  const parts = [
    r.severities.map((s) => words.severities[s]).join(', '),
    r.kinds.join(', '),
    r.sources.length ? words.from(r.sources) : '',
    r.projects.length ? words.of(r.projects.map((p) => p.name || words.gone)) : '',
  ].filter(Boolean);
  return parts.length ? parts.join('; ') : words.everything;
}

/** When a rule has things told, in words. */
export function whenOf(r: NotifyRule): string {
  const told = r.gather_minutes ? words.gathered(r.gather_minutes, r.gather_errors) : words.atOnce;
  return r.quiet ? `${told}; ${words.quietFrom(r.quiet.from, r.quiet.to, r.quiet.zone ?? 'UTC', r.quiet.hold_errors ?? false)}` : told;
}

/** The parts of a list that somebody typed, with commas or blanks between them. */
export const listed = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);
