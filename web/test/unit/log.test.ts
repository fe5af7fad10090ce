import { describe, expect, it, vi } from 'vitest';
import { ApiError } from '../../src/lib/api/client';
import { follow, Messages } from '../../src/lib/live/sse';
import { styled } from '../../src/pages/instance/ansi';
import { Book, finder, hits, holding, lineOf, most, pieces, starts } from '../../src/pages/instance/log';

const line = (text: string, more = {}) => ({ stream: 'stdout', time: '2026-11-23T10:00:00.000Z', text, ...more });

describe('a stream of messages', () => {
  it('is cut anywhere', () => {
    const m = new Messages();
    const all = 'event: lines\nid: 7-1\ndata: {"a":\ndata: 1}\n\nevent: ping\ndata: {}\n\n';
    const got = [...all].flatMap((c) => m.take(c));
    expect(got).toEqual([
      { event: 'lines', id: '7-1', data: '{"a":\n1}' },
      { event: 'ping', id: '', data: '{}' },
    ]);
  });

  const body = (text: string) => new Response(text).body! as ReadableStream<Uint8Array>;
  it('goes on after the last place when it breaks, and ends with the last message', async () => {
    vi.useFakeTimers();
    const asked: string[] = [];
    const answers = [
      'event: lines\nid: a\ndata: 1\n\nevent: lines\nid: b\nda',
      'event: lines\nid: b\ndata: 2\n\n',
      'event: end\ndata: 3\n\n',
    ];
    const got: string[] = [];
    const states: string[] = [];
    const done = follow(
      {
        open: (place) => (asked.push(place), Promise.resolve(body(answers.shift()!))),
        take: (m) => (got.push(m.data), m.event === 'end'),
        state: (s) => void states.push(s),
      },
      new AbortController().signal,
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await done).toBe('b');
    expect([asked, got]).toEqual([
      ['', 'a', 'b'],
      ['1', '2', '3'],
    ]);
    expect(states).toEqual(['live', 'retrying', 'live', 'retrying', 'live']);
    vi.useRealTimers();
  });
  it('asks no more where it was refused', async () => {
    let asked = 0;
    const states: string[] = [];
    await follow(
      { open: () => (asked++, Promise.reject(new ApiError(404, 'not_found', 'gone'))), take: () => {}, state: (s) => void states.push(s) },
      new AbortController().signal,
    );
    expect([asked, states]).toEqual([1, ['refused']]);
  });
});

describe('what a program wrote for a terminal', () => {
  it.each([
    ['plain', 'plain'],
    ['\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07', 'red bell'],
    ['\x1b[2J\x1b[10;3Hmoved\x1b[?25l', 'moved'],
    ['10 %\r50 %\r100 %', '100 %'],
    ['done\r', 'done'],
    ['a\tb', 'a       b'],
    ['left\u202eright', 'leftright'],
    ['\x1b', ''],
  ])('%j is shown as %j', (raw, text) => expect(styled(raw).text).toBe(text));
  it('keeps its colours, as classes of ours', () => {
    expect(styled('a\x1b[1;31mb\x1b[22mc\x1b[39md').spans).toEqual([
      { from: 1, to: 2, style: 'text-bad-text font-semibold' },
      { from: 2, to: 3, style: 'text-bad-text' },
    ]);
    expect(styled('\x1b[38;5;46mg\x1b[38;2;255;0;0mr\x1b[48;5;1mr').spans.map((s) => s.style)).toEqual([
      'text-ok-text',
      'text-bad-text',
      'text-bad-text',
    ]);
  });
});

describe('the lines of a log', () => {
  it('are numbered on, and the oldest go', () => {
    const book = new Book();
    const many = Array.from({ length: most.lines }, (_, i) => book.line(line(`n ${i}`)));
    let lines = book.kept([], many);
    lines = book.kept(lines, [book.line(line('one more')), book.note('it was started again')]);
    expect(lines).toHaveLength(most.lines);
    expect([lines[0]!.text, lines.at(-1)!.stream]).toEqual(['n 2', 'note']);
    const long = Array.from({ length: 20 }, () => book.line(line('x'.repeat(1_000_000))));
    expect(book.kept(lines, long).length).toBeLessThan(20);
  });
  it('are found in any case, by text or expression', () => {
    const book = new Book();
    const lines = ['An Error', 'fine', 'code=503'].map((t) => book.line(line(t)));
    const at = (text: string, regex = false, exact = false) => {
      const f = finder({ text, regex, exact });
      return f && holding(lines, f);
    };
    expect([at('error'), at('error', false, true), at('=5\\d+', true), at('=5\\d+'), at('(', true), at('')]).toEqual([
      [0],
      [],
      [2],
      [],
      null,
      null,
    ]);
    expect(hits('aXbxa', finder({ text: 'x', regex: false, exact: false })!)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(hits('abc', finder({ text: 'z*', regex: true, exact: false })!)).toEqual([]);
  });
  it('are broken into rows, and found again by row', () => {
    const book = new Book();
    const lines = ['', 'x'.repeat(10), 'x'.repeat(21), 'end'].map((t) => book.line(line(t)));
    const at = starts(lines, 10);
    expect([...at]).toEqual([0, 1, 2, 5, 6]);
    expect([0, 1, 2, 4, 5, 99].map((r) => lineOf(at, r))).toEqual([0, 1, 2, 2, 3, 3]);
    expect([...starts(lines, Infinity)]).toEqual([0, 1, 2, 3, 4]);
    expect(lineOf(starts([], 10), 0)).toBe(0);
  });
  it('are made of pieces, each in a style and found or not', () => {
    const l = new Book().line(line('a\x1b[31mbcd\x1b[0me'));
    expect(pieces(l, 0, 5, [[2, 5]])).toEqual([
      { text: 'a', style: '', hit: false },
      { text: 'b', style: 'text-bad-text', hit: false },
      { text: 'cd', style: 'text-bad-text', hit: true },
      { text: 'e', style: '', hit: true },
    ]);
    expect(pieces(l, 1, 3, []).map((p) => p.text)).toEqual(['bc']);
  });
});
