import type { Settings, SettingsChange } from '$lib/api/client';

/** How a tab shows settings, and what its form would change about them. */
export type Shape<F> = { of: (s: Settings) => F; change: (s: Settings, f: F) => SettingsChange };

/**
 * The form after the settings became `now`, which was filled in against `was`: what somebody else changed is shown as it is now,
 * unless the same was typed over here. Else a save would send their field with its old value, and undo their work.
 */
export function carried<F extends object>({ of, change }: Shape<F>, was: Settings, now: Settings, form: F): F {
  const before = of(was);
  const next = of(now);
  for (const k of Object.keys(next) as (keyof F)[]) {
    const mine = Object.keys(change(was, { ...before, [k]: form[k] })).length > 0;
    // A field that nobody changed stays letter for letter, such as with the line that was just begun.
    if (mine || before[k] === next[k]) next[k] = form[k];
  }
  return next;
}

/** The form after a save was answered: what was typed since it was sent stays, all else is as it is now. */
export function settled<F extends object>(sent: F, now: F, form: F): F {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const next = { ...now };
  for (const k of Object.keys(now) as (keyof F)[]) if (!same(form[k], sent[k])) next[k] = form[k];
  return next;
}
