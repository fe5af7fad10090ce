import { SvelteSet } from 'svelte/reactivity';

/** Which of these is selected after one was toggled, with everything since the anchor when a range is meant. */
export function toggled(ids: string[], selected: ReadonlySet<string>, id: string, anchor: string | null): string[] {
  const from = anchor === null ? -1 : ids.indexOf(anchor);
  const to = ids.indexOf(id);
  if (from < 0 || to < 0) return [id];
  return ids.slice(Math.min(from, to), Math.max(from, to) + 1);
}

/** Selection with ranges, and a cursor for j and k, over any list of ids. */
export class Rows {
  selected = new SvelteSet<string>();
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
    for (const x of toggled(this.#ids(), this.selected, id, range ? this.#anchor : null)) this.#set(x, on);
    this.#anchor = id;
  }

  toggleAll() {
    if (this.all) this.selected.clear();
    else for (const id of this.#ids()) this.selected.add(id);
  }

  clear() {
    this.selected.clear();
  }

  /** Forgets what is selected but no longer there. */
  keep(ids: ReadonlySet<string>) {
    for (const id of this.selected) if (!ids.has(id)) this.selected.delete(id);
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

  #set(id: string, on: boolean) {
    if (on) this.selected.add(id);
    else this.selected.delete(id);
  }
}
