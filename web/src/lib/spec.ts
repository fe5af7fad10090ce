import type { Spec } from './api/client';
import { stage as words } from './strings/stage';
import { spec as more } from './strings/spec';

/** One variable in a form. `was` says what is set: a secret whose value stays where none is written, or a plain one. */
export type EnvRow = { name: string; value: string; secret: boolean; was?: 'secret' | 'plain' };

/** A spec as people write it in a form: lines of text. */
export type SpecText = {
  ports: string;
  env: EnvRow[];
  mounts: string;
  networks: string;
  memory: string;
  cpus: string;
  pids: string;
  command: string;
  entrypoint: string;
  user: string;
  workdir: string;
  init: boolean;
  readOnly: boolean;
  capDrop: string;
  labels: string;
  grace: string;
  restart: string;
  checkKind: string;
  checkCommand: string;
  checkInterval: string;
  checkRetries: string;
  healthKind: string;
  healthPort: string;
  healthPath: string;
  privileged: boolean;
  hostNetwork: boolean;
  hostPid: boolean;
  hostIpc: boolean;
  capAdd: string;
};

const lines = (text: string) =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter(Boolean);
const names = (text: string) =>
  text
    .toUpperCase()
    .split(/[\s,]+/)
    .filter(Boolean);

/** What a form shows of a spec. */
export function textOf(s: Spec | undefined): SpecText {
  const check = s?.healthcheck;
  return {
    ports: (s?.ports ?? []).map(portText).join('\n'),
    env: (s?.env ?? []).map((e) => {
      const secret = e.secret ?? true;
      return { name: e.name, value: e.value ?? '', secret, was: secret ? 'secret' : 'plain' };
    }),
    mounts: (s?.mounts ?? []).map((m) => `${m.source}:${m.target}${m.read_only ? ':ro' : ''}`).join('\n'),
    networks: (s?.networks ?? []).map((n) => (n.aliases?.length ? `${n.name}: ${n.aliases.join(', ')}` : n.name)).join('\n'),
    memory: sizeText(s?.resources?.memory ?? 0),
    cpus: s?.resources?.cpus ? String(s.resources.cpus) : '',
    pids: s?.resources?.pids ? String(s.resources.pids) : '',
    command: (s?.command ?? []).join('\n'),
    entrypoint: (s?.entrypoint ?? []).join('\n'),
    user: s?.user ?? '',
    workdir: s?.workdir ?? '',
    init: s?.init ?? false,
    readOnly: s?.read_only ?? false,
    capDrop: (s?.cap_drop ?? []).join(' '),
    labels: Object.entries(s?.labels ?? {})
      .map(([k, v]) => `${k}=${v}`)
      .join('\n'),
    grace: s?.stop_grace ?? '',
    restart: s?.restart === 'no' ? '' : (s?.restart ?? ''),
    checkKind: check?.test?.[0] === 'NONE' ? 'none' : check?.test?.length ? 'cmd' : '',
    checkCommand: checkText(check?.test),
    checkInterval: check?.interval ?? '',
    checkRetries: check?.retries ? String(check.retries) : '',
    healthKind: s?.health?.kind ?? '',
    healthPort: s?.health?.port ? String(s.health.port) : '',
    healthPath: s?.health?.path ?? '',
    privileged: s?.power?.privileged ?? false,
    hostNetwork: s?.power?.host_network ?? false,
    hostPid: s?.power?.host_pid ?? false,
    hostIpc: s?.power?.host_ipc ?? false,
    capAdd: (s?.power?.cap_add ?? []).join(' '),
  };
}

/** The spec that a form says, over the one that was there for what the form does not show. Throws words about a wrong line. */
export function specOf(t: SpecText, was: Spec | undefined): Spec {
  const power = {
    ...(t.privileged ? { privileged: true } : {}),
    ...(t.hostNetwork ? { host_network: true } : {}),
    ...(t.hostPid ? { host_pid: true } : {}),
    ...(t.hostIpc ? { host_ipc: true } : {}),
    ...(names(t.capAdd).length ? { cap_add: names(t.capAdd) } : {}),
  };
  const resources = {
    ...(t.memory.trim() ? { memory: sizeOf(t.memory.trim()) } : {}),
    ...(t.cpus.trim() ? { cpus: numberOf(more.cpus, t.cpus.trim(), '0.5') } : {}),
    ...(t.pids.trim() ? { pids: numberOf(more.pids, t.pids.trim(), '100') } : {}),
  };
  const labels = Object.fromEntries(lines(t.labels).map(labelOf));
  return {
    ...was,
    ports: lines(t.ports).map((l) => portOf(l)),
    env: t.env.filter((r) => r.name.trim() || r.value).map(envOf),
    mounts: lines(t.mounts).map(mountOf),
    networks: lines(t.networks).map(networkOf),
    resources: Object.keys(resources).length ? resources : undefined,
    command: lines(t.command),
    entrypoint: lines(t.entrypoint),
    user: t.user.trim() || undefined,
    workdir: t.workdir.trim() || undefined,
    init: t.init || undefined,
    read_only: t.readOnly || undefined,
    cap_drop: names(t.capDrop),
    labels: Object.keys(labels).length ? labels : undefined,
    stop_grace: t.grace.trim() || undefined,
    restart: t.restart || undefined,
    healthcheck: checkOf(t, was),
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
    power: Object.keys(power).length ? power : undefined,
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

/** A secret value that is not written anew is not sent, and stays. */
function envOf(r: EnvRow) {
  const name = r.name.trim();
  if (!name) throw new Error(more.envNoName);
  const keeps = r.was === 'secret' && r.value === '';
  if (keeps && !r.secret) throw new Error(more.envKnown(name));
  return { name, secret: r.secret, ...(keeps ? {} : { value: r.value }) };
}

function mountOf(line: string) {
  const parts = line.split(':');
  const mode = parts.length === 3 ? parts.pop() : 'rw';
  const [source, target] = parts;
  if (parts.length !== 2 || !source || !target?.startsWith('/') || (mode !== 'ro' && mode !== 'rw'))
    throw new Error(words.wrongLine(words.mounts, line, 'VOLUME:/PATH[:ro]'));
  return { source, target, ...(mode === 'ro' ? { read_only: true } : {}) };
}

function networkOf(line: string) {
  const [name = '', rest = '', ...others] = line.split(':').map((p) => p.trim());
  const aliases = rest.split(/[\s,]+/).filter(Boolean);
  if (!name || others.length) throw new Error(words.wrongLine(more.networks, line, 'NAME: ALIAS, ALIAS'));
  return { name, ...(aliases.length ? { aliases } : {}) };
}

function labelOf(line: string): [string, string] {
  const at = line.indexOf('=');
  if (at < 1) throw new Error(words.wrongLine(more.labels, line, 'NAME=VALUE'));
  return [line.slice(0, at), line.slice(at + 1)];
}

const units = ['', 'k', 'm', 'g', 't'];

/** Bytes in the largest unit that holds them without a rest. */
export function sizeText(bytes: number): string {
  if (!bytes) return '';
  let at = 0;
  while (at < units.length - 1 && bytes % 1024 === 0) [bytes, at] = [bytes / 1024, at + 1];
  return `${bytes}${units[at]}`;
}

function sizeOf(text: string): number {
  const m = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (!m) throw new Error(words.wrongLine(more.memory, text, '512m'));
  return Math.round(Number(m[1]) * 1024 ** units.indexOf(m[2]!.toLowerCase()));
}

function numberOf(field: string, text: string, how: string): number {
  const n = Number(text);
  if (!Number.isFinite(n) || n < 0) throw new Error(words.wrongLine(field, text, how));
  return n;
}

export const checkText = (test: string[] | null | undefined) => (!test?.length || test[0] === 'NONE' ? '' : test.slice(1).join(' '));

function checkOf(t: SpecText, was: Spec | undefined): Spec['healthcheck'] {
  const had = was?.healthcheck;
  if (t.checkKind === 'none') return { test: ['NONE'] };
  if (t.checkKind !== 'cmd') return had?.test?.length ? undefined : had;
  const same = t.checkCommand === checkText(had?.test);
  return {
    ...had,
    test: same ? had?.test : ['CMD-SHELL', t.checkCommand],
    interval: t.checkInterval.trim() || undefined,
    retries: Number(t.checkRetries) || undefined,
  };
}
