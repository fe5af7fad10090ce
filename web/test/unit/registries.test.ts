import { describe, expect, it } from 'vitest';
import type { Registry, Stage } from '$lib/api/client';
import { followingChange, followingOf, newFollowing, ruleOf } from '$lib/following';
import { hostOf, notSetUp, repositoryOf, sightOf } from '$lib/registries';
import { sources } from '$lib/sources';

describe('the registry of an image', () => {
  it.each([
    ['shop', 'docker.io'],
    ['acme/shop', 'docker.io'],
    ['index.docker.io/acme/shop', 'docker.io'],
    ['ghcr.io/acme/shop', 'ghcr.io'],
    ['GHCR.io/acme/shop', 'ghcr.io'],
    ['10.0.0.7:5000/shop', '10.0.0.7:5000'],
    ['localhost/shop', 'localhost'],
  ])('of %s is %s', (image, host) => expect(hostOf(image)).toBe(host));
  it('has repositories without its host', () => {
    expect(repositoryOf('ghcr.io/acme/shop', 'ghcr.io')).toBe('acme/shop');
    expect(repositoryOf('acme/shop', 'docker.io')).toBe('acme/shop');
  });
  it('is offered to be set up once, unless it is or has none', () =>
    expect(notSetUp(['acme/shop', 'nginx', 'ghcr.io/a/b', 'localhost/x', 'own.example/y'], [{ host: 'ghcr.io' } as Registry])).toEqual([
      'docker.io',
      'own.example',
    ]));
});

describe('how well a registry can be asked', () => {
  const now = Date.parse('2026-11-29T12:00:00Z');
  const at = (minutes: number) => new Date(now + minutes * 60_000).toISOString();
  const registry = (edit: (r: Registry) => void) => {
    const r = {
      use: { stages: 1, following: 1, repositories: 1, blind: 0, last_at: null },
      allowance: null,
      last_test: null,
    } as unknown as Registry;
    edit(r);
    return sightOf(r, now);
  };
  const test = (minutes: number, ok: boolean) => ({ at: at(minutes), ok }) as Registry['last_test'];
  it.each<[string, (r: Registry) => void, string]>([
    ['nothing was asked', () => {}, 'waiting'],
    ['nobody follows it', (r) => (r.use.following = 0), 'unused'],
    ['it was asked', (r) => (r.use.last_at = at(-1)), 'ok'],
    ['it could not be asked', (r) => ((r.use.last_at = at(-1)), (r.use.blind = 2)), 'blind'],
    ['a test failed after that', (r) => ((r.use.last_at = at(-9)), (r.last_test = test(-1, false))), 'failed'],
    ['a test failed before that', (r) => ((r.use.last_at = at(-1)), (r.last_test = test(-9, false))), 'ok'],
    ['only a test went well', (r) => (r.last_test = test(-1, true)), 'ok'],
    ['a test that went well is no end of what could not be asked', (r) => ((r.use.blind = 1), (r.last_test = test(-1, true))), 'blind'],
    ['it wants to be left alone', (r) => ((r.use.blind = 1), (r.allowance = { retry_at: at(5) } as Registry['allowance'])), 'held'],
    ['it wanted to be left alone', (r) => (r.allowance = { retry_at: at(-5) } as Registry['allowance']), 'waiting'],
  ])('%s', (_, edit, want) => expect(registry(edit)).toBe(want));
});

describe('a tag rule in a form', () => {
  const stage = {
    tag_rule: { kind: 'glob', pattern: 'main-*', order: 'created', ignore: ['*-a', '*-b'] },
    mode: 'auto',
    min_image_age: '36h',
    poll_interval: '1m',
  } as Stage;
  it('comes out as it went in', () =>
    expect(followingChange(followingOf(stage))).toEqual({
      tag_rule: stage.tag_rule,
      mode: 'auto',
      min_image_age: '36h',
      poll_interval: '1m',
    }));
  it('says nothing that its kind does not know', () => {
    expect(ruleOf({ ...followingOf(stage), kind: 'semver', pattern: ' ^1 ', pre: true, ignore: '' })).toEqual({
      kind: 'semver',
      pattern: '^1',
      pre_releases: true,
    });
    expect(ruleOf({ ...followingOf(stage), kind: 'moving', pattern: 'latest', pre: true, ignore: '' })).toEqual({
      kind: 'moving',
      pattern: 'latest',
    });
  });
  it('is none where nothing is followed, and then nothing is deployed by it', () => {
    const none = { ...followingOf(stage), kind: '' as const };
    expect(followingChange(none)).toMatchObject({ tag_rule: null, mode: 'manual' });
    expect(newFollowing(followingOf(undefined))).toEqual({ mode: 'manual', min_image_age: '0s' });
  });
  it('splits what is ignored at spaces and commas', () =>
    expect(ruleOf({ ...followingOf(stage), ignore: ' *-x, y-* \n' })?.ignore).toEqual(['*-x', 'y-*']));
});

it('the filter of events has the poller, and each source once', () => {
  expect(sources).toContain('poller');
  expect(new Set(sources).size).toBe(sources.length);
});
