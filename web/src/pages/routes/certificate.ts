import type { Certificate } from '$lib/api/certificates';
import { ms } from '$lib/format';
import { certificates as words } from '$lib/strings/certificates';

/** How a certificate stands, in a word. */
export function stateOf(c: Certificate): { word: string; tone: 'ok' | 'warn' | 'bad' | 'plain' } {
  if (c.busy) return { word: words.busy, tone: 'plain' };
  const word = words.states[c.state] ?? c.state;
  if (c.state === 'valid') return c.trouble ? { word: words.notRenewed, tone: 'warn' } : { word, tone: 'ok' };
  if (c.state === 'pending') return { word, tone: 'plain' };
  return { word, tone: c.state === 'expiring' ? 'warn' : 'bad' };
}

/** How much of its time is left, in percent; null: there is none. */
export function leftOf(c: Certificate, now = Date.now()): number | null {
  if (!c.not_before || !c.not_after) return null;
  const from = ms(c.not_before);
  const to = ms(c.not_after);
  return Math.round(Math.min(1, Math.max(0, (to - now) / (to - from))) * 100);
}
