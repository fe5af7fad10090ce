import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ApiError, type Route } from '$lib/api/client';
import { filled, parts, proxyChange, routeChange, textOf, trialOf, type Part, type Text } from '../../src/pages/routes/form';
import { checkPlaces, mistakes, places } from '../../src/pages/routes/mistakes';

/** One that says something of every field. */
const full = {
  id: 'r1',
  domains: ['a.example', 'b.example'],
  path_prefix: '/api',
  strip_prefix: true,
  enabled: false,
  notes: ' the fair ',
  targets: ['http://10.0.0.5', 'container:web:80'],
  tls: 'own',
  certificate: 'wiki',
  redirect_https: true,
  hsts_seconds: 31536000,
  redirect_code: 308,
  request_headers: [
    { name: 'X-From', value: 'proxy' },
    { name: 'Authorization', secret: true },
    { name: 'Authorization', secret: true },
    { name: 'X-Gone' },
  ],
  response_headers: [{ name: 'Set-Cookie', secret: true }],
  basic_auth: ['anna', 'bert'],
  allow_ips: ['10.0.0.0/8', '::1'],
  deny_ips: ['10.0.0.7'],
  connect_timeout: '2s',
  response_timeout: '1h30m0s',
  max_body_bytes: 1_000_001,
  target_ca: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n',
  target_tls_verify: false,
  rewrite_host: true,
  websockets: false,
  health_check: { path: '/healthz?a=1', interval: '1m0s', timeout: '3s', passes: 2, fails: 4 },
  maintenance: true,
  maintenance_note: 'until noon',
  compress: true,
  access_log: true,
  stage_id: 's',
  instance_id: 'i',
  port: 8080,
} as unknown as Route;
const away = { ...full, targets: undefined, redirect_to: 'https://www.example.com', redirect_code: 301 } as Route;
const plain = { domains: ['a.example'], path_prefix: '/', basic_auth: [], websockets: true, enabled: true, tls: 'off' } as unknown as Route;

type Schema = { properties: Record<string, unknown> };
const schemas = JSON.parse(readFileSync(join(process.cwd(), '../docs/openapi.json'), 'utf8')).components.schemas as Record<string, Schema>;
const namesIn = (schema: string) => Object.keys(schemas[schema]!.properties).filter((n) => n !== '$schema');

describe('the form of a route', () => {
  it.each(['CreateProxyRequest', 'UpdateProxyRequest', 'CreateRouteRequest', 'UpdateRouteRequest', 'TryProxyRequest'])(
    'has a place for all of %s',
    (schema) => expect(namesIn(schema).filter((n) => !(n in places))).toEqual([]),
  );
  it('has a place for all of a health check, and for nothing else', () => {
    expect(Object.keys(checkPlaces).sort()).toEqual(namesIn('HealthCheck').sort());
    expect(Object.values(places).filter((field) => field !== 'stage' && !(field in textOf()))).toEqual([]);
  });
  it('knows all of a header and of somebody who signs in', () => {
    expect(namesIn('Header').sort()).toEqual(['name', 'secret', 'value']);
    expect(namesIn('Credential').sort()).toEqual(['password', 'user']);
  });
  it.each([
    ['full', full],
    ['sent elsewhere', away],
    ['plain', plain],
    ['gone', { ...plain, stage_id: 's', port: 80 } as Route],
    ['with the code of a redirect it no longer makes', { ...plain, redirect_code: 302 } as Route],
  ])('asks for nothing of one that was not touched: %s', (_, route) => {
    expect(proxyChange(textOf(route), route)).toEqual({});
    expect(routeChange(textOf(route), route)).toEqual({});
  });
  it('says every field of another one', () => {
    const { id: _, stage_id, instance_id, port, ...fields } = full;
    const shared = {
      ...fields,
      maintenance_note: 'until noon',
      compress: true,
      access_log: true,
      response_timeout: '1h30m',
      health_check: { ...full.health_check, interval: '1m' },
    };
    const people = [{ user: 'anna' }, { user: 'bert' }];
    expect(proxyChange(textOf(full))).toEqual({ ...shared, basic_auth: people });
    const { targets: __, ...rest } = shared;
    expect(routeChange(textOf(full))).toEqual({ ...rest, basic_auth: people, instance_id, port });
    expect(Object.keys(proxyChange({ ...textOf(full), redirectTo: 'https://c.example', to: 'elsewhere' })).sort()).toEqual(
      namesIn('UpdateProxyRequest')
        .filter((n) => n !== 'targets') // one that sends elsewhere has none
        .sort(),
    );
    expect(stage_id).toBe('s');
  });
  it('asks for what was changed only', () => {
    expect(proxyChange({ ...textOf(full), notes: 'x' }, full)).toEqual({ notes: 'x' });
    expect(proxyChange({ ...textOf(full), health: '/ready' }, full).health_check).toEqual({
      ...full.health_check,
      path: '/ready',
      interval: '1m',
    });
    expect(proxyChange({ ...textOf(full), health: ' ', path: '' }, full)).toEqual({ health_check: null, path_prefix: '/' });
    expect(proxyChange({ ...textOf(full), connect: '', maxBody: '', hsts: '' }, full)).toEqual({
      connect_timeout: '',
      max_body_bytes: 0,
      hsts_seconds: 0,
    });
    expect(proxyChange({ ...textOf(full), maxBody: '0.5' }, full)).toEqual({ max_body_bytes: 1 << 19 });
    expect(proxyChange({ ...textOf(full), tls: 'auto' }, full)).toEqual({ tls: 'auto', certificate: '' });
  });
  it('is led to targets, or sent elsewhere, and never both', () => {
    expect(proxyChange({ ...textOf(full), to: 'elsewhere', redirectTo: 'https://c.example ' }, full)).toEqual({
      redirect_to: 'https://c.example',
      targets: [],
    });
    expect(proxyChange({ ...textOf(away), to: 'targets', targets: 'http://10.0.0.9' }, away)).toEqual({
      redirect_to: '',
      targets: ['http://10.0.0.9'],
    });
  });
  it('keeps secret values that nobody wrote anew, and sends none that is empty', () => {
    const text = textOf(full);
    text.people[1]!.value = 'correct horse';
    text.people.push({ name: 'carl', value: 'battery staple', kept: false }, { name: ' ', value: '', kept: false });
    text.requestHeaders[1]!.value = 'Bearer new';
    text.requestHeaders.splice(3, 1);
    expect(proxyChange(text, full)).toEqual({
      basic_auth: [{ user: 'anna' }, { user: 'bert', password: 'correct horse' }, { user: 'carl', password: 'battery staple' }],
      request_headers: [
        { name: 'X-From', value: 'proxy' },
        { name: 'Authorization', value: 'Bearer new' },
        { name: 'Authorization', secret: true },
      ],
    });
  });
  it('tries what is written, as it would be asked', () => {
    expect(trialOf(textOf(full))).toEqual({
      targets: full.targets,
      path: '/healthz?a=1',
      domain: 'a.example',
      rewrite_host: true,
      target_ca: full.target_ca,
      target_tls_verify: false,
    });
    expect(Object.keys(trialOf(textOf(full))).sort()).toEqual(namesIn('TryProxyRequest').sort());
  });
  it('unfolds what says something', () => {
    expect(Object.values(filled(textOf(plain)))).not.toContain(true);
    expect(Object.values(filled(textOf(full)))).not.toContain(false);
    const usual = { ...plain, connect_timeout: '5s', response_timeout: '1m0s', max_body_bytes: 0, request_headers: [] } as Route;
    expect(Object.values(filled(textOf(usual)))).not.toContain(true);
    expect(filled(textOf({ ...usual, maintenance_note: 'soon' } as Route)).upkeep).toBe(true);
  });
});

describe('mistakes of a route', () => {
  const text: Text = { ...textOf(full), requestHeaders: [{ name: '', value: '', kept: false }, ...textOf(full).requestHeaders] };
  const told = (...at: string[]) =>
    mistakes(
      new ApiError(
        422,
        'invalid',
        'nothing was done',
        'look again',
        at.map((location) => ({ location, message: 'wrong' })),
      ),
      text,
    );
  it.each([
    ['body.domains[1]', 'domains', 'b.example: wrong'],
    ['body.domains', 'domains', 'wrong'],
    ['body.targets[0]', 'targets', 'http://10.0.0.5: wrong'],
    ['body.deny_ips[0]', 'deny', 'wrong'],
    ['body.allow_ips[1]', 'allow', '::1: wrong'],
    ['body.health_check', 'health', 'wrong'],
    ['body.health_check.interval', 'interval', 'wrong'],
    ['body.basic_auth[1].password', 'people.1', 'wrong'],
    ['body.request_headers[0].name', 'requestHeaders.1', 'wrong'], // the first row is not sent
    ['body.request_headers[9]', 'requestHeaders', 'wrong'],
    ['body.response_headers[0]', 'responseHeaders.0', 'wrong'],
    ['body.redirect_to', 'redirectTo', 'wrong'],
    ['body.target_ca', 'targetCa', 'wrong'],
    ['body.stage_id', 'stage', 'wrong'],
    ['body.path', 'health', 'wrong'],
  ])('%s is said beside %s', (location, field, said) => expect(told(location)).toEqual({ of: { [field]: said }, rest: '' }));
  it('come together where one field has several', () =>
    expect(told('body.domains[0]', 'body.domains[1]').of).toEqual({ domains: 'a.example: wrong; b.example: wrong' }));
  it('are said above where there is no place for them', () => {
    expect(told('body.colour').rest).toBe('nothing was done. colour: wrong. look again');
    expect(mistakes(new ApiError(409, 'not_served', 'it is not served', 'look', []), text).rest).toBe('it is not served. look');
  });
  it('unfold the part they are in', () => {
    const at: Record<string, Part | undefined> = {};
    for (const location of ['body.basic_auth[0]', 'body.max_body_bytes', 'body.health_check.fails', 'body.maintenance_note'])
      for (const field of Object.keys(told(location).of))
        at[field] = (Object.keys(parts) as Part[]).find((p) => (parts[p] as string[]).includes(field.split('.')[0]!));
    expect(at).toEqual({ 'people.0': 'access', maxBody: 'limits', fails: 'health', maintenanceNote: 'upkeep' });
  });
});
