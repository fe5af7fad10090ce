import type { ApiError, Route, RouteChange } from '$lib/api/client';

/** A route or a standalone proxy as texts of a form. */
export type Text = {
  domains: string;
  path: string;
  strip: boolean;
  targets: string;
  port: string;
  health: string;
  user: string;
  password: string;
  notes: string;
  websockets: boolean;
  maintenance: boolean;
  tls: string;
  certificate: string;
  redirect: boolean;
};

const lines = (text: string) =>
  text
    .split(/[\s,]+/)
    .map((s) => s.trim())
    .filter(Boolean);

export const textOf = (r?: Route): Text => ({
  domains: (r?.domains ?? []).join('\n'),
  path: r?.path_prefix ?? '/',
  strip: r?.strip_prefix ?? false,
  targets: (r?.targets ?? []).join('\n'),
  port: r?.port ? String(r.port) : '',
  health: r?.health_check?.path ?? '',
  user: r?.basic_auth[0] ?? '',
  password: '',
  notes: r?.notes ?? '',
  websockets: r?.websockets ?? true,
  maintenance: r?.maintenance ?? false,
  tls: r?.tls ?? 'off',
  certificate: r?.certificate ?? '',
  redirect: r?.redirect_https ?? false,
});

export const targetsOf = (text: Text) => lines(text.targets);

/** What is asked for; of one that is there only what the form shows, and people beside the first stay as they are. */
export function fieldsOf(text: Text, was?: Route): RouteChange {
  const fields: RouteChange = {
    domains: lines(text.domains),
    path_prefix: text.path.trim() || '/',
    strip_prefix: text.strip,
    websockets: text.websockets,
    maintenance: text.maintenance,
    tls: text.tls as RouteChange['tls'],
    redirect_https: text.redirect,
  };
  if (text.tls === 'own') fields.certificate = text.certificate;
  const health = text.health.trim();
  if (health !== (was?.health_check?.path ?? '')) fields.health_check = health ? { ...was?.health_check, path: health } : null;
  const user = text.user.trim();
  if (user !== (was?.basic_auth[0] ?? '') || text.password) {
    const others = (was?.basic_auth ?? []).slice(1).map((name) => ({ user: name }));
    fields.basic_auth = user ? [{ user, ...(text.password ? { password: text.password } : {}) }, ...others] : others;
  }
  return fields;
}

/** Which field of the form each mistake belongs to; the others are said above the form. */
export function mistakes(err: ApiError): { of: Record<string, string>; rest: string } {
  const known: Record<string, string> = {
    domains: 'domains',
    path_prefix: 'path',
    targets: 'targets',
    stage_id: 'stage',
    port: 'port',
    health_check: 'health',
    basic_auth: 'user',
    notes: 'notes',
    tls: 'tls',
    certificate: 'certificate',
  };
  const of: Record<string, string> = {};
  const rest: string[] = [];
  for (const f of err.fields) {
    const field = known[f.location.replace(/^body\./, '').split(/[[.]/, 1)[0]!];
    if (field) of[field] = [of[field], f.message].filter(Boolean).join('; ');
    else rest.push(`${f.location.replace(/^body\./, '')}: ${f.message}`);
  }
  const said = err.fields.length && !rest.length ? '' : [err.message, ...rest, err.hint].filter(Boolean).join('. ');
  return { of, rest: said };
}

/** How a route does, in one word: as it is served, then as its targets are. */
export function stateOf(r: Route): { word: string; tone: 'ok' | 'warn' | 'bad' | 'plain'; up: number; all: number } {
  const targets = r.health?.targets ?? [];
  const up = targets.filter((t) => t.state === 'up').length;
  const all = targets.length;
  if (r.state === 'disabled') return { word: 'disabled', tone: 'plain', up, all };
  if (r.state !== 'served') return { word: r.state, tone: r.state === 'not_served' ? 'bad' : 'warn', up, all };
  if (r.maintenance) return { word: 'maintenance', tone: 'warn', up, all };
  if (up === all) return { word: 'up', tone: 'ok', up, all };
  if (up > 0) return { word: 'some', tone: 'warn', up, all };
  return { word: targets[0]!.state, tone: 'bad', up, all };
}

export const nameOf = (r: Route) => (r.domains[0] ?? r.id) + (r.path_prefix === '/' ? '' : r.path_prefix);
