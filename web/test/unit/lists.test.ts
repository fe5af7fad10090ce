import { describe, expect, it } from 'vitest';
import type { Event } from '$lib/api/client';
import { rank, score } from '$lib/fuzzy';
import { histogram } from '$lib/histogram';
import { Paged, settled } from '$lib/live/paged.svelte';
import { topicsOf } from '$lib/live/topics';
import { prepended } from '$lib/recent.svelte';
import { matchPath, withQuery } from '$lib/router.svelte';
import { Rows, toggled } from '$lib/rows.svelte';
import { mostNamed, named, nameOf } from '$lib/selection.svelte';
import { matches } from '../../src/pages/events/match';

const row = (id: string, v = 0) => ({ id, v });

describe('rows that somebody points at', () => {
  it('keep their place, get their new values, and new ones come last', () => {
    const shown = [row('b'), row('a'), row('c')];
    const fresh = [row('n', 1), row('a', 1), row('b', 1)];
    expect(settled(shown, fresh)).toEqual([row('b', 1), row('a', 1), row('n', 1)]);
  });
  it('are none when none are left', () => expect(settled([row('a')], [])).toEqual([]));
});

describe('selection', () => {
  const ids = ['a', 'b', 'c', 'd'];
  it.each([
    ['from above', 'a', 'c', ['a', 'b', 'c']],
    ['from below', 'd', 'b', ['b', 'c', 'd']],
    ['without a begin', null, 'c', ['c']],
    ['from what is gone', 'z', 'c', ['c']],
  ])('takes a range %s', (_, anchor, id, want) => expect(toggled(ids, id, anchor)).toEqual(want));

  it('forgets what is no longer there', () => {
    const rows = new Rows(() => ids);
    rows.toggle('a');
    rows.toggle('d');
    rows.keep(new Set(['a', 'b']));
    expect([...rows.selected]).toEqual(['a']);
  });

  it('takes all, then none', () => {
    const rows = new Rows(() => ids);
    rows.toggle('b');
    expect(rows.some).toBe(true);
    rows.toggleAll();
    expect(rows.all).toBe(true);
    rows.toggleAll();
    expect(rows.selected.size).toBe(0);
  });

  it('takes more to what it has, and forgets that it was everything when it is cleared', () => {
    const rows = new Rows(() => ids);
    rows.take(['a', 'b']);
    rows.take(['b', 'c']);
    expect([...rows.selected]).toEqual(['a', 'b', 'c']);
    rows.everything = true;
    rows.clear();
    expect(rows.everything).toBe(false);
  });

  it('of nothing is not all', () => expect(new Rows(() => []).all).toBe(false));
});

describe('a selection in the address', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => i.toString().padStart(16, '0'));
  it('is the ids, and comes back as it was', () => {
    const ids = new Set(['a', 'c']);
    expect(named(nameOf(ids, false))).toEqual({ all: false, ids: ['a', 'c'] });
  });
  it('is one word for everything that matches', () => {
    expect(nameOf(new Set(many(200)), true)).toBe('all');
    expect(named('all')).toEqual({ all: true, ids: [] });
  });
  it('of none is nothing', () => {
    expect(nameOf(new Set(), false)).toBe('');
    expect(named('').ids).toEqual([]);
  });
  it('of a page stays short, and of more is left out', () => {
    expect(withQuery(new URLSearchParams(), { sel: nameOf(new Set(many(mostNamed)), false) }).length).toBeLessThan(4000);
    expect(nameOf(new Set(many(mostNamed + 1)), false)).toBe('');
  });
  it('that somebody typed names nothing twice and not more than a page', () => {
    expect(named('a..a.b.').ids).toEqual(['a', 'b']);
    expect(named(many(1000).join('.')).ids).toHaveLength(mostNamed);
  });
});

describe('reaching for rows behind the first page', () => {
  const rows = Array.from({ length: 1000 }, (_, n) => row(String(n)));
  const paged = (asked: number[]) =>
    new Paged(async ({ limit }) => (asked.push(limit), { items: rows.slice(0, limit), next_cursor: 'more', total: 5000 }), [], 10);
  it('holds as many whole pages as they need', async () => {
    const list = paged([]);
    await list.reload();
    await list.reach(['3', '41', 'gone']);
    expect(list.items).toHaveLength(50);
  });
  it('holds what two ask for at once', async () => {
    const list = paged([]);
    await list.reload();
    await Promise.all([list.reach(['41']), list.reach(['45']).then(() => expect(list.items).toHaveLength(50))]);
  });
  it.each([[['gone']], [['3']], [[]]])('fetches nothing more for %s', async (ids) => {
    const asked: number[] = [];
    const list = paged(asked);
    await list.reload();
    await list.reach(ids);
    expect(list.items).toHaveLength(10);
    expect(asked).toEqual([10, 1000]);
  });
  it('does nothing to a list that was asked something else meanwhile', async () => {
    const list = paged([]);
    await list.reload();
    await Promise.all([list.reach(['41']), list.restart()]);
    expect(list.items).toHaveLength(10);
  });
});

describe('the newest events', () => {
  const e = (id: string) => ({ id }) as Event;
  it('take one in front, once, and stay short', () => {
    expect(prepended([e('2'), e('1')], e('3'), 2)).toEqual([e('3'), e('2')]);
    const list = [e('2')];
    expect(prepended(list, e('2'), 9)).toBe(list);
  });
  it('leave out what is not kept', () => {
    const list = [e('2')];
    expect(prepended(list, {} as Event, 9)).toBe(list);
  });
});

describe('an event that came', () => {
  const names = { project: (id?: string) => (id === 'p1' ? 'shop' : undefined), stage: () => undefined };
  const e = {
    severity: 'warn',
    source: 'scanner',
    message: 'web is STALE',
    project_id: 'p1',
    instance_id: 'i1',
    actor: 'user:anna',
    time: '2026-11-23T12:00:00.000Z',
  } as Event;
  it.each([
    ['nothing asked', {}, true],
    ['its severity', { severity: ['warn', 'error'] }, true],
    ['another severity', { severity: ['info'] }, false],
    ['another source', { source: ['auth'] }, false],
    ['its project by name', { project: 'shop' }, true],
    ['its project by id', { project: 'p1' }, true],
    ['another project', { project: 'blog' }, false],
    ['another instance', { instance: 'i2' }, false],
    ['a stage that it has not', { stage: 'dev' }, false],
    ['who did it', { actor: 'user:anna' }, true],
    ['another who did it', { actor: 'user:an' }, false],
    ['its words, in any case', { text: 'stale' }, true],
    ['other words', { text: 'deploy' }, false],
    ['a time before', { to: '2026-11-23T12:00:00.000Z' }, false],
    ['a time from it on', { from: '2026-11-23T12:00:00.000Z' }, true],
  ])('with %s: %o', (_, q, want) => expect(matches(e, q as never, names)).toBe(want));
});

describe('topics', () => {
  it.each([
    ['instance.stale', 'stale'],
    ['cleanup.applied', 'archives'],
    ['host.frozen', 'hosts'],
    ['settings.changed', 'settings'],
    ['job.asked', 'jobs'],
    ['backup.made', 'backups'],
  ])('%s touches %s', (kind, topic) => expect(topicsOf(kind)).toContain(topic));
  it.each(['deploy.progress', 'cleanup.progress', 'auth.login', 'unheard.of', ''])('%s touches nothing', (kind) =>
    expect(topicsOf(kind)).toEqual([]),
  );
});

describe('the histogram', () => {
  it('leaves out what lies outside', () => {
    const at = (time: string, severity: 'info' | 'warn' | 'error') => ({ time, severity });
    const from = Date.parse('2026-11-23T00:00:00Z');
    const list = [
      at('2026-11-22T23:59:59.999Z', 'error'),
      at('2026-11-23T00:00:00Z', 'info'),
      at('2026-11-23T01:30:00Z', 'warn'),
      at('2026-11-23T02:00:00Z', 'error'),
    ];
    expect(histogram(list, from, 3_600_000, 2)).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ]);
  });
});

describe('addresses', () => {
  it.each([
    ['/', '/', {}],
    ['/projects/:name', '/projects/my%20app', { name: 'my app' }],
    ['/projects/:name', '/projects/a.b/', { name: 'a.b' }],
    ['/projects/:name', '/projects/100%', { name: '100%' }],
    ['/projects/:name', '/projects', null],
    ['/projects', '/projects/x', null],
    ['/stale', '/stalest', null],
  ])('%s and %s', (pattern, path, want) => expect(matchPath(pattern, path)).toEqual(want));

  it('drop a filter that is empty and keep what others wrote', () => {
    expect(withQuery(new URLSearchParams('q=x&view=kept'), { q: '', project: 'a b' })).toBe('view=kept&project=a+b');
  });
});

describe('the palette', () => {
  it('finds letters in order, and not out of order', () => {
    expect(score('media-worker', 'mw')).toBeGreaterThan(0);
    expect(score('media-worker', 'wm')).toBe(0);
  });
  it('puts what begins so first', () => {
    expect(rank(['the-stale-one', 'stale', 'settings'], 'stale', (x) => x)[0]).toBe('stale');
  });
});
