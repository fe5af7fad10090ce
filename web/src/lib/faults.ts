import { errorOf } from './api/client';

/** What is wrong with fields of a form, by their names, and what belongs to none of them. */
export type Faults = { of: Record<string, string>; rest: string };
export const noFaults: Faults = { of: {}, rest: '' };

/** Puts what a server said beside the fields that a form shows. A fault in a part of a field (rules[1].group) is one of that field, unless
 * the form shows the part by itself; what the form does not show is said above it, so that nothing is lost. */
export function faultsOf(err: unknown, ...shown: string[]): Faults {
  const told = errorOf(err);
  const of: Record<string, string> = {};
  const rest: string[] = [];
  for (const f of told.fields) {
    const place = f.location.replace(/^(body|query|path)\./, '');
    const field = [place, place.split(/[[.]/, 1)[0]!].find((name) => shown.includes(name));
    if (field) of[field] = [of[field], f.message].filter(Boolean).join('; ');
    else rest.push(`${place}: ${f.message}`);
  }
  if (told.fields.length && !rest.length) return { of, rest: '' };
  return { of, rest: [told.message, ...rest, told.hint].filter(Boolean).join('. ') };
}
