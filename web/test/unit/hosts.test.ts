import { expect, test } from 'vitest';
import type { Host } from '$lib/api/client';
import { endpointOf, placeOf, type Way } from '../../src/pages/hosts/endpoint';
import { changeOf, factsOf, formOf, goBy, otherServer } from '../../src/pages/hosts/form';

const host = (h: Partial<Host>, by: Partial<Host['reached_by']> = {}) =>
  ({
    id: '1',
    name: 'far',
    revision: 3,
    endpoint: 'ssh://watcher@10.0.0.6:22',
    reached_by: { way: 'ssh', plain: false, ...by },
    ...h,
  }) as Host;

test.each<[string, Way, string]>([
  ['unix:///run/podman/podman.sock', 'unix', ''],
  ['tcp://10.0.0.5:2376', 'tls', '10.0.0.5'],
  ['tcp://[2001:db8::1]:2375', 'tcp', '[2001:db8::1]'],
  ['ssh://watcher@build-3:2222/run/user/1000/docker.sock', 'ssh', 'build-3'],
  ['ssh://watcher@build-3:22', 'ssh', 'build-3'],
])('%s is the same after it was in a form', (endpoint, way, name) => {
  const place = placeOf(endpoint, way);
  expect(place.host).toBe(name);
  expect(endpointOf(place)).toBe(endpoint);
});

test('what is left empty is what it usually is', () => {
  const f = formOf();
  expect(f.way).toBe('ssh');
  Object.assign(f, { user: ' watcher ', host: 'build-3', port: '', path: '' });
  expect(endpointOf(f)).toBe('ssh://watcher@build-3:22');
  goBy(f, 'tls', 'ssh');
  expect(endpointOf(f)).toBe('tcp://build-3:2376');
  f.port = '1234';
  goBy(f, 'ssh', 'tls');
  expect(endpointOf(f)).toBe('ssh://watcher@build-3:1234');
});

test('facts have only what belongs to the way, and nothing empty', () => {
  const f = { ...formOf(), name: 'far', host: 'h', user: 'u', key: 'K', ca: 'CA', sshKey: 'S', hostKey: '' };
  expect(factsOf(f)).toEqual({ name: 'far', endpoint: 'ssh://u@h:22', ssh: { key: 'S' } });
  expect(factsOf({ ...f, way: 'tls' as Way, port: '2376' })).toEqual({
    name: 'far',
    endpoint: 'tcp://h:2376',
    tls: { ca: 'CA', key: 'K' },
  });
  expect(factsOf({ ...f, way: 'tcp' as Way, port: '2375' })).toEqual({ name: 'far', endpoint: 'tcp://h:2375', plain: true });
});

test('a form that nobody touched changes nothing', () => {
  for (const h of [
    host({}, { host_key: 'ssh-ed25519 AAAA' }),
    host({ endpoint: 'ssh://watcher@10.0.0.6' }, { host_key: 'ssh-ed25519 AAAA' }),
    host({ endpoint: 'tcp://h:2376' }, { way: 'tls', server_name: 'engine' }),
    host({ endpoint: 'tcp://h:2375' }, { way: 'tcp', plain: true }),
    host({ endpoint: 'unix:///run/d.sock' }, { way: 'unix' }),
  ])
    expect(changeOf(h, formOf(h))).toEqual({});
});

test('a change has what is different, and secrets only when they were typed', () => {
  const h = host({}, { host_key: 'ssh-ed25519 AAAA' });
  const f = formOf(h);
  f.name = 'farther';
  expect(changeOf(h, f)).toEqual({ name: 'farther' });
  f.sshKey = 'NEW';
  expect(changeOf(h, f)).toEqual({ name: 'farther', ssh: { key: 'NEW' } });
  expect(otherServer(h, f)).toBe(false);
  f.host = '10.0.0.7';
  f.hostKey = '';
  expect(otherServer(h, f)).toBe(true);
  expect(changeOf(h, f)).toEqual({ name: 'farther', endpoint: 'ssh://watcher@10.0.0.7:22', ssh: { key: 'NEW', host_key: '' } });
});

test('certificates in place of an open way', () => {
  const h = host({ endpoint: 'tcp://h:2375' }, { way: 'tcp', plain: true });
  const f = { ...formOf(h), way: 'tls' as Way, cert: 'C', key: 'K' };
  expect(changeOf(h, f)).toEqual({ plain: false, tls: { cert: 'C', key: 'K' } });
});

test('an open way in place of certificates forgets them', () => {
  const h = host({ endpoint: 'tcp://h:2376' }, { way: 'tls' });
  const f = formOf(h);
  goBy(f, 'tcp', 'tls');
  expect(changeOf(h, f)).toEqual({
    endpoint: 'tcp://h:2375',
    plain: true,
    tls: { ca: '', cert: '', key: '', server_name: '' },
  });
});

test('a server name is taken away', () => {
  const h = host({ endpoint: 'tcp://h:2376' }, { way: 'tls', server_name: 'engine' });
  expect(changeOf(h, { ...formOf(h), serverName: '' })).toEqual({ tls: { server_name: '' } });
});
