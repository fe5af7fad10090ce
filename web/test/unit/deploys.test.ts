import { describe, expect, it } from 'vitest';
import type { Deploy, DeployLine, Instance, RuleTrial, Stage } from '$lib/api/client';
import { domainLike, forecast, formersOf, inTheWay } from '$lib/deploys';
import { appended, pullOf, stepsOf } from '$lib/deploysteps';
import { givesWay } from '$lib/sidebyside';

const at = (s: number) => `2026-11-29T12:00:${String(s).padStart(2, '0')}.000Z`;
const deploy = (d: Partial<Deploy> = {}) =>
  ({ id: 'd', kind: 'deploy', stage_id: 's', image_tag: '1.1', state: 'checking', created_at: at(0), ended_at: null, ...d }) as Deploy;
const line = (n: number, state: Deploy['state'], s: number, more: Partial<DeployLine> = {}) =>
  ({ line: n, state, time: at(s), text: '', ...more }) as DeployLine;
const stage = (s: Partial<Stage> = {}) =>
  ({
    id: 's',
    name: 'live',
    project: 'shop',
    kind: 'staging',
    host: 'local',
    strategy: 'replace',
    drain: '10s',
    keep_last: 2,
    parallel_max: 2,
    domain: '',
    mode: 'manual',
    spec: {},
    ...s,
  }) as Stage;
const instance = (id: string, i: Partial<Instance> = {}) =>
  ({ id, name: `live-${id}`, stage_id: 's', image_tag: id, status: 'running', created_at: at(1), protection: null, ...i }) as Instance;

describe('the steps of a deploy', () => {
  const phases = (d: Deploy, lines: DeployLine[]) => stepsOf(d, lines).map((s) => s.phase);
  const gone = [line(1, 'queued', 0), line(2, 'pulling', 1), line(3, 'starting', 4), line(4, 'checking', 5)];

  it('are done, under way and to come', () => {
    expect(phases(deploy(), gone)).toEqual(['done', 'done', 'done', 'now', 'waiting', 'waiting', 'waiting']);
  });
  it('last from their first line to that of the next', () => {
    const pulling = stepsOf(deploy(), gone)[1]!;
    expect([pulling.from, pulling.to]).toEqual([Date.parse(at(1)), Date.parse(at(4))]);
    expect(stepsOf(deploy(), gone)[3]!.to).toBeNull();
  });
  it('end badly where it failed, and never claim what came after', () => {
    const failed = deploy({ state: 'failed', ended_at: at(9) });
    expect(phases(failed, [...gone, line(5, 'failed', 9)])).toEqual(['done', 'done', 'done', 'bad', 'never', 'never', 'never']);
    expect(stepsOf(failed, gone)[3]!.to).toBe(Date.parse(at(9)));
  });
  it('of one that was cancelled are neither bad nor done from there on', () => {
    expect(phases(deploy({ state: 'cancelled', ended_at: at(6) }), gone)).toEqual([
      'done',
      'done',
      'done',
      'never',
      'never',
      'never',
      'never',
    ]);
  });
  it('leave out what a rollback did not need', () => {
    const back = deploy({ kind: 'rollback', state: 'done', ended_at: at(9) });
    const lines = [line(1, 'queued', 0), line(2, 'starting', 1), line(3, 'checking', 2), line(4, 'switching', 3), line(5, 'draining', 4)];
    expect(phases(back, lines)).toEqual(['done', 'never', 'done', 'done', 'done', 'done', 'done']);
  });
  it('are known when the log is not kept any more', () => {
    expect(phases(deploy({ state: 'done', ended_at: at(9) }), []).at(-1)).toBe('done');
  });
  it('do not go back when the log is ahead of the deploy', () => {
    expect(phases(deploy({ state: 'pulling' }), gone)[3]).toBe('now');
  });
});

describe('the pull of a deploy', () => {
  const lines = [line(1, 'pulling', 1, { done_bytes: 40, total_bytes: 100 }), line(2, 'starting', 2)];
  it.each([
    ['what was told', null, lines, { done: 40, total: 100 }],
    ['what was told since', { done: 60, total: 100 }, lines, { done: 60, total: 100 }],
    ['not what was told before the last line', { done: 20, total: 100 }, lines, { done: 40, total: 100 }],
    ['nothing where nothing is known', { done: 0, total: 0 }, [], null],
  ])('is %s', (_, told, known, want) => expect(pullOf(known, told)).toEqual(want));
});

describe('lines that come', () => {
  it('are added once', () => {
    const had = [line(1, 'queued', 0), line(2, 'pulling', 1)];
    expect(appended(had, [line(2, 'pulling', 1), line(3, 'starting', 2)]).map((l) => l.line)).toEqual([1, 2, 3]);
    expect(appended(had, [line(2, 'pulling', 1)])).toBe(had);
  });
});

describe('what gives way to another tag', () => {
  const lanes = stage({ strategy: 'parallel', parallel_max: 2 });
  const three = [instance('a', { created_at: at(1) }), instance('b', { created_at: at(2) }), instance('c', { created_at: at(3) })];
  const ids = (list: Instance[]) => list.map((i) => i.id);
  it('is the oldest', () => expect(ids(givesWay(lanes, three.slice(0, 2), 'n'))).toEqual(['a']));
  it('are as many as there are too many', () => expect(ids(givesWay(lanes, three, 'n'))).toEqual(['a', 'b']));
  it('is nothing when there is room, or when the tag runs already', () => {
    expect(givesWay(lanes, three.slice(0, 1), 'n')).toEqual([]);
    expect(givesWay(lanes, three.slice(0, 2), 'b')).toEqual([]);
  });
  it('is never one that somebody protects, nor one that does not run', () => {
    const pinned = instance('a', { created_at: at(0), protection: { kind: 'pinned' } as Instance['protection'] });
    expect(ids(givesWay(lanes, [pinned, three[1]!], 'n'))).toEqual(['b']);
    expect(givesWay(lanes, [three[0]!, instance('x', { status: 'stopped' })], 'n')).toEqual([]);
  });
});

describe('the domain that a tag will get', () => {
  it.each([
    ['pr-12', 'pr-12.shop.example.com'],
    ['PR_12', 'pr-12-(hash).shop.example.com'],
    ['', '….shop.example.com'],
  ])('of %s is %s', (tag, want) => expect(domainLike(stage({ domain: '{{tag}}.{{project}}.example.com' }), tag)).toBe(want));
});

describe('what can be gone back to', () => {
  const good = (id: string, instance_id: string, s: number) => deploy({ id, instance_id, state: 'done', created_at: at(s) });
  it('is what was good and does not run, the newest first', () => {
    const list = [instance('now'), instance('old', { status: 'stopped' }), instance('older', { status: 'stopped' })];
    const deploys = [good('1', 'older', 1), good('2', 'old', 2), good('3', 'now', 3)];
    expect(formersOf(stage(), deploys, list).map((f) => f.instance.id)).toEqual(['old', 'older']);
  });
  it.each([
    ['one that failed', deploy({ state: 'failed', instance_id: 'x' }), instance('x', { status: 'failed' })],
    ['one that is removed now', good('1', 'x', 1), instance('x', { status: 'removing' })],
    ['one of another stage', good('1', 'x', 1), instance('x', { status: 'stopped', stage_id: 'other' })],
    ['one that is gone', good('1', 'gone', 1), instance('x', { status: 'stopped' })],
  ])('is not %s', (_, d, i) => expect(formersOf(stage(), [d], [i])).toEqual([]));
});

describe('what is in the way of the next', () => {
  const port = (host: number, protocol?: 'tcp' | 'udp') => ({ ports: [{ container: 80, host, protocol }] });
  it.each([
    ['the same host port', port(8080), port(8080, 'tcp'), /8080/],
    ['a volume that both write', { mounts: [{ source: 'data', target: '/a' }] }, { mounts: [{ source: 'data', target: '/b' }] }, /data/],
  ])('is %s', (_, a, b, want) => expect(inTheWay(a, b)).toMatch(want));
  it.each([
    ['a port that the engine chooses', port(0), port(0)],
    ['another protocol', port(53), port(53, 'udp')],
    [
      'a volume that one only reads',
      { mounts: [{ source: 'data', target: '/a', read_only: true }] },
      { mounts: [{ source: 'data', target: '/b' }] },
    ],
    ['what is not known', undefined, port(8080)],
  ])('is not %s', (_, a, b) => expect(inTheWay(a, b)).toBe(''));
});

describe('what a deploy says that it will do', () => {
  const ask = (a: Partial<Parameters<typeof forecast>[0]>) =>
    forecast({ stage: stage(), tag: '1.1', instances: [], deploys: [], trial: null, ...a });
  const all = (f: ReturnType<typeof forecast>) => f.does.join('\n');

  it('stops nothing where nothing runs', () => expect(all(ask({}))).not.toMatch(/stopped first|ends what/));
  it('starts beside what serves, drains it and keeps it', () => {
    const text = all(ask({ served: instance('1.0') }));
    expect(text).toMatch(/beside live-1\.0 \(1\.0\)/);
    expect(text).toMatch(/for 10s, and is stopped\. The last 2 good ones are kept/);
  });
  it('says that nothing serves meanwhile when both cannot run at once', () => {
    const spec = { ports: [{ container: 80, host: 8080 }] };
    const told = ask({ stage: stage({ spec }), served: instance('1.0', { spec }) });
    expect(all(told)).toMatch(/stopped first, because both publish the host port 8080/);
    expect(all(told)).toMatch(/live-1\.0 is started again/);
    expect(all(told)).not.toMatch(/beside|goes on serving/);
    expect(told.warns.join()).toMatch(/For a while nothing serves/);
  });
  it('names what gives way where tags run side by side', () => {
    const lanes = stage({ strategy: 'parallel', domain: '{{tag}}.{{project}}.example.com' });
    const text = all(ask({ stage: lanes, instances: [instance('a', { created_at: at(1) }), instance('b', { created_at: at(2) })] }));
    expect(text).toMatch(/live-a \(a\) gives way/);
    expect(text).not.toMatch(/live-b/);
    expect(text).toMatch(/domain of its own: 1-1-\(hash\)\.shop\.example\.com/);
  });

  const tags = (items: Partial<RuleTrial['items'][number]>[], considered = items.length) =>
    ({ asked: true, considered, items }) as unknown as RuleTrial;
  it.each([
    ['production', { stage: stage({ kind: 'production' }) }, /production/],
    ['one under way', { deploys: [deploy({ image_tag: '0.9' })] }, /0\.9 is being deployed/],
    [
      'one that it supersedes',
      { deploys: [deploy(), deploy({ state: 'queued', image_tag: '0.8' })] },
      /0\.8 waits for its turn, and is superseded/,
    ],
    ['a tag that the registry does not list', { trial: tags([{ tag: '1.0' }]) }, /does not list 1\.1/],
    [
      'a tag that is not what the stage follows',
      {
        stage: stage({ mode: 'auto', tag_rule: { kind: 'semver', pattern: '2' } }),
        trial: tags([{ tag: '1.1', matched: false, why: 'below 2' }]),
      },
      /below 2\. The next new tag/,
    ],
  ])('warns of %s', (_, a, want) => expect(ask(a).warns.join('\n')).toMatch(want));
  it.each([
    ['a list that was cut', { trial: tags([{ tag: '1.0' }], 9000) }],
    ['a registry that was not asked', { trial: null }],
    ['a digest', { tag: 'sha256:' + 'a'.repeat(64), trial: tags([{ tag: '1.0' }]) }],
    ['a deploy of another stage', { deploys: [deploy({ stage_id: 'other' })] }],
    ['one that has ended', { deploys: [deploy({ state: 'done' })] }],
  ])('does not warn because of %s', (_, a) => expect(ask(a).warns).toEqual([]));
});
