import { describe, expect, it } from 'vitest';
import { ApiError, type Event, type Host, type Instance, type Route, type Spec } from '$lib/api/client';
import { failedDeploys, needs } from '$lib/attention';
import { failedStages } from '$lib/failedstages';
import { releasable } from '$lib/keep';
import { nameOf } from '$lib/keys.svelte';
import { sizeText, specOf, textOf, type EnvRow, type SpecText } from '$lib/spec';
import { serving } from '$lib/tone';
import { chapters, lastYear, marks, stretches, unwatched } from '../../src/pages/instance/life';
import { offered, requestOf } from '../../src/pages/removed/choices';
import { mistakesOf } from '../../src/pages/project/mistakes';
import { formOf as policyForm, requestOf as policyRequest } from '../../src/pages/policy/form';
import { fateOf, holds, isLeftover, stateOf } from '../../src/pages/routes/state';
import { changed, formOf, thresholdTrial } from '../../src/pages/settings/form';

describe('mistakes of a spec', () => {
  const env = [
    { name: '', value: '', secret: true }, // not sent
    { name: 'A', value: '1', secret: true },
    { name: 'A', value: '2', secret: true },
  ];
  const text: SpecText = { ...textOf(undefined), env };
  const told = (t: SpecText, ...at: string[]) =>
    mistakesOf(
      new ApiError(
        422,
        'invalid',
        'nothing was done',
        'look again',
        at.map((location) => ({ location, message: 'wrong' })),
      ),
      t,
    );
  it.each<[string, keyof SpecText]>([
    ['body.spec.ports[1].container', 'ports'],
    ['body.spec.networks[0].aliases[1]', 'networks'],
    ['body.spec.resources.memory', 'memory'],
    ['body.spec.labels.docker-watcher.managed', 'labels'],
    ['body.spec.power.cap_add[0]', 'capAdd'],
    ['body.spec.stop_grace', 'grace'],
  ])('%s is told at its field', (at, field) =>
    expect(told(text, at)).toMatchObject({ of: { [field]: 'wrong' }, rest: 'nothing was done. look again' }),
  );
  it('tells several of one field together', () =>
    expect(told(text, 'body.spec.ports[0].host', 'body.spec.ports[1].host').of.ports).toBe('wrong; wrong'));
  it('finds the row of a variable among those that were sent', () => {
    const { env: rows } = told(text, 'body.spec.env[1].name', 'body.spec.env[0].secret');
    expect([...rows]).toEqual([
      [env[2], { name: 'wrong' }],
      [env[1], { value: 'wrong' }],
    ]);
  });
  it.each([
    'body.name',
    'body.spec.restart',
    'body.spec.healthcheck.interval',
    'body.spec.health.path',
    'body.spec.env[7].name',
    'body.spec',
  ])('%s, which has no field that is shown, is said above', (at) => {
    const { of, env: rows, rest } = told(text, at);
    expect([of, rows.size]).toEqual([{}, 0]);
    expect(rest).toBe(`nothing was done. ${at.slice(5)}: wrong. look again`);
  });
  it('is told at what another field has brought up', () =>
    expect(told({ ...text, healthKind: 'http' }, 'body.spec.health.path').of).toEqual({ healthPath: 'wrong' }));
});

describe('a spec in a form', () => {
  const spec: Spec = {
    ports: [
      { container: 80 },
      { container: 53, host: 5353, protocol: 'udp' },
      { container: 443, host: 8443, host_ip: '0.0.0.0' },
      { container: 1, host: 2, host_ip: '::1' },
    ],
    env: [
      { name: 'SECRET', secret: true },
      { name: 'MODE', secret: false, value: 'a=b\nc' },
    ],
    mounts: [
      { source: 'data', target: '/data' },
      { source: '/etc/x', target: '/x', read_only: true },
    ],
    command: ['serve', '--all the time'],
    restart: 'unless-stopped',
    health: { kind: 'http', port: 8080, path: '/healthz', timeout: '30s' },
    stop_grace: '20s',
    labels: { a: 'b=c' },
    networks: [{ name: 'front', aliases: ['web', 'www'] }, { name: 'back' }],
    resources: { memory: 512 * 1024 * 1024, cpus: 0.5, pids: 100 },
    entrypoint: ['/app', 'a b'],
    user: '1000:1000',
    workdir: '/x',
    init: true,
    read_only: true,
    cap_drop: ['NET_RAW'],
    healthcheck: { test: ['CMD', '/app', 'check'], interval: '20s', timeout: '3s', retries: 4 },
    power: { privileged: true, host_pid: true, cap_add: ['NET_ADMIN', 'SYS_TIME'] },
  };
  it('comes out as it went in, with what the form does not show', () => expect(specOf(textOf(spec), spec)).toEqual(spec));

  const empty = textOf(undefined);
  it.each([
    ['80/sctp', 'ports'],
    ['0', 'ports'],
    ['70000', 'ports'],
    ['1:2:3', 'ports'],
    ['data', 'mounts'],
    ['data:rel', 'mounts'],
    ['data:/x:rx', 'mounts'],
    [':/x', 'mounts'],
    ['front: a: b', 'networks'],
    [': a', 'networks'],
    ['lots', 'memory'],
    ['-1m', 'memory'],
    ['many', 'cpus'],
    ['-2', 'pids'],
    ['=x', 'labels'],
    ['word', 'labels'],
  ])('refuses %s for %s', (line, field) => expect(() => specOf({ ...empty, [field]: line }, undefined)).toThrow(line));

  const row = (r: Partial<EnvRow>): SpecText => ({ ...empty, env: [{ name: 'KEY', value: '', secret: true, ...r }] });
  it('keeps a secret whose value is not written', () =>
    expect(specOf(row({ was: 'secret' }), undefined).env).toEqual([{ name: 'KEY', secret: true }]));
  it('sends a value that is written, and an empty one of what is new or plain', () => {
    expect(specOf(row({ was: 'secret', value: 'x\ny' }), undefined).env).toEqual([{ name: 'KEY', secret: true, value: 'x\ny' }]);
    expect(specOf(row({}), undefined).env).toEqual([{ name: 'KEY', secret: true, value: '' }]);
    expect(specOf(row({ was: 'plain', secret: false }), undefined).env).toEqual([{ name: 'KEY', secret: false, value: '' }]);
  });
  it('does not make a secret readable without its value', () =>
    expect(() => specOf(row({ was: 'secret', secret: false }), undefined)).toThrow('KEY'));
  it('wants a name for a value', () => expect(() => specOf(row({ name: ' ', value: 'x' }), undefined)).toThrow('name'));
  it.each([
    [512 * 1024 * 1024, '512m'],
    [3 * 1024 ** 3, '3g'],
    [1537 * 1024, '1537k'],
    [1000, '1000'],
    [0, ''],
  ])('writes %s bytes as %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
    expect(specOf({ ...empty, memory: text }, undefined).resources?.memory ?? 0).toBe(bytes);
  });
  it('takes a HEALTHCHECK of its own, none, or that of the image', () => {
    expect(specOf({ ...empty, checkKind: 'cmd', checkCommand: 'curl x', checkRetries: '2' }, spec).healthcheck).toEqual({
      ...spec.healthcheck,
      test: ['CMD-SHELL', 'curl x'],
      interval: undefined,
      retries: 2,
    });
    expect(specOf({ ...empty, checkKind: 'none' }, spec).healthcheck).toEqual({ test: ['NONE'] });
    expect(specOf(empty, spec).healthcheck).toBeUndefined();
  });

  it('says nothing of health when the form says nothing', () => expect(specOf(empty, undefined).health).toBeUndefined());
});

describe('a life', () => {
  const t = (h: number) => `2026-11-23T${String(h).padStart(2, '0')}:00:00.000Z`;
  const at = (h: number) => Date.parse(t(h));
  const e = (kind: string, h: number, data = {}) => ({ kind, time: t(h), data }) as unknown as Event;
  const life = (status: string, last: number | null, started: number | null = null) =>
    ({
      status,
      created_at: t(0),
      last_alive_at: last === null ? null : t(last),
      started_at: started === null ? null : t(started),
    }) as Instance;

  it('is told by its events', () => {
    const list = stretches(
      life('stopped', 6, 4),
      [e('instance.stopped', 6), e('instance.started', 4), e('instance.stopped', 3), e('instance.started', 1)],
      at(8),
    );
    expect(list.map((s) => s.state)).toEqual(['dead', 'alive', 'dead', 'alive', 'dead']);
    expect(list.at(-1)).toEqual({ from: at(6), to: at(8), state: 'dead' });
  });
  it('ends when it was last alive, not when a scan saw it', () => {
    const list = stretches(
      life('stopped', 3, 1),
      [e('instance.status', 7, { status: 'stopped', last_alive_at: t(3) }), e('instance.started', 1)],
      at(8),
    );
    expect(list.at(-1)).toEqual({ from: at(3), to: at(8), state: 'dead' });
  });
  it('is not known where the events and the eye do not agree', () => {
    const list = stretches(life('running', 8), [e('instance.stopped', 3), e('instance.started', 1)], at(8));
    expect(list.at(-1)?.state).toBe('unknown');
  });
  it('that nobody told of is not made up', () => {
    expect(stretches(life('stopped', null), [], at(8))).toEqual([{ from: at(0), to: at(8), state: 'unknown' }]);
  });
  it('counts only what lies in the last year', () => {
    const now = at(0);
    expect(lastYear([{ from: now - 500 * 86_400_000, to: now, state: 'alive' }], now)).toEqual({ alive: 365 * 86_400_000, dead: 0 });
  });
});

describe('what needs somebody', () => {
  const host = (over: Partial<Host>) =>
    ({
      id: 'h',
      name: 'atlas',
      reachable: true,
      frozen: false,
      blind_intervals: [],
      clock_skew_ms: 0,
      stream_age_seconds: 9,
      ...over,
    }) as unknown as Host;
  const facts = { hosts: [host({})], deploys: [], instances: [], summary: null, schedule: undefined };
  const e = (kind: string, stage_id: string) => ({ kind, stage_id, time: '2026-11-23T10:00:00Z', message: kind }) as Event;

  it('is nothing when all is well', () => expect(needs(facts)).toEqual([]));
  it('is a host once, by the worst of it', () => {
    const list = needs({ ...facts, hosts: [host({ reachable: false, frozen: true, clock_skew_ms: 99_000 })] });
    expect(list.map((n) => n.title)).toEqual(['atlas does not answer']);
  });
  it('marks the stages whose last deploy failed, by the tag that it was to bring', () => {
    const failed = { ...e('deploy.failed', 's'), message: 'deploy of localhost:5000/a/shop:pr-7 to shop/dev failed: no such image' };
    expect([...failedStages([failed, e('deploy.done', 's'), e('deploy.failed', 't')])]).toEqual([
      ['s', 'pr-7'],
      ['t', ''],
    ]);
    expect(failedStages([e('deploy.started', 's'), e('deploy.done', 's'), failed]).size).toBe(0);
  });
  it('is not a host that an admin took out of use', () => {
    const blind = [{ from: '2026-11-23T10:00:00Z', to: null, reason: 'disabled' }];
    expect(
      needs({ ...facts, hosts: [host({ reachable: false, disabled_since: '2026-11-23T10:00:00Z', blind_intervals: blind })] }),
    ).toEqual([]);
  });
  it('is a failed deploy until something was deployed there since', () => {
    expect(failedDeploys([e('deploy.failed', 's')])).toHaveLength(1);
    expect(failedDeploys([e('deploy.done', 's'), e('deploy.failed', 's')])).toEqual([]);
    expect(failedDeploys([e('deploy.started', 's'), e('deploy.failed', 's')])).toHaveLength(1);
    expect(failedDeploys([e('deploy.failed', 's'), e('deploy.failed', 's')])).toHaveLength(1);
  });
  it('says of a failed deploy first what it was, then why', () => {
    const failed = {
      ...e('deploy.failed', 's'),
      message: 'deploy of shop:2 to shop/dev failed: exited with 1: look at its log',
      data: { reason: 'exited with 1' },
    };
    expect(failedDeploys([failed])[0]).toMatchObject({
      title: 'Deploy of shop:2 to shop/dev failed',
      meta: 'exited with 1: look at its log',
    });
  });
  it('is a host on which automatic cleanup is held', () => {
    const hosts = [
      { id: 'h', name: 'atlas', auto_held: 'too many', auto_held_since: null },
      { id: 'i', name: 'fine' },
    ];
    const summary = { stale: 0, kept: 0, leftovers: 0, by_age: [], stale_bytes: 0, hosts };
    expect(needs({ ...facts, summary: summary as never }).map((n) => n.meta)).toEqual(['too many']);
  });
  it('is not what is stale but kept', () => {
    const summary = { stale: 2, kept: 2, leftovers: 0, by_age: [], stale_bytes: 0, hosts: [] };
    expect(needs({ ...facts, summary: summary as never })).toEqual([]);
  });
});

it('what serves is what runs, not what is newest', () => {
  const i = (id: string, status: string) => ({ id, status, stage_id: 's' }) as Instance;
  expect(serving([i('3', 'failed'), i('2', 'running'), i('1', 'running')]).get('s')?.id).toBe('2');
  expect(serving([i('2', 'stopped'), i('1', 'pulling')]).get('s')?.id).toBe('1');
});

describe('a restore', () => {
  it('keeps a choice to be taken back once it was offered', () => {
    expect(offered(['any_port'], [{ choices: ['skip_networks', 'make_networks'] }, { choices: ['any_port'] }])).toEqual([
      'any_port',
      'skip_networks',
      'make_networks',
    ]);
  });
  it('sends only what was chosen', () => {
    expect(requestOf({ any_port: true, pull_image: false }, ' ', false)).toEqual({ any_port: true });
    expect(requestOf({}, ' web-2 ', true)).toEqual({ name: 'web-2', start: true });
  });
});

it('only a pin and a snooze can be ended by hand', () => {
  expect(['pinned', 'snoozed', 'rollback', 'keep_label', 'tag_gone'].map((kind) => releasable({ id: 'i', protection: { kind } }))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(releasable({ id: 'i', protection: null })).toBe(false);
});

describe('the settings', () => {
  const now = {
    stale_threshold_days: 7,
    scan_interval: 'auto',
    archive_layer_max_bytes: 1 << 30,
    auto_cleanup: false,
    auto_warm_up: '1h',
    plan_max_items: 50,
  } as never;
  it('send only what differs', () => {
    const form = formOf(now);
    expect(changed(now, form)).toEqual({});
    expect(changed(now, { ...form, days: 14, layerMib: 10 })).toEqual({ stale_threshold_days: 14, archive_layer_max_bytes: 10 << 20 });
  });
  it('are tried with what the level says, without what it inherits', () => {
    const policy = {
      action: 'warn',
      cleanup_after: null,
      window: null,
      keep_last: 2,
      max_per_run: null,
      max_share_percent: null,
      stale_after: '7d',
    } as never;
    expect(thresholdTrial(policy, 3, true)).toEqual({
      level: 'global',
      auto_cleanup: true,
      policy: { action: 'warn', keep_last: 2, stale_after: '3d' },
    });
  });
});

it('keys are named as bindings spell them', () => {
  const key = (k: string, over = {}) => nameOf({ key: k, metaKey: false, ctrlKey: false, shiftKey: false, ...over });
  expect([
    key('X', { shiftKey: true }),
    key('?', { shiftKey: true }),
    key('k', { ctrlKey: true }),
    key('Enter', { metaKey: true }),
    key('j'),
  ]).toEqual(['shift+x', '?', 'mod+k', 'mod+Enter', 'j']);
});

describe('a policy in a form', () => {
  const policy = (over: object) =>
    ({
      stale_after: null,
      action: null,
      cleanup_after: null,
      window: null,
      keep_last: null,
      max_per_run: null,
      max_share_percent: null,
      ...over,
    }) as never;
  const sent = (over: object) => JSON.parse(JSON.stringify(policyRequest(policyForm(policy(over), 'Europe/Berlin'))));
  it.each([
    ['nothing', {}, {}],
    ['a zero, which is not nothing', { keep_last: 0 }, { keep_last: 0 }],
    ['any time', { window: {} }, { window: {} }],
    ['every day is any time', { window: { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] } }, { window: {} }],
    [
      'a window over midnight',
      { window: { days: ['sat', 'fri'], from: '22:00', until: '05:00', time_zone: 'UTC' } },
      { window: { days: ['fri', 'sat'], from: '22:00', until: '05:00', time_zone: 'UTC' } },
    ],
    [
      'all of it',
      { stale_after: '36h', action: 'cleanup', cleanup_after: '24h', max_per_run: 5 },
      { stale_after: '36h', action: 'cleanup', cleanup_after: '24h', max_per_run: 5 },
    ],
  ])('sends back %s', (_, said, want) => expect(sent(said)).toEqual(want));
});

describe('a life as it is told', () => {
  const e = (id: string, kind: string, time: number, severity = 'info') =>
    ({ id, kind, severity, time: new Date(time).toISOString(), message: id }) as Event;
  const list = [
    { from: 100_000, to: 200_000, state: 'alive' as const },
    { from: 200_000, to: 300_000, state: 'dead' as const },
  ];
  const told = (all: ReturnType<typeof chapters>) => all.map((c) => c.entries.map((x) => ('event' in x ? x.event.id : x.blind.reason)));
  it('is newest first, each event in the stretch that it begins', () => {
    const events = [
      e('stale', 'instance.stale', 250_000, 'warn'),
      e('end', 'instance.stopped', 200_000),
      e('asked', 'deploy.started', 99_000),
    ];
    expect(told(chapters(list, events, []))).toEqual([['stale', 'end'], ['asked']]);
  });
  it('puts an end where it was last alive, not where it was seen', () => {
    const seen = { ...e('end', 'instance.missing', 290_000), data: { last_alive_at: new Date(200_000).toISOString() } };
    expect(told(chapters(list, [e('warned', 'instance.stale', 250_000), seen], []))).toEqual([['warned', 'end'], []]);
  });
  it('says what nobody watched, but not what was before it', () => {
    const blind = [
      { from: 10_000, to: 20_000, reason: 'before' },
      { from: 210_000, to: null, reason: 'down' },
    ];
    expect(told(chapters(list, [], blind))).toEqual([['down'], []]);
    expect(chapters([], [], blind)).toEqual([]);
  });
  it('counts once what nobody watched for two reasons', () => {
    const blind = [
      { from: 0, to: 150_000, reason: 'down' },
      { from: 120_000, to: 160_000, reason: 'clock' },
      { from: 290_000, to: null, reason: 'down' },
    ];
    expect(unwatched(blind, 100_000, 300_000)).toBe(70_000);
  });
  it('marks what stands out and nothing else', () => {
    const events = [
      e('r', 'instance.restarted', 1),
      e('w', 'instance.stale', 2, 'warn'),
      e('d', 'deploy.done', 3),
      e('s', 'instance.status', 4),
      e('f', 'deploy.failed', 5, 'error'),
    ];
    expect(marks(events).map((m) => m.kind)).toEqual(['restart', 'warn', 'deploy', 'error']);
  });
});

describe('a route in a list', () => {
  const route = {
    state: 'served',
    domains: ['a.example'],
    path_prefix: '/api',
    health: { targets: [{ state: 'up' }, { state: 'down' }] },
  } as unknown as Route;
  it.each([
    [{}, 'some'],
    [{ state: 'disabled' }, 'disabled'],
    [{ state: 'not_served' }, 'not_served'],
    [{ maintenance: true }, 'maintenance'],
    [{ health: { targets: [{ state: 'stopped' }] } }, 'stopped'],
    [{ health: { targets: [{ state: 'up' }] } }, 'up'],
    [{ health: { targets: [{ state: 'not_asked' }] } }, 'not_asked'],
    [{ health: { targets: [{ state: 'up' }, { state: 'not_asked' }] } }, 'up'],
    [{ health: { targets: [{ state: 'not_asked' }, { state: 'down' }] } }, 'down'],
  ])('%j does %s', (change, word) => expect(stateOf({ ...route, ...change } as Route).word).toBe(word));
  it.each([
    [{ stage_id: '' }, null, false],
    [{ stage_id: 's', instance_id: '' }, 'gone', true],
    [{ stage_id: 's', instance_id: 'i', instance_status: 'missing', stale_since: '2026-01-01T00:00:00Z' }, 'missing', true],
    [{ stage_id: 's', instance_id: 'i', instance_status: 'stopped', stale_since: '2026-01-01T00:00:00Z' }, 'stale', true],
    [{ stage_id: 's', instance_id: 'i', instance_status: 'stopped', stale_since: null }, 'stopped', false],
    [{ stage_id: 's', instance_id: 'i', instance_status: 'running', stale_since: null }, null, false],
  ])('%j has become %s', (change, fate, left) => {
    expect(fateOf({ ...route, ...change } as Route)).toBe(fate);
    expect(isLeftover({ ...route, ...change } as Route)).toBe(left);
  });
  it('is found by what is written of it, and not by what is not', () => {
    const r = { ...route, domains: ['wiki.example.com'], notes: 'The Printer' } as Route;
    expect(holds(r, ' printer ')).toBe(true);
    expect(holds(r, 'WIKI.')).toBe(true);
    expect(holds(r, '')).toBe(true);
    expect(holds(r, 'nowhere')).toBe(false);
  });
});
