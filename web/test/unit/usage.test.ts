import { describe, expect, it } from 'vitest';
import type { Usage } from '../../src/lib/api/client';
import { add, ceiling, ceilingBytes, paths, type Sample } from '../../src/pages/instance/usage';

const usage = (seconds: number, more: Partial<Usage> = {}): Usage => ({
  time: new Date(Date.UTC(2026, 10, 23) + seconds * 1000).toISOString(),
  cpu_percent: 10,
  memory_bytes: 1 << 20,
  memory_limit: 0,
  rx_bytes: 0,
  tx_bytes: 0,
  pids: 1,
  ...more,
});

describe('samples of use', () => {
  it('know how fast it sends and receives from the second on', () => {
    const one = usage(0, { rx_bytes: 100, tx_bytes: 10 });
    const two = usage(2, { rx_bytes: 300, tx_bytes: 10 });
    const list = add(add([], one, null), two, one);
    expect(list.map((s) => [s.rx, s.tx])).toEqual([
      [null, null],
      [100, 0],
    ]);
  });
  it('know no rate across a restart, whose counters begin anew', () => {
    const one = usage(0, { rx_bytes: 100 });
    expect(add([], usage(2, { rx_bytes: 5 }), one)[0]!.rx).toBe(null);
  });
  it('leave out what does not run, and what is not newer', () => {
    const list = add([], usage(5), null);
    expect(add(list, usage(5), usage(5))).toBe(list);
    expect(add(list, usage(3), usage(5))).toBe(list);
    expect(add(list, usage(9, { time: null }), usage(5))).toBe(list);
  });
  it('are not more than a hundred', () => {
    let list: Sample[] = [];
    for (let n = 0; n < 120; n++) list = add(list, usage(n), null);
    expect(list).toHaveLength(100);
    expect(list[0]!.at).toBe(Date.parse(usage(20).time!));
  });
});

describe('the scale of a plot', () => {
  it.each([
    [[], 10, 20],
    [[9], 10, 20],
    [[19], 10, 50],
    [[95], 10, 200],
    [[180], 10, 200],
  ])('of %j is %d or more: %d', (values, least, want) => expect(ceiling(values, least)).toBe(want));
  it('of bytes is a power of two', () => {
    expect(ceilingBytes([], 1 << 24)).toBe(1 << 25);
    expect(ceilingBytes([100 * 2 ** 20], 1 << 24)).toBe(128 * 2 ** 20);
    expect(ceilingBytes([127 * 2 ** 20], 1 << 24)).toBe(256 * 2 ** 20);
  });
});

describe('a line', () => {
  const points = [
    { at: 0, value: 0 },
    { at: 500, value: 5 },
    { at: 1000, value: 99 },
  ];
  it('ends at the right edge, and stays in its box', () =>
    expect(paths(points, 10, 1000, 100, 50)).toEqual(['M0 50L50 25L100 0', 'M0 50L50 25L100 0V50H0Z']));
  it('leaves out what is older than the plot', () => expect(paths(points, 10, 500, 100, 50)[0]).toBe('M0 25L100 0'));
  it('of nothing is nothing', () => expect(paths([], 10, 1000, 100, 50)).toEqual(['', '']));
});
