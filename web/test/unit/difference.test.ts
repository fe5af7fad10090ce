import { describe, expect, it } from 'vitest';
import { changesOf, restOf } from '../../src/pages/events/difference';

describe('the difference in an event', () => {
  it('is told by field, in order, and of a secret only that it changed', () => {
    const data = {
      addr: '203.0.113.7',
      difference: { password: { changed: true }, image: { from: 'shop', to: 'web' }, stale_after: { from: null, to: '3d' } },
    };
    expect(changesOf(data)).toEqual([
      { field: 'image', secret: false, from: 'shop', to: 'web' },
      { field: 'password', secret: true, from: undefined, to: undefined },
      { field: 'stale_after', secret: false, from: null, to: '3d' },
    ]);
    expect(restOf(data)).toEqual([['addr', '203.0.113.7']]);
  });

  it('is found where former versions put it, and not told twice', () => {
    const data = { mode: { from: 'auto', to: 'notify' }, difference: { mode: { from: 'auto', to: 'notify' } }, digest: { count: 3 } };
    expect(changesOf({ mode: data.mode }).map((c) => c.field)).toEqual(['mode']);
    expect(restOf(data)).toEqual([['digest', { count: 3 }]]);
  });

  it.each([
    [undefined],
    [{}],
    [{ from: 'running', to: 'stopped' }],
    [{ difference: 'odd' }],
    [{ blind: [{ from: 1, to: 2 }] }],
    [{ window: null }],
  ])('is not found in %j', (data) => {
    expect(changesOf(data)).toEqual([]);
  });
});
