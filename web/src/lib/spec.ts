import type { Spec } from './api/client';
import { stage as words } from './strings/projects';

/** A spec as people write it in a form: lines of text. */
export type SpecText = {
  ports: string;
  env: string;
  mounts: string;
  command: string;
  restart: string;
  healthKind: string;
  healthPort: string;
  healthPath: string;
};

const lines = (text: string) =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter(Boolean);

/** What a form shows of a spec. */
export function textOf(s: Spec | undefined): SpecText {
  return {
    ports: (s?.ports ?? []).map(portText).join('\n'),
    env: (s?.env ?? []).map((e) => (e.value === undefined ? e.name : `${e.name}=${e.value}`)).join('\n'),
    mounts: (s?.mounts ?? []).map((m) => `${m.source}:${m.target}${m.read_only ? ':ro' : ''}`).join('\n'),
    command: (s?.command ?? []).join('\n'),
    restart: s?.restart === 'no' ? '' : (s?.restart ?? ''),
    healthKind: s?.health?.kind ?? '',
    healthPort: s?.health?.port ? String(s.health.port) : '',
    healthPath: s?.health?.path ?? '',
  };
}

/** The spec that a form says, over the one that was there for what the form does not show. Throws words about a wrong line. */
export function specOf(t: SpecText, was: Spec | undefined): Spec {
  return {
    ...was,
    ports: lines(t.ports).map((l) => portOf(l)),
    env: lines(t.env).map(envOf),
    mounts: lines(t.mounts).map(mountOf),
    command: lines(t.command),
    restart: t.restart || undefined,
    health: t.healthKind
      ? {
          ...was?.health,
          kind: t.healthKind as 'http' | 'tcp',
          port: Number(t.healthPort) || undefined,
          path: t.healthKind === 'http' ? t.healthPath || undefined : undefined,
        }
      : was?.health?.timeout
        ? { timeout: was.health.timeout }
        : undefined,
  };
}

type Port = NonNullable<NonNullable<Spec['ports']>[number]>;

function portText(p: Port): string {
  const host = p.host ? `${p.host_ip ? `${p.host_ip.includes(':') ? `[${p.host_ip}]` : p.host_ip}:` : ''}${p.host}:` : '';
  return `${host}${p.container}${p.protocol === 'udp' ? '/udp' : ''}`;
}

const portForm = /^(?:(?:(\[[0-9a-f:]+\]|\d{1,3}(?:\.\d{1,3}){3}):)?(\d+):)?(\d+)(?:\/(tcp|udp))?$/i;

function portOf(line: string): Port {
  const m = portForm.exec(line);
  const [host, container] = [Number(m?.[2] ?? 0), Number(m?.[3])];
  if (!m || container < 1 || container > 65535 || host > 65535)
    throw new Error(words.wrongLine(words.ports, line, '[[IP:]HOST:]CONTAINER[/udp]'));
  return {
    container,
    ...(host ? { host } : {}),
    ...(m[1] ? { host_ip: m[1].replace(/[[\]]/g, '') } : {}),
    ...(m[4] ? { protocol: m[4].toLowerCase() as 'tcp' | 'udp' } : {}),
  };
}

function envOf(line: string) {
  const at = line.indexOf('=');
  if (at === 0) throw new Error(words.wrongLine(words.env, line, 'NAME=VALUE'));
  return at < 0 ? { name: line } : { name: line.slice(0, at), value: line.slice(at + 1) };
}

function mountOf(line: string) {
  const parts = line.split(':');
  const mode = parts.length === 3 ? parts.pop() : 'rw';
  const [source, target] = parts;
  if (parts.length !== 2 || !source || !target?.startsWith('/') || (mode !== 'ro' && mode !== 'rw'))
    throw new Error(words.wrongLine(words.mounts, line, 'VOLUME:/PATH[:ro]'));
  return { source, target, ...(mode === 'ro' ? { read_only: true } : {}) };
}
