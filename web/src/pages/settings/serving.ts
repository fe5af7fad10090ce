import type { ApiError, Settings, SettingsChange } from '$lib/api/client';

/** What is said of registries and routes, lists one a line. */
export type Serving = { poll_interval: string; trusted_proxies: string; refused_targets: string };

const split = (text: string) => text.split(/[\s,]+/).filter(Boolean);

export const servingOf = (s: Settings): Serving => ({
  poll_interval: s.poll_interval,
  trusted_proxies: split(s.trusted_proxies).join('\n'),
  refused_targets: split(s.refused_targets).join('\n'),
});

/** What differs, as it is sent. */
export function servingChange(s: Settings, f: Serving): SettingsChange {
  const now = servingOf(s);
  const out: SettingsChange = {};
  if (f.poll_interval.trim() !== now.poll_interval) out.poll_interval = f.poll_interval.trim();
  for (const list of ['trusted_proxies', 'refused_targets'] as const) {
    const text = split(f[list]).join(', ');
    if (text !== split(now[list]).join(', ')) out[list] = text;
  }
  return out;
}

/** Mistakes by their fields, and what is wrong beside. */
export function servingMistakes(err: ApiError): { of: Partial<Serving>; rest: string } {
  const of: Partial<Serving> = {};
  let other = !err.fields.length;
  for (const f of err.fields) {
    const name = f.location.replace(/^body\./, '') as keyof Serving;
    if (['poll_interval', 'trusted_proxies', 'refused_targets'].includes(name)) of[name] = [of[name], f.message].filter(Boolean).join('; ');
    else other = true;
  }
  return { of, rest: other ? err.words : '' };
}
