/** A header, or somebody who may sign in. Of one that is kept there is a secret value that was never answered: left empty, it stays. */
export type Row = { name: string; value: string; kept: boolean };

/** What is sent of rows: all but those that nobody filled in. */
export const sentOf = (rows: Row[]) => rows.filter((r) => r.name.trim() || r.value || r.kept);

export const headerRows = (list: { name: string; value?: string; secret?: boolean }[] = []): Row[] =>
  list.map((h) => ({ name: h.name, value: h.value ?? '', kept: h.secret ?? false }));

export const headersOf = (rows: Row[]) =>
  sentOf(rows).map((r) => {
    const name = r.name.trim();
    if (r.value) return { name, value: r.value };
    return r.kept ? { name, secret: true } : { name };
  });

export const peopleRows = (names: string[] = []): Row[] => names.map((name) => ({ name, value: '', kept: true }));

export const peopleOf = (rows: Row[]) => sentOf(rows).map((r) => ({ user: r.name.trim(), ...(r.value ? { password: r.value } : {}) }));
