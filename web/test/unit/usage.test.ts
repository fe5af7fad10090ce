import { describe, expect, it } from 'vitest';
import type { Usage, UsageHistory } from '../../src/lib/api/client';
import { add, ceiling, ceilingBytes, hour, paths, type Sample } from '../../src/pages/instance/usage';

const time = (seconds: number) => new Date(Date.UTC(2026, 10, 23) + seconds * 1000).toISOString();
const rates = { cpu_percent: 10, memory_bytes: 1 << 20, memory_limit: 0, rx_rate: 100, tx_rate: 0, read_rate: 0, write_rate: 0 };
const usage = (seconds: number, more: Partial<Usage> = {}): Usage => ({
  time: time(seconds),
  ...rates,
  rx_bytes: 0,
  tx_bytes: 0,
  read_bytes: 0,
  write_bytes: 0,
  pids: 1,
  ...more,
});

describe('samples of use', () => {
  it('leave out what does not run, and what is not newer', () => {
    const one = add([], usage(0));
    expect(add(one, usage(0))).toBe(one);
    expect(add(one, usage(1, { time: null }))).toBe(one);
    expect(add(one, usage(2)).map((s) => s.rx)).toEqual([100, 100]);
  });
  it('let old ones go', () => {
    let list: Sample[] = [];
    for (let i = 0; i < 500; i++) list = add(list, usage(i));
    expect(list).toHaveLength(200);
  });
  it('make the last hour of what was kept and what was seen since', () => {
    const history: UsageHistory = { since: time(0), step_seconds: 15, items: [0, 15, 30].map((s) => ({ time: time(s), ...rates })) };
    const live = [20, 30, 32, 34].reduce((l, s) => add(l, usage(s)), [] as Sample[]);
    expect(hour(history, live).map((s) => (s.at - Date.UTC(2026, 10, 23)) / 1000)).toEqual([0, 15, 30, 32, 34]);
    expect(hour(null, [])).toEqual([]);
  });
});

describe('a plot with a gap', () => {
  it('is broken where nothing was measured', () => {
    const points = [0, 15, 30, 90, 105].map((s) => ({ at: s * 1000, value: 1 }));
    const [line, area] = paths(points, 2, 105_000, 105, 10, 40_000);
    expect(line.split('M')).toHaveLength(3);
    expect(area.split('Z')).toHaveLength(3);
    expect(paths(points, 2, 105_000, 105, 10)[0].split('M')).toHaveLength(2);
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
