import { describe, expect, it } from 'vitest';
import type { Event, Plan, PlanItem } from '$lib/api/client';
import { resultsOf, sumOf, withEvent, type Results } from '../../src/pages/stale/plan';

const item = (id: string, bytes: number | null, result?: PlanItem['result']) => ({ instance_id: id, bytes, result }) as PlanItem;
const event = (kind: string, data: Record<string, unknown>, instance_id?: string) => ({ kind, data, instance_id }) as unknown as Event;
const none: Results = new Map();

describe('what the stream tells of a plan', () => {
  it('is kept by instance', () => {
    const r = withEvent(none, 'p', event('cleanup.progress', { plan_id: 'p', instance_id: 'a', result: 'removed' }));
    expect(r.get('a')?.result).toBe('removed');
  });

  it('keeps the words that came with the item when the progress comes after it', () => {
    let r = withEvent(none, 'p', event('cleanup.item', { plan_id: 'p', result: 'error', detail: 'the engine refused' }, 'a'));
    r = withEvent(r, 'p', event('cleanup.progress', { plan_id: 'p', instance_id: 'a', result: 'error' }));
    expect(r.get('a')).toEqual({ result: 'error', detail: 'the engine refused' });
  });

  it.each([
    ['another plan', event('cleanup.item', { plan_id: 'q', result: 'removed' }, 'a')],
    ['another kind', event('cleanup.planned', { plan_id: 'p', result: 'removed' }, 'a')],
    ['no instance', event('cleanup.item', { plan_id: 'p', result: 'removed' })],
    ['no result yet', event('cleanup.item', { plan_id: 'p' }, 'a')],
    ['no data', event('cleanup.item', undefined as never, 'a')],
  ])('changes nothing for %s', (_, e) => expect(withEvent(none, 'p', e)).toBe(none));
});

describe('the sum of a plan', () => {
  it('counts the bytes of what we removed, and of nothing else', () => {
    const items = [
      item('a', 10, 'removed'),
      item('b', 20, 'already_gone'),
      item('c', 40, 'revived'),
      item('d', null, 'removed'),
      item('e', 80),
    ];
    const sum = sumOf(items, resultsOf({ items } as Plan));
    expect(sum).toEqual({ removed: 3, bytes: 10, left: 1, done: 4, again: [] });
  });

  it('offers to try again what failed or took too long, not what is alive or kept', () => {
    const items = [
      item('a', 1, 'timeout'),
      item('b', 1, 'error'),
      item('c', 1, 'in_use'),
      item('d', 1, 'revived'),
      item('e', 1, 'kept'),
      item('f', 1, 'changed'),
    ];
    expect(sumOf(items, resultsOf({ items } as Plan)).again).toEqual(['a', 'b', 'c']);
  });
});
