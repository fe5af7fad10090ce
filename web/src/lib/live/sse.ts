import { aborted, errorOf } from '../api/client';

/** One message of a text/event-stream that is read with fetch, which tells why it was refused and can begin anywhere. */
export type Told = { event: string; id: string; data: string };

/** Cuts a stream of text into messages; what is not yet whole waits for its end. */
export class Messages {
  #rest = '';

  take(piece: string): Told[] {
    const parts = (this.#rest + piece).split('\n\n');
    this.#rest = parts.pop()!;
    return parts.map((part) => {
      const told: Told = { event: 'message', id: '', data: '' };
      for (const line of part.split('\n')) {
        const at = line.indexOf(':');
        const [name, value] = [line.slice(0, at), line.slice(at + 1).replace(/^ /, '')];
        if (name === 'event') told.event = value;
        else if (name === 'id') told.id = value;
        else if (name === 'data') told.data += (told.data && '\n') + value;
      }
      return told;
    });
  }
}

const silence = 40_000; // the server says something every 15 seconds
const longest = 30_000;

export type Way = {
  /** Asks; the place is the id of the last message, to go on after it. */
  open: (place: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;
  /** Takes a message; true: it was the last one. */
  take: (m: Told) => boolean | void;
  /** Whether it is read now, or why not. What was refused is not asked again. */
  state: (s: 'live' | 'retrying' | 'refused', err?: unknown) => void;
};

/** Reads a stream to its last message, through breaks of the connection, until the signal. */
export async function follow(way: Way, signal: AbortSignal, place = ''): Promise<string> {
  for (let tries = 0; !signal.aborted; tries++) {
    const one = new AbortController();
    const end = () => one.abort();
    signal.addEventListener('abort', end);
    let dead = setTimeout(end, silence);
    let why: unknown;
    try {
      const body = await way.open(place, one.signal);
      way.state('live');
      const messages = new Messages();
      const reader = body.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(dead);
        dead = setTimeout(end, silence);
        tries = 0;
        for (const m of messages.take(value)) {
          if (signal.aborted) return place;
          if (m.id) place = m.id;
          if (way.take(m)) return place;
        }
      }
    } catch (err) {
      if (signal.aborted) return place;
      why = err;
      const { status } = errorOf(err);
      if (!aborted(err) && status >= 400 && status < 500 && status !== 429) {
        way.state('refused', err);
        return place;
      }
    } finally {
      clearTimeout(dead);
      signal.removeEventListener('abort', end);
      one.abort();
    }
    if (signal.aborted) return place;
    way.state('retrying', why);
    await pause(Math.min(longest, 1000 * 2 ** tries), signal);
  }
  return place;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms * (0.7 + Math.random() * 0.6));
    signal.addEventListener('abort', () => (clearTimeout(timer), done()), { once: true });
  });
}
