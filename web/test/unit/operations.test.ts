import { describe, expect, it } from 'vitest';
import type { Finding, HostWork, Job } from '$lib/api/operations';
import { exportAddress } from '../../src/pages/events/export';
import { nameOf, placeOf, sorted } from '../../src/pages/operations/findings';
import { inOrder, reason, scheduleWords, tookWords, troubles } from '../../src/pages/operations/work';

const job = (state: Job['state'], ...hosts: HostWork['state'][]) =>
  ({ name: 'j', state, hosts: hosts.map((s) => ({ state: s }) as HostWork) }) as Job;

describe('work that comes by itself', () => {
  it.each([
    ['@every 24h0m0s', 'every 1 d'],
    ['@every 1h30m0s', 'every 1 h 30 min'],
    ['@every 10m', 'every 10 min'],
    ['@every 30s', 'every 30 s'],
    ['17 3 * * *', 'daily at 03:17 UTC'],
    ['17 3 * * 1', '17 3 * * 1 UTC'],
    ['@daily', '@daily UTC'],
  ])('%s comes %s', (spec, want) => expect(scheduleWords(spec)).toBe(want));

  it.each([
    [null, ''],
    [undefined, ''],
    [0, 'under 1 ms'],
    [999, '999 ms'],
    [1500, '1.5 s'],
    [90_000, '1 min 30 s'],
  ])('%s ms is %s', (ms, want) => expect(tookWords(ms)).toBe(want));

  it('counts what is late, failed or could not be judged, on hosts too, and nothing else', () => {
    expect(troubles([job('well', 'well'), job('waiting'), job('running', 'running', 'waiting')])).toBe(0);
    expect(troubles([job('failed'), job('overdue', 'blind', 'well'), job('well', 'failed')])).toBe(4);
  });

  it('stands in one order, whatever its state, and what has no name comes last', () => {
    const named = ['zeta', 'backup', 'alpha', 'stale-scan'].map((name) => ({ ...job('well'), name }));
    expect(inOrder(named).map((j) => j.name)).toEqual(['stale-scan', 'backup', 'zeta', 'alpha']);
  });

  it('says why, and nothing of what is well', () => {
    expect(reason({ ...job('failed'), last_error: 'no room' })).toBe('no room');
    expect(reason(job('overdue'))).not.toBe('');
    expect(reason(job('well'))).toBe('');
  });
});

describe('findings', () => {
  const finding = (name: string, severity: Finding['severity']) => ({ name, severity, ok: severity === 'ok' }) as Finding;

  it('come with the worst first, and what is well apart', () => {
    const { open, well } = sorted([
      finding('a', 'ok'),
      finding('b', 'info'),
      finding('c', 'error'),
      finding('d', 'warn'),
      finding('e', 'error'),
    ]);
    expect(open.map((f) => f.name)).toEqual(['c', 'e', 'd', 'b']);
    expect(well.map((f) => f.name)).toEqual(['a']);
  });

  it.each([
    ['engine:local', 'Engine local', '/hosts'],
    ['registry:ghcr.io:5000', 'Registry ghcr.io:5000', '/registries'],
    ['job:stale-scan', 'Job Scan of the hosts', '/operations'],
    ['job:new-one', 'Job new-one', '/operations'],
    ['backup', 'Backups', '/operations/backups'],
    ['disk', 'Disk', undefined],
    ['something', 'something', undefined],
    ['some:thing', 'some:thing', undefined],
  ])('%s is called %s', (name, want, href) => {
    expect(nameOf(name)).toBe(want);
    expect(placeOf(name)?.href).toBe(href);
  });
});

describe('an export', () => {
  it('asks for what the filters show, and nothing that is not set', () => {
    expect(exportAddress({ severity: ['warn', 'error'], actor: 'user:anna b', text: undefined, project: '' }, 'csv')).toBe(
      '/api/events/export?format=csv&severity=warn&severity=error&actor=user%3Aanna+b',
    );
    expect(exportAddress({}, 'ndjson')).toBe('/api/events/export?format=ndjson');
  });
});
