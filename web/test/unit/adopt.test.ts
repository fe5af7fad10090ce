import { describe, expect, it } from 'vitest';
import type { Foreign } from '../../src/lib/api/foreign';
import { adoptable, groups } from '../../src/pages/adopt/groups';

const container = (name: string, host: string, project = '', rest: Partial<Foreign> = {}) =>
  ({ name, container_id: name, host, host_id: host, compose_project: project || undefined, adoptable: true, ...rest }) as Foreign;

describe('foreign containers', () => {
  it('stand together by host and compose project, and those without one by host', () => {
    const list = [
      container('a', 'one', 'shop'),
      container('b', 'one', 'shop'),
      container('c', 'one'),
      container('d', 'two', 'shop'),
      container('e', 'two'),
    ];
    expect(groups(list).map((g) => `${g.host} ${g.project}: ${g.items.map((f) => f.name).join()}`)).toEqual([
      'one shop: a,b',
      'one : c',
      'two shop: d',
      'two : e',
    ]);
    expect(new Set(groups(list).map((g) => g.key)).size).toBe(4);
  });

  it('that can never be adopted are not taken along', () => {
    const [group] = groups([container('a', 'one', 'shop'), container('task', 'one', 'shop', { adoptable: false })]);
    expect(adoptable(group!).map((f) => f.name)).toEqual(['a']);
  });

  it('of nothing are no group', () => expect(groups([])).toEqual([]));
});
