import { aborted, errorOf, type ApiError } from '../api/client';
import { stream } from './stream.svelte';
import type { Topic } from './topics';

const gather = 250; // a burst of events is one question
const atMost = 1_000; // and not more than one question a second
const patience = 30_000; // of what keeps it fresh, for the question before

type Options = { topics?: Topic[]; every?: number };

/**
 * Something asked of the server that stays fresh while it is shown: it is asked again when an event touches one of its
 * topics, `every` so many milliseconds, and when the stream is back. Old data stays on the screen until the new is there, and when that fails.
 */
export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  loading = $state(false);

  #load: (signal: AbortSignal) => Promise<T>;
  #options: Options;
  #users = 0;
  #unwatch: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tick: ReturnType<typeof setInterval> | undefined;
  #request: AbortController | undefined; // of the question that is open
  #askedAt = 0;
  #again = false; // something happened meanwhile

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
    this.#again = false;
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
      if (this.#request === request) this.#over();
    }
  };

  /** Forgets what is shown, because it answers another question now, and asks. */
  restart = (): Promise<void> => {
    this.data = null;
    this.error = null;
    return this.reload();
  };

  #begin() {
    this.#unwatch = [stream.onTopics(this.#options.topics ?? [], this.#soon), stream.onReturn(this.#back)];
    if (this.#options.every) this.#tick = setInterval(this.#whenSeen, this.#options.every);
    void this.reload();
  }

  #end() {
    for (const unwatch of this.#unwatch) unwatch();
    clearInterval(this.#tick);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#again = false;
    this.#request?.abort();
  }

  #over() {
    this.loading = false;
    this.#request = undefined;
    if (this.#again) this.#soon();
  }

  /** Whether an answer is still to be waited for: dropped each time that something happens, a slow one would never come. */
  #waits = () => this.#request !== undefined && Date.now() - this.#askedAt < patience;

  #whenSeen = () => {
    if (document.visibilityState === 'visible' && !this.#waits()) void this.reload();
  };

  /** What is not kept fresh is asked again where it is not there yet. */
  #back = () => {
    if (this.data === null || this.#options.topics?.length || this.#options.every) void this.reload();
  };

  #soon = () => {
    if (this.#timer !== undefined) return;
    const pause = Math.max(gather, this.#askedAt + atMost - Date.now());
    this.#timer = setTimeout(this.#due, pause);
  };

  #due = () => {
    this.#timer = undefined;
    if (this.#waits()) this.#again = true;
    else void this.reload();
  };
}
