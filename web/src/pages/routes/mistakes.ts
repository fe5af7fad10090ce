import type { ApiError } from '$lib/api/client';
import type { components } from '$lib/api/schema';
import { lines, type ProxyFields, type RouteFields, type Text } from './form';
import { sentOf } from './rows';

type Asked = keyof ProxyFields | keyof RouteFields | 'stage_id';
type Tried = Exclude<keyof components['schemas']['TryProxyRequest'], '$schema'>;

/** Where the form has what the API calls so. */
export const places: Record<Asked | Tried, keyof Text | 'stage'> = {
  domains: 'domains',
  domain: 'domains',
  path_prefix: 'path',
  strip_prefix: 'strip',
  targets: 'targets',
  redirect_to: 'redirectTo',
  redirect_code: 'redirectCode',
  stage_id: 'stage',
  port: 'port',
  instance_id: 'instance',
  notes: 'notes',
  enabled: 'enabled',
  tls: 'tls',
  certificate: 'certificate',
  redirect_https: 'redirect',
  hsts_seconds: 'hsts',
  basic_auth: 'people',
  allow_ips: 'allow',
  deny_ips: 'deny',
  request_headers: 'requestHeaders',
  response_headers: 'responseHeaders',
  rewrite_host: 'rewriteHost',
  websockets: 'websockets',
  target_ca: 'targetCa',
  target_tls_verify: 'verify',
  health_check: 'health',
  path: 'health',
  connect_timeout: 'connect',
  response_timeout: 'response',
  max_body_bytes: 'maxBody',
  maintenance: 'maintenance',
  maintenance_note: 'maintenanceNote',
  compress: 'compress',
  access_log: 'accessLog',
};

/** The same of a health check. */
export const checkPlaces: Record<keyof components['schemas']['HealthCheck'], keyof Text> = {
  path: 'health',
  interval: 'interval',
  timeout: 'timeout',
  passes: 'passes',
  fails: 'fails',
};

/** Mistakes by the field of the form, of a row as requestHeaders.1; the others are said above the form. */
export type Mistakes = { of: Record<string, string>; rest: string };

export function mistakes(err: ApiError, text: Text): Mistakes {
  const of: Record<string, string> = {};
  const rest: string[] = [];
  for (const f of err.fields) {
    const location = f.location.replace(/^body\./, '');
    const { field, said } = placeOf(location, text);
    if (field) of[field] = [of[field], said ? `${said}: ${f.message}` : f.message].filter(Boolean).join('; ');
    else rest.push(`${location}: ${f.message}`);
  }
  const above = err.fields.length && !rest.length ? '' : [err.message, ...rest, err.hint].filter(Boolean).join('. ');
  return { of, rest: above };
}

/** The field, and of a list of lines which of them. */
function placeOf(location: string, text: Text): { field?: string; said?: string } {
  const [, name = '', index, inner = ''] = /^(\w+)(?:\[(\d+)\])?(?:\.(\w+))?/.exec(location) ?? [];
  const field = (places as Record<string, keyof Text | 'stage'>)[name];
  if (name === 'health_check') return { field: (checkPlaces as Record<string, keyof Text>)[inner] ?? 'health' };
  if (!field || field === 'stage' || index === undefined) return { field };
  const held = text[field];
  if (Array.isArray(held)) {
    const row = sentOf(held)[Number(index)];
    return { field: row ? `${field}.${held.indexOf(row)}` : field };
  }
  const all = lines(String(held));
  return { field, said: all.length > 1 ? all[Number(index)] : undefined };
}
