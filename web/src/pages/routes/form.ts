import type { Route, RouteChange } from '$lib/api/client';
import type { components } from '$lib/api/schema';
import { headerRows, headersOf, peopleOf, peopleRows, type Row } from './rows';

type S = components['schemas'];
export type ProxyFields = Omit<S['UpdateProxyRequest'], '$schema'>;
export type RouteFields = Omit<S['UpdateRouteRequest'], '$schema'>;

/** A route or a standalone proxy as texts of a form. What is as by default is empty. */
export type Text = {
  domains: string;
  path: string;
  strip: boolean;
  to: string; // targets, or elsewhere: who comes is sent there
  targets: string;
  redirectTo: string;
  redirectCode: string;
  port: string;
  instance: string;
  notes: string;
  enabled: boolean;
  tls: string;
  certificate: string;
  redirect: boolean;
  hsts: string; // seconds
  people: Row[];
  allow: string;
  deny: string;
  requestHeaders: Row[];
  responseHeaders: Row[];
  rewriteHost: boolean;
  websockets: boolean;
  targetCa: string;
  verify: boolean;
  health: string;
  interval: string;
  timeout: string;
  passes: string;
  fails: string;
  connect: string;
  response: string;
  maxBody: string; // MiB
  maintenance: boolean;
  maintenanceNote: string;
  compress: boolean;
  accessLog: boolean;
};

export const lines = (text: string) =>
  text
    .split(/[\s,]+/)
    .map((s) => s.trim())
    .filter(Boolean);

const mib = 1 << 20;
const number = (n?: number) => (n ? String(n) : '');
/** A duration as people write it, empty where it is the usual one: the server tells 1m0s for 1m. */
const span = (text = '', usual: string) => {
  const short = text.replace(/m0s$/, 'm').replace(/h0m$/, 'h');
  return short === usual ? '' : short;
};

export const textOf = (r?: Route): Text => ({
  domains: (r?.domains ?? []).join('\n'),
  path: r?.path_prefix ?? '/',
  strip: r?.strip_prefix ?? false,
  to: r?.redirect_to ? 'elsewhere' : 'targets',
  targets: (r?.targets ?? []).join('\n'),
  redirectTo: r?.redirect_to ?? '',
  redirectCode: number(r?.redirect_code),
  port: number(r?.port),
  instance: r?.instance_id ?? '',
  notes: r?.notes ?? '',
  enabled: r?.enabled ?? true,
  tls: r?.tls ?? 'off',
  certificate: r?.certificate ?? '',
  redirect: r?.redirect_https ?? false,
  hsts: number(r?.hsts_seconds),
  people: peopleRows(r?.basic_auth),
  allow: (r?.allow_ips ?? []).join('\n'),
  deny: (r?.deny_ips ?? []).join('\n'),
  requestHeaders: headerRows(r?.request_headers),
  responseHeaders: headerRows(r?.response_headers),
  rewriteHost: r?.rewrite_host ?? false,
  websockets: r?.websockets ?? true,
  targetCa: r?.target_ca ?? '',
  verify: r?.target_tls_verify ?? true,
  health: r?.health_check?.path ?? '',
  interval: span(r?.health_check?.interval, '10s'),
  timeout: span(r?.health_check?.timeout, '5s'),
  passes: number(r?.health_check?.passes),
  fails: number(r?.health_check?.fails),
  connect: span(r?.connect_timeout, '5s'),
  response: span(r?.response_timeout, '1m'),
  maxBody: r?.max_body_bytes ? String(r.max_body_bytes / mib) : '',
  maintenance: r?.maintenance ?? false,
  maintenanceNote: r?.maintenance_note ?? '',
  compress: r?.compress ?? false,
  accessLog: r?.access_log ?? false,
});

// Required: a field that the API gains is one that the form has to say.
const shared = (t: Text): Required<RouteChange> => ({
  domains: lines(t.domains),
  path_prefix: t.path.trim() || '/',
  strip_prefix: t.strip,
  redirect_to: t.to === 'elsewhere' ? t.redirectTo.trim() : '',
  redirect_code: Number(t.redirectCode),
  notes: t.notes,
  enabled: t.enabled,
  tls: t.tls as NonNullable<RouteChange['tls']>,
  certificate: t.tls === 'own' ? t.certificate : '',
  redirect_https: t.redirect,
  hsts_seconds: Number(t.hsts),
  basic_auth: peopleOf(t.people),
  allow_ips: lines(t.allow),
  deny_ips: lines(t.deny),
  request_headers: headersOf(t.requestHeaders),
  response_headers: headersOf(t.responseHeaders),
  rewrite_host: t.rewriteHost,
  websockets: t.websockets,
  target_ca: t.targetCa,
  target_tls_verify: t.verify,
  health_check: checkOf(t),
  connect_timeout: t.connect.trim(),
  response_timeout: t.response.trim(),
  max_body_bytes: Math.round(Number(t.maxBody) * mib),
  maintenance: t.maintenance,
  maintenance_note: t.maintenanceNote.trim(),
  compress: t.compress,
  access_log: t.accessLog,
});

type Check = NonNullable<ProxyFields['health_check']>;

function checkOf(t: Text): Check | null {
  const path = t.health.trim();
  if (!path) return null;
  const all: Required<Check> = {
    path,
    interval: t.interval.trim(),
    timeout: t.timeout.trim(),
    passes: Number(t.passes),
    fails: Number(t.fails),
  };
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v)) as Check;
}

export const targetsOf = (t: Text) => (t.to === 'elsewhere' ? [] : lines(t.targets));

/** What is tried of a standalone proxy before it is saved. */
export const trialOf = (t: Text): Omit<S['TryProxyRequest'], '$schema'> => ({
  targets: targetsOf(t),
  path: t.health.trim() || undefined,
  domain: lines(t.domains)[0],
  rewrite_host: t.rewriteHost,
  target_ca: t.targetCa || undefined,
  target_tls_verify: t.verify,
});

const proxy = (t: Text): Required<ProxyFields> => ({ ...shared(t), targets: targetsOf(t) });
const route = (t: Text): Required<RouteFields> => ({ ...shared(t), port: Number(t.port), instance_id: t.instance });

/** What differs: all else stays as it is, also what the form cannot show. */
function differing<T extends object>(now: T, before: T): Partial<T> {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => !same(value, before[name as keyof T]))) as Partial<T>;
}

/** What a form asks of a standalone proxy: of a new one what is not as by default, of one that is there what was changed. */
export const proxyChange = (t: Text, was?: Route): ProxyFields => differing(proxy(t), proxy(textOf(was)));

/** What a form asks of a route of a stage, as proxyChange. */
export const routeChange = (t: Text, was?: Route): RouteFields => differing(route(t), route(textOf(was)));

/** The parts of the form that are folded away while they say nothing. */
export const parts = {
  access: ['people', 'allow', 'deny'],
  headers: ['requestHeaders', 'responseHeaders', 'rewriteHost', 'websockets'],
  trust: ['targetCa', 'verify'],
  health: ['health', 'interval', 'timeout', 'passes', 'fails'],
  limits: ['connect', 'response', 'maxBody'],
  upkeep: ['maintenance', 'maintenanceNote', 'compress', 'accessLog'],
} satisfies Record<string, (keyof Text)[]>;
export type Part = keyof typeof parts;

/** The parts that say something. */
export function filled(t: Text): Record<Part, boolean> {
  const blank = textOf();
  const says = (f: keyof Text) => JSON.stringify(t[f]) !== JSON.stringify(blank[f]);
  return Object.fromEntries(Object.entries(parts).map(([part, fields]) => [part, fields.some(says)])) as Record<Part, boolean>;
}
