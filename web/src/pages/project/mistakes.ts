import type { ApiError } from '$lib/api/client';
import type { EnvRow, SpecText } from '$lib/spec';

/** What is wrong with a spec, by the field of the form that says it. */
export type Mistakes = { of: Partial<Record<keyof SpecText, string>>; env: Map<EnvRow, { name?: string; value?: string }> };

export const noMistakes = (): Mistakes => ({ of: {}, env: new Map() });

const fields: Record<string, keyof SpecText> = {
  ports: 'ports',
  mounts: 'mounts',
  networks: 'networks',
  'resources.memory': 'memory',
  'resources.cpus': 'cpus',
  'resources.pids': 'pids',
  command: 'command',
  entrypoint: 'entrypoint',
  user: 'user',
  workdir: 'workdir',
  cap_drop: 'capDrop',
  labels: 'labels',
  stop_grace: 'grace',
  'healthcheck.test': 'checkCommand',
  'healthcheck.interval': 'checkInterval',
  'healthcheck.retries': 'checkRetries',
  'health.port': 'healthPort',
  'health.path': 'healthPath',
  'power.cap_add': 'capAdd',
};

/** What the form shows only while another of its fields says so. */
function shows(t: SpecText, field: keyof SpecText): boolean {
  if (field.startsWith('check')) return t.checkKind === 'cmd';
  if (field === 'healthPath') return t.healthKind === 'http';
  return field !== 'healthPort' || t.healthKind !== '';
}

const and = (former: string | undefined, more: string) => [former, more].filter(Boolean).join('; ');

/** Puts each mistake of a refused stage to its field; the others are said above the form, after what became of the request. */
export function mistakesOf(err: ApiError, t: SpecText): Mistakes & { rest: string } {
  const found = noMistakes();
  const rest: string[] = [];
  const sent = t.env.filter((r) => r.name.trim() || r.value);
  for (const f of err.fields) {
    const [, place = '', at, part = ''] = /^body\.spec\.([^[]*)(?:\[(\d+)\](?:\.(\w+))?)?/.exec(f.location) ?? [];
    const row = place === 'env' ? sent[Number(at)] : undefined;
    const field = fields[place.startsWith('labels.') ? 'labels' : place];
    if (row) {
      const of = found.env.get(row) ?? {};
      const input = part === 'name' ? 'name' : 'value';
      found.env.set(row, { ...of, [input]: and(of[input], f.message) });
    } else if (field && shows(t, field)) found.of[field] = and(found.of[field], f.message);
    else rest.push(`${f.location.replace(/^body\./, '')}: ${f.message}`);
  }
  return { ...found, rest: [err.message, ...rest, err.hint].filter(Boolean).join('. ') };
}
