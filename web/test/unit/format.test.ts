import { describe, expect, it } from 'vitest';
import { bytes, plural, relative, short, shortId, span } from '$lib/format';

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [-1, '0 B'],
    [NaN, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [10 * 1024 - 1, '10.0 KiB'],
    [2 ** 20 - 1, '1.00 MiB'],
    [1_288_490_188, '1.20 GiB'],
    [12.5 * 2 ** 20, '12.5 MiB'],
    [512 * 2 ** 20, '512 MiB'],
    [3 * 2 ** 50, '3072 TiB'],
  ])('%d is %s', (n, text) => expect(bytes(n)).toBe(text));
});

describe('time', () => {
  const now = Date.UTC(2026, 10, 23, 12);
  const second = 1000;
  const day = 86_400_000;
  it.each([
    [now, 'just now'],
    [now - 4 * second, 'just now'],
    [now - 90 * second, '1 minute ago'],
    [now + 12 * 60 * second, 'in 12 minutes'],
    [now - 1 * day, 'yesterday'],
    [now - 13 * day, '13 days ago'],
    [now - 35 * day, '5 weeks ago'],
    [now - 94 * day, '3 months ago'],
    [now - 800 * day, '2 years ago'],
  ])('%d is %s', (at, text) => expect(relative(at, now)).toBe(text));

  it('is short where there is little room', () => {
    expect([short(0), short(59_000), short(-3_600_000), short(20 * day)]).toEqual(['0s', '59s', '1h', '2w']);
  });

  it('tells a span in two units and leaves out what is nothing', () => {
    expect([span(0), span(61_000), span(3_600_000), span(day + 3_600_000), span(day + 5_000)]).toEqual([
      '0 s',
      '1 min 1 s',
      '1 h',
      '1 d 1 h',
      '1 d',
    ]);
  });
});

it('counts one as one', () => {
  expect([plural(1, 'container'), plural(0, 'container'), plural(1234, 'entry', 'entries')]).toEqual([
    '1 container',
    '0 containers',
    '1,234 entries',
  ]);
});

it('shortens an id with and without the name of its hash', () => {
  expect(shortId('sha256:0123456789abcdef')).toBe('0123456789ab');
  expect(shortId('0123456789abcdef')).toBe('0123456789ab');
});
