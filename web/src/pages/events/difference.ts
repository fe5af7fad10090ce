/** One field of what a change made another. Of a secret neither value is told. */
export type FieldChange = { field: string; secret: boolean; from: unknown; to: unknown };

type Data = Record<string, unknown>;

const isData = (v: unknown): v is Data => typeof v === 'object' && v !== null && !Array.isArray(v);
const isPair = (v: unknown): v is { from: unknown; to: unknown } => isData(v) && 'from' in v && 'to' in v && Object.keys(v).length === 2;

/** What an event says was changed: before and after, by field. Events of former versions say it in data itself. */
export function changesOf(data: Data | undefined): FieldChange[] {
  const told = isData(data?.difference) ? data.difference : Object.fromEntries(Object.entries(data ?? {}).filter(([, v]) => isPair(v)));
  return Object.entries(told)
    .map(([field, v]) =>
      isPair(v) ? { field, secret: false, from: v.from, to: v.to } : { field, secret: true, from: undefined, to: undefined },
    )
    .sort((a, b) => a.field.localeCompare(b.field, 'en'));
}

/** The other details of an event. */
export function restOf(data: Data | undefined): [string, unknown][] {
  return Object.entries(data ?? {}).filter(([name, v]) => name !== 'difference' && !isPair(v));
}
