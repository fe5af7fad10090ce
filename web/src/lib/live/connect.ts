/** One message of the event stream. */
export type Message = { type: string; id: string; data: unknown };
export type Link = { state: 'connecting' | 'live' | 'retrying'; retryAt?: number };
/** It closes at the id of the last event that is known, to go on after. */
export type Connection = { close: () => string; retryNow: () => void };

const types = ['hello', 'ping', 'event'];
const silence = 40_000; // the server pings every 15 seconds
const longest = 30_000;

/**
 * One EventSource a browser, not one a tab: browsers allow six connections to a host over HTTP/1.1, and six tabs
 * with a stream each would block every request. The tab that holds a Web Lock reads the stream and hands it to the
 * others over a BroadcastChannel; when it closes, the next one resumes after the last id that it saw.
 * Plain http on a LAN has no Web Locks: there each visible tab has a stream, and a hidden one has none.
 * It begins after the event of an id, whichever tab reads.
 */
export function connect(url: string, on: (m: Message) => void, status: (l: Link) => void, after: string): Connection {
  const channel = new BroadcastChannel('dw.live');
  const stop = new AbortController();
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = after;
  let tries = 0;
  let heard = Date.now();
  let link: Link = { state: 'connecting' };
  let leads = false;

  const take = (m: Message) => {
    heard = Date.now();
    if (m.id) {
      if (Number(m.id) <= Number(last)) return; // seen already
      last = m.id;
    }
    on(m);
  };
  const say = (l: Link) => {
    link = l;
    status(l);
    if (leads) channel.postMessage({ link: l });
  };

  channel.onmessage = ({ data }: MessageEvent<{ message?: Message; link?: Link; ask?: boolean; retry?: boolean }>) => {
    if (data.message) take(data.message);
    else if (data.link) {
      heard = Date.now();
      status(data.link);
    } else if (data.ask && leads) channel.postMessage({ link });
    else if (data.retry && leads) retryNow();
  };

  function open() {
    clearTimeout(timer);
    source?.close();
    heard = Date.now();
    const s = new EventSource(`${url}?last_event_id=${last}`);
    source = s;
    s.onopen = () => {
      tries = 0;
      say({ state: 'live' });
    };
    s.onerror = () => {
      if (source === s) later();
    };
    for (const type of types) s.addEventListener(type, (e) => received(type, e as MessageEvent<string>));
  }

  function received(type: string, e: MessageEvent<string>) {
    const data = JSON.parse(e.data) as { id?: string };
    // An EventSource repeats its last id on messages that have none, so an event is asked for its own.
    const m: Message = { type, id: data.id ?? '', data };
    if (leads) channel.postMessage({ message: m });
    take(m);
  }

  // The pause is ours and not the browser's: it grows, it is spread, and the page can say when it ends.
  function later() {
    source?.close();
    source = undefined;
    const pause = Math.min(longest, 1000 * 2 ** tries++) * (0.7 + Math.random() * 0.6);
    say({ state: 'retrying', retryAt: Date.now() + pause });
    clearTimeout(timer);
    timer = setTimeout(open, pause);
  }

  function retryNow() {
    if (leads) open();
    else channel.postMessage({ retry: true });
  }

  const watchdog = setInterval(() => {
    if (Date.now() - heard < silence) return;
    heard = Date.now();
    if (leads) later();
    else if (source === undefined && navigator.locks) status({ state: 'retrying' });
  }, 5_000);

  status(link);
  if (navigator.locks) {
    channel.postMessage({ ask: true });
    navigator.locks
      .request('dw.live', { signal: stop.signal }, () => {
        leads = true;
        open();
        return new Promise<void>((done) => stop.signal.addEventListener('abort', () => done()));
      })
      .catch((err: unknown) => {
        if (!stop.signal.aborted) throw err;
      });
  } else {
    const sync = () => {
      leads = document.visibilityState === 'visible';
      if (leads && source === undefined) open();
      else if (!leads) {
        clearTimeout(timer);
        source?.close();
        source = undefined;
      }
    };
    document.addEventListener('visibilitychange', sync, { signal: stop.signal });
    sync();
  }
  addEventListener('online', retryNow, { signal: stop.signal });

  return {
    retryNow,
    close: () => {
      stop.abort();
      leads = false;
      source?.close();
      source = undefined;
      channel.close();
      clearTimeout(timer);
      clearInterval(watchdog);
      return last;
    },
  };
}
