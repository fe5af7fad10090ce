import type { Event } from '../api/client';
import { connect, type Connection, type Link, type Message } from './connect';
import { topicsOf, type Topic } from './topics';

type Listener = (e: Event) => void;

/** The one stream of events that keeps every open view fresh. */
class Stream {
  link = $state.raw<Link>({ state: 'connecting' });
  /** Since when nothing comes; 0 while it is live. */
  lostAt = $state(0);
  /** The daemon was upgraded under this page. */
  upgraded = $state(false);

  #connection: Connection | undefined;
  #version = '';
  #place = ''; // where a connection goes on that follows another one
  #gone = false; // nothing came for a while
  #listeners = new Set<Listener>();
  #watchers = new Map<Topic, Set<() => void>>();
  #returned = new Set<() => void>();

  /** Begins at a place that stood before anything was asked, or goes on where it was. */
  start(version: string, place: string) {
    if (this.#connection) return;
    this.#version = version;
    this.#place ||= place;
    this.#connection = connect(
      '/api/events/stream',
      (m) => this.#take(m),
      (l) => this.#status(l),
      this.#place,
    );
  }

  stop() {
    if (!this.#connection) return;
    this.#place = this.#connection.close();
    this.#gone = true;
    this.#connection = undefined;
  }

  retryNow() {
    this.#connection?.retryNow();
  }

  /** Calls with every event, also with chatter that is not kept. */
  onEvent(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls when something about these topics changed. */
  onTopics(topics: Topic[], changed: () => void): () => void {
    for (const t of topics) {
      const set = this.#watchers.get(t) ?? new Set();
      this.#watchers.set(t, set.add(changed));
    }
    return () => topics.forEach((t) => this.#watchers.get(t)?.delete(changed));
  }

  /** Calls when it is live again after nothing came: what was asked meanwhile may have failed, or hang on a connection that is no more. */
  onReturn(back: () => void): () => void {
    this.#returned.add(back);
    return () => this.#returned.delete(back);
  }

  #status(l: Link) {
    this.link = l;
    this.lostAt = l.state === 'retrying' ? this.lostAt || Date.now() : 0;
    if (l.state === 'retrying') this.#gone = true;
    if (l.state !== 'live' || !this.#gone) return;
    this.#gone = false;
    for (const back of this.#returned) back();
  }

  #take(m: Message) {
    if (m.type === 'hello') {
      const { version } = m.data as { version: string };
      if (this.#version && version !== this.#version) this.#outdated();
      return;
    }
    if (m.type !== 'event') return;
    const e = m.data as Event;
    for (const listener of this.#listeners) listener(e);
    for (const t of topicsOf(e.kind)) this.#watchers.get(t)?.forEach((changed) => changed());
  }

  // A tab that nobody looks at reloads by itself; the others offer it.
  #outdated() {
    if (document.visibilityState === 'hidden') location.reload();
    else this.upgraded = true;
  }
}

export const stream = new Stream();
