import { aborted, errorOf, type ApiError } from '../api/client';
import { stream } from './stream.svelte';
import type { Topic } from './topics';

const gather = 250; // a burst of events is one question
const atMost = 1_000; // and not more than one question a second

type Options = { topics?: Topic[]; every?: number };

/**
 * Something asked of the server that stays fresh while it is shown: it is asked again when an event touches one of its
 * topics, and `every` so many milliseconds. Old data stays on the screen until the new is there, and when that fails.
 */
export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);

  #load: (signal: AbortSignal) => Promise<T>;
  #options: Options;
  #users = 0;
  #unwatch = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tick: ReturnType<typeof setInterval> | undefined;
  #request: AbortController | undefined;
  #askedAt = 0;

  constructor(load: (signal: AbortSignal) => Promise<T>, options: Options = {}) {
    this.#load = load;
    this.#options = options;
  }

  /** Keeps it fresh until the returned function is called; meant for an $effect. */
  use = (): (() => void) => {
    if (this.#users++ === 0) this.#begin();
    return () => {
      if (--this.#users === 0) this.#end();
    };
  };

  /** Asks now; an older question that is still open is dropped. */
  reload = async (): Promise<void> => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    this.#askedAt = Date.now();
    this.loading = true;
    try {
      const data = await this.#load(request.signal);
      if (request.signal.aborted) return;
      this.data = data;
      this.error = null;
    } catch (err) {
      if (request.signal.aborted || aborted(err)) return;
      this.error = errorOf(err);
    } finally {
      if (this.#request === request) this.loading = false;
    }
  };

  /** Forgets what is shown, because it answers another question now, and asks. */
  restart = (): Promise<void> => {
    this.data = null;
    this.error = null;
    return this.reload();
  };

  #begin() {
    this.#unwatch = stream.onTopics(this.#options.topics ?? [], this.#soon);
    if (this.#options.every) this.#tick = setInterval(this.#whenSeen, this.#options.every);
    void this.reload();
  }

  #end() {
    this.#unwatch();
    clearInterval(this.#tick);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#request?.abort();
  }

  #whenSeen = () => {
    if (document.visibilityState === 'visible') void this.reload();
  };

  #soon = () => {
    if (this.#timer !== undefined) return;
    const pause = Math.max(gather, this.#askedAt + atMost - Date.now());
    this.#timer = setTimeout(() => void this.reload(), pause);
  };
}
