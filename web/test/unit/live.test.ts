import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Event } from '$lib/api/client';
import type { Recent as Newest } from '$lib/recent.svelte';

// Loaded anew for each test, for there is one stream a page.
let { stream } = await import('$lib/live/stream.svelte');
let { Resource } = await import('$lib/live/resource.svelte');
let { Recent, tells } = await import('$lib/recent.svelte');

/** The connections that were opened; a test plays the server. */
let opened: Source[] = [];
class Source extends EventTarget {
  onopen?: () => void;
  onerror?: () => void;
  closed = false;
  constructor(readonly url: string) {
    super();
    opened.push(this);
  }
  close() {
    this.closed = true;
  }
  says(type: string, id: string, data: object = { version: 'v' }) {
    this.dispatchEvent(new MessageEvent(type, { lastEventId: id, data: JSON.stringify(data) }));
  }
}
const now = () => opened.at(-1)!;
const happens = (id: string, kind = 'project.created') => now().says('event', id, { id, kind, message: id });
const comesUp = (place: string) => (now().onopen!(), now().says('hello', place));
/** The network is gone, and back after the longest pause before the first try. */
async function comesBack() {
  now().onerror!();
  await vi.advanceTimersByTimeAsync(1_400);
  now().onopen!();
  await vi.advanceTimersByTimeAsync(0);
}
const never = () => new Promise<never>(() => {});

let ends: (() => void)[] = [];
beforeEach(async () => {
  vi.resetModules();
  ({ stream } = await import('$lib/live/stream.svelte'));
  ({ Resource } = await import('$lib/live/resource.svelte'));
  ({ Recent, tells } = await import('$lib/recent.svelte'));
  vi.useFakeTimers();
  opened = [];
  vi.stubGlobal('EventSource', Source);
  vi.stubGlobal(
    'BroadcastChannel',
    class {
      postMessage() {}
      close() {}
    },
  );
  stream.start('v', '7');
});
afterEach(() => {
  ends.forEach((end) => end());
  ends = [];
  stream.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('the stream of events', () => {
  it('begins where it stood before anything was asked: what happens until it is open is told', () => {
    const told = vi.fn();
    ends.push(stream.onEvent((e) => told(e.id)));
    expect(now().url).toBe('/api/events/stream?last_event_id=7');
    comesUp('7');
    for (const id of ['7', '8', '8']) happens(id);
    expect(told.mock.calls).toEqual([['8']]);
  });

  it('goes on where it was after a sign-out, and says that it is back', async () => {
    comesUp('7');
    happens('9');
    const back = vi.fn();
    ends.push(stream.onReturn(back));
    stream.stop();
    stream.start('v', '12');
    expect(now().url).toBe('/api/events/stream?last_event_id=9');
    expect(back).not.toHaveBeenCalled();
    now().onopen!();
    expect(back).toHaveBeenCalledOnce();
  });
});

describe('what is kept fresh', () => {
  it('is asked again when the stream is back, if its question hangs', async () => {
    const load = vi.fn<() => Promise<string>>().mockImplementationOnce(never).mockResolvedValue('here');
    const it = new Resource(load, { topics: ['projects'] });
    ends.push(it.use());
    await comesBack();
    expect(it.data).toBe('here');
  });

  it('is asked again when the stream is back, if it could not be had', async () => {
    const load = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new TypeError('network')).mockResolvedValue('here');
    const it = new Resource(load);
    ends.push(it.use());
    await comesBack();
    expect([it.data, it.error]).toEqual(['here', null]);
  });

  it('is not asked twice because the stream begins', async () => {
    const load = vi.fn(async () => 'here');
    ends.push(new Resource(load, { topics: ['projects'], every: 60_000 }).use());
    comesUp('7');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(load).toHaveBeenCalledOnce();
  });

  it('is not asked again when nobody looks, or when it is there and is to stay as it is', async () => {
    const [left, once] = [vi.fn(async () => 'here'), vi.fn(async () => 'here')];
    new Resource(left, { topics: ['projects'] }).use()();
    ends.push(new Resource(once).use());
    await comesBack();
    expect([left.mock.calls.length, once.mock.calls.length]).toEqual([1, 1]);
  });

  it('is heard from a server that answers slower than things happen, and asked once more', async () => {
    let n = 0;
    const load = vi.fn(() => new Promise<number>((done) => setTimeout(() => done(++n), 3_000)));
    const it = new Resource(load, { topics: ['projects'], every: 2_000 });
    ends.push(it.use());
    comesUp('7');
    for (let id = 8; id < 16; id++) {
      happens(String(id));
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(it.data).toBe(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(it.data).toBeGreaterThan(1);
  });

  it('does not wait for ever for an answer', async () => {
    const load = vi.fn<() => Promise<string>>().mockImplementationOnce(never).mockResolvedValue('here');
    const it = new Resource(load, { topics: ['projects'] });
    ends.push(it.use());
    comesUp('7');
    await vi.advanceTimersByTimeAsync(31_000);
    happens('8');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(it.data).toBe('here');
  });
});

describe('the newest events', () => {
  const e = (id: string) => ({ id, kind: 'project.created', message: id }) as Event;
  /** Answers that the server owes. */
  let owed: ((items: Event[]) => void)[];
  beforeEach(() => {
    owed = [];
    vi.stubGlobal(
      'fetch',
      vi.fn(() => new Promise((answer) => owed.push((items) => answer(Response.json({ items }))))),
    );
  });
  const answers = async (...items: Event[]) => {
    await vi.advanceTimersByTimeAsync(0);
    owed.shift()!(items);
    await vi.advanceTimersByTimeAsync(0);
  };
  const ids = (r: Newest) => r.items?.map((x) => x.id);

  it('have what came while they were asked for', async () => {
    const recent = new Recent(10);
    ends.push(recent.use());
    comesUp('7');
    happens('8');
    await answers(e('7'));
    expect(ids(recent)).toEqual(['8', '7']);
  });

  it('are asked again when the stream is back, which then tells nothing twice and nothing that is too old for them', async () => {
    const recent = new Recent(2);
    ends.push(recent.use());
    comesUp('7');
    await answers(e('7'));
    await comesBack();
    await answers(e('10'), e('9'));
    for (const id of ['8', '9', '10', '11']) happens(id);
    expect(ids(recent)).toEqual(['11', '10', '9']);
  });

  it('tell up to the highest id, whatever stands first', () => {
    expect(tells([e('8'), e('10'), e('9')])).toBe(10);
    expect(tells([])).toBe(0);
  });
});
