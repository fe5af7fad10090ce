import { Resource } from './resource.svelte';
import type { Topic } from './topics';

export type Page<T> = { items: T[]; next_cursor?: string; total?: number };
type Load<T> = (page: { limit: number; cursor?: string }, signal?: AbortSignal) => Promise<Page<T>>;

const most = 1000; // of one answer
const tries = 3; // of which whoever reloads it meanwhile takes one

/** Rows in the order they are in now, as long as somebody points at them: known ones keep their place, new ones come last. */
export function settled<T extends { id: string }>(shown: T[], fresh: T[]): T[] {
  const now = new Map(fresh.map((x) => [x.id, x]));
  const kept = shown.flatMap((x) => now.get(x.id) ?? []);
  const before = new Set(kept.map((x) => x.id));
  return [...kept, ...fresh.filter((x) => !before.has(x.id))];
}

/** A long list, of which as many pages are held as were asked for, and kept fresh. */
export class Paged<T extends { id: string }> {
  loadingMore = $state(false);
  /** While true, rows stay where they are. */
  frozen = false;

  #wanted: number;
  #question = 0;
  #reaching: Promise<void> = Promise.resolve();
  #size: number;
  #load: Load<T>;
  #resource: Resource<Page<T>>;

  constructor(load: Load<T>, topics: Topic[], size = 200) {
    this.#load = load;
    this.#wanted = this.#size = size;
    this.#resource = new Resource((signal) => this.#held(signal), { topics });
  }

  get items() {
    return this.#resource.data?.items ?? null;
  }
  get total() {
    return this.#resource.data?.total ?? this.#resource.data?.items.length ?? 0;
  }
  get more() {
    return this.#resource.data?.next_cursor !== undefined;
  }
  get error() {
    return this.#resource.error;
  }
  get loading() {
    return this.#resource.loading;
  }

  use = () => this.#resource.use();
  reload = () => this.#resource.reload();

  /** Asks another question: back to the first page. */
  restart = () => {
    this.#wanted = this.#size;
    this.#question++;
    return this.#resource.restart();
  };

  /** Holds as many pages as these need, as far as one answer can tell where they are. One at a time: a question drops the one before. */
  reach = (ids: string[]): Promise<void> => {
    const question = this.#question;
    const mine = this.#reaching.then(() => this.#reach(ids, question));
    this.#reaching = mine.catch(() => {});
    return mine;
  };

  async #reach(ids: string[], question: number) {
    const { items } = await this.#load({ limit: most });
    const last = items.findLastIndex((x) => ids.includes(x.id));
    if (question !== this.#question || last < 0) return;
    this.#wanted = Math.max(this.#wanted, Math.ceil((last + 1) / this.#size) * this.#size);
    for (let n = 0; n < tries && question === this.#question && (this.items?.length ?? 0) <= last; n++) await this.#resource.reload();
  }

  /** The next page. */
  next = async () => {
    const data = this.#resource.data;
    if (!data?.next_cursor || this.loadingMore) return;
    this.loadingMore = true;
    try {
      const page = await this.#load({ limit: this.#size, cursor: data.next_cursor });
      const now = this.#resource.data;
      if (now?.next_cursor !== data.next_cursor) return; // another answer came meanwhile
      this.#wanted += this.#size;
      this.#resource.data = { ...page, items: [...now.items, ...page.items], total: now.total };
    } finally {
      this.loadingMore = false;
    }
  };

  async #held(signal: AbortSignal): Promise<Page<T>> {
    let page = await this.#load({ limit: Math.min(most, this.#wanted) }, signal);
    const { total } = page;
    let items = page.items;
    while (page.next_cursor && items.length < this.#wanted) {
      page = await this.#load({ limit: Math.min(most, this.#wanted - items.length), cursor: page.next_cursor }, signal);
      items = [...items, ...page.items];
    }
    const shown = this.#resource.data?.items;
    return { items: this.frozen && shown ? settled(shown, items) : items, next_cursor: page.next_cursor, total };
  }
}
