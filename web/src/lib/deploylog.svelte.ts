import { type DeployLine, type Event } from './api/client';
import { getDeployLog } from './api/deploys';
import { appended, type Pull } from './deploysteps';
import { stream } from './live/stream.svelte';

/** What an event says of a deploy; `logged`: its log has a new line, else it is how far a pull is. */
type Told = { deploy_id?: string; state?: string; logged?: boolean; done_bytes?: number; total_bytes?: number };

/**
 * The log of a deploy, kept fresh by the one stream of events of the page: it says when there is a line to be read, so that no
 * deploy needs a connection of its own. What a lost stream does not say is looked up every few seconds, until the deploy has ended.
 */
export class DeployLog {
  lines = $state.raw<DeployLine[] | null>(null);
  told = $state.raw<Pull | null>(null);

  #id: string;
  #ended: () => boolean;
  #reading: Promise<void> | undefined;
  #again = false;

  constructor(id: string, ended: () => boolean) {
    this.#id = id;
    this.#ended = ended;
  }

  use = (): (() => void) => {
    const end = stream.onEvent(this.#take);
    const timer = setInterval(() => this.#ended() || void this.read(), 5_000);
    void this.read();
    return () => {
      end();
      clearInterval(timer);
    };
  };

  /** Reads what is new; asked while it reads, it reads once more. */
  read = (): Promise<void> => {
    this.#again = this.#reading !== undefined;
    return (this.#reading ??= this.#rounds().finally(() => (this.#reading = undefined)));
  };

  async #rounds() {
    do {
      this.#again = false;
      const known = this.lines ?? [];
      try {
        const { items } = await getDeployLog(this.#id, known.at(-1)?.line ?? 0);
        this.lines = appended(known, items);
      } catch {
        return; // the banner says that the server is away; the next round reads on
      }
    } while (this.#again);
  }

  #take = (e: Event) => {
    const data = e.data as Told | undefined;
    if (data?.deploy_id !== this.#id) return;
    if (data.total_bytes) this.told = { done: data.done_bytes ?? 0, total: data.total_bytes };
    if (data.logged !== false) void this.read();
  };
}
