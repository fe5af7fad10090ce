/** Which of these is toggled with one: everything since the anchor when a range is meant. */
export function toggled(ids: string[], id: string, anchor: string | null): string[] {
  const from = anchor === null ? -1 : ids.indexOf(anchor);
  const to = ids.indexOf(id);
  if (from < 0 || to < 0) return [id];
  return ids.slice(Math.min(from, to), Math.max(from, to) + 1);
}

/**
 * Selection with ranges, and a cursor for j and k, over any list of ids. The set is replaced and not changed, so that a change of
 * two hundred rows is one change.
 */
export class Rows {
  selected = $state.raw<ReadonlySet<string>>(new Set());
  /** Also those that match but are not loaded. */
  everything = $state(false);
  cursor = $state(-1);
  #anchor: string | null = null;
  #ids: () => string[];

  constructor(ids: () => string[]) {
    this.#ids = ids;
  }

  get all() {
    const ids = this.#ids();
    return ids.length > 0 && ids.every((id) => this.selected.has(id));
  }

  get some() {
    return this.selected.size > 0 && !this.all;
  }

  toggle(id: string, range = false) {
    const on = !this.selected.has(id);
    const next = new Set(this.selected);
    for (const x of toggled(this.#ids(), id, range ? this.#anchor : null)) {
      if (on) next.add(x);
      else next.delete(x);
    }
    this.selected = next;
    this.#anchor = id;
  }

  toggleAll() {
    this.selected = this.all ? new Set() : new Set(this.#ids());
  }

  clear() {
    if (this.selected.size > 0) this.selected = new Set();
    this.everything = false;
  }

  /** Selects these too. */
  take(ids: string[]) {
    if (ids.some((id) => !this.selected.has(id))) this.selected = new Set([...this.selected, ...ids]);
  }

  /** Forgets what is selected but no longer there. */
  keep(ids: ReadonlySet<string>) {
    const left = [...this.selected].filter((id) => ids.has(id));
    if (left.length < this.selected.size) this.selected = new Set(left);
  }

  move(by: 1 | -1) {
    const ids = this.#ids();
    if (ids.length === 0) return;
    this.cursor = Math.max(0, Math.min(ids.length - 1, this.cursor + by));
    const row = document.querySelector<HTMLElement>(`[data-row="${CSS.escape(ids[this.cursor]!)}"]`);
    row?.focus();
    row?.scrollIntoView({ block: 'nearest' });
  }

  at() {
    return this.#ids()[this.cursor];
  }
}
