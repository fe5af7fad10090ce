import { untrack } from 'svelte';
import { query, setQuery } from './router.svelte';
import type { Rows } from './rows.svelte';

/** So many ids stand in an address: a page of a list, in less than 4 kB. */
export const mostNamed = 200;
const all = 'all';

type Named = { all: boolean; ids: string[] };

/** What stands in the address for a selection: the ids, `all` for everything that the filters let through, nothing for too many. */
export function nameOf(ids: ReadonlySet<string>, everything: boolean): string {
  if (everything) return all;
  return ids.size > mostNamed ? '' : [...ids].join('.');
}

/** What an address names; more than can stand in one is cut. */
export function named(text: string): Named {
  if (text === all) return { all: true, ids: [] };
  return { all: false, ids: [...new Set(text.split('.').filter(Boolean))].slice(0, mostNamed) };
}

/** A list of which the first pages are held. */
export type Pages<T extends { id: string }> = {
  readonly items: T[] | null;
  readonly more: boolean;
  /** Holds as many pages as these need, if they are not too far behind. */
  reach: (ids: string[]) => Promise<void>;
};

/** What an address names is looked for behind the first pages, once. */
class Looking {
  busy = $state(false);
  #done = false;

  /** Whether it looks; when `busy` ends, the list holds what was found. */
  begins(list: Pages<{ id: string }>, ids: string[]): boolean {
    if (this.#done || !list.more) return false;
    this.#done = this.busy = true;
    void list
      .reach(ids)
      .catch(() => {}) // it counts as not found
      .finally(() => (this.busy = false));
    return true;
  }
}

/**
 * Keeps what is selected in the address, and selects what the address names: after a reload, by a link of somebody else, and by Back.
 * What is no longer there is left out and counted. Called after the effects that clear the rows because something else is asked.
 */
export class Selection {
  /** How many of those that the address named are not there any more. */
  gone = $state(0);
  /** More are selected than can stand in an address. */
  unnamed = $derived.by(() => this.#rows.selected.size > 0 && this.#text() === '');

  #rows: Rows;
  #list: Pages<{ id: string }>;
  #held = ''; // what the address and the rows agree upon
  #wanted = $state.raw<Named | null>(null);
  #looking = $state.raw(new Looking());

  constructor(rows: Rows, list: Pages<{ id: string }>, may: () => boolean) {
    this.#rows = rows;
    this.#list = list;
    const text = $derived(query('sel'));
    $effect(() => {
      if (may()) this.#read(text);
    });
    $effect(() => {
      if (this.#wanted && list.items && !this.#looking.busy) this.#take(this.#wanted, list.items);
    });
    $effect(() => {
      if (may() && !this.#wanted) this.#write(this.#text());
    });
  }

  /** Something else is asked: what the address named was about another list. */
  drop() {
    this.#wanted = null;
    this.gone = 0;
    this.#rows.clear();
  }

  #text() {
    const rows = this.#rows;
    const whole = rows.everything || (rows.selected.size > mostNamed && rows.all && !this.#list.more);
    return nameOf(rows.selected, whole);
  }

  #read(text: string) {
    if (text === this.#held) return;
    this.#held = text;
    untrack(() => {
      this.drop();
      this.#looking = new Looking();
      this.#wanted = text ? named(text) : null;
    });
  }

  #write(text: string) {
    this.#held = text;
    setQuery({ sel: text });
    if (text === '') this.gone = 0;
  }

  #take(wanted: Named, items: { id: string }[]) {
    untrack(() => {
      const there = new Set(items.map((x) => x.id));
      const found = wanted.all ? [...there] : wanted.ids.filter((id) => there.has(id));
      this.#rows.take(found);
      this.#rows.everything = wanted.all && this.#list.more;
      const missing = wanted.ids.filter((id) => !there.has(id));
      if (missing.length && this.#looking.begins(this.#list, missing)) return;
      this.gone = missing.length;
      this.#wanted = null;
    });
  }
}

/** The one row of a list that is open, which stands in the address. `lost` is told when the row that it names is not there. */
export class Opened<T extends { id: string }> {
  row = $state.raw<T | null>(null);
  #key: string;

  constructor(list: Pages<T>, lost: () => void, key = 'open') {
    this.#key = key;
    const id = $derived(query(key));
    const looking = $derived((void id, new Looking()));
    $effect(() => {
      if (id !== untrack(() => this.row?.id ?? '')) this.row = null;
    });
    $effect(() => {
      const found = list.items?.find((x) => x.id === id);
      if (found) this.row = found;
      else if (id && list.items && !looking.busy && !untrack(() => this.row ?? looking.begins(list, [id]))) {
        lost();
        this.close();
      }
    });
  }

  open = (row: T) => {
    this.row = row;
    setQuery({ [this.#key]: row.id });
  };

  close = () => {
    this.row = null;
    setQuery({ [this.#key]: '' });
  };
}
