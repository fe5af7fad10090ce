import type { Host, HostChange, HostFacts } from '$lib/api/client';
import { defaultPort, defaultSocket, endpointOf, placeOf, type Place, type Way } from './endpoint';

/** What a form says of a host. What is secret is empty until somebody types it. */
export type HostForm = Place & {
  name: string;
  ca: string;
  cert: string;
  key: string;
  serverName: string;
  sshKey: string;
  passphrase: string;
  hostKey: string; // an admin has said yes to it
};

export function formOf(h?: Host): HostForm {
  const place: Place = h
    ? placeOf(h.endpoint, h.reached_by.way)
    : { way: 'ssh', user: '', host: '', port: defaultPort('ssh'), path: defaultSocket };
  return {
    ...place,
    name: h?.name ?? '',
    ca: '',
    cert: '',
    key: '',
    serverName: h?.reached_by.server_name ?? '',
    sshKey: '',
    passphrase: '',
    hostKey: h?.reached_by.host_key ?? '',
  };
}

/** The same form for another way; what the port usually is changes with it. */
export function goBy(f: HostForm, way: Way, before: Way) {
  f.way = way;
  if (!f.port || f.port === defaultPort(before)) f.port = defaultPort(way);
  if (!f.path && (way === 'unix' || way === 'ssh')) f.path = defaultSocket;
}

export function factsOf(f: HostForm): HostFacts {
  const facts: HostFacts = { name: f.name.trim(), endpoint: endpointOf(f) };
  if (f.way === 'tcp') facts.plain = true;
  if (f.way === 'tls') facts.tls = filled({ ca: f.ca, cert: f.cert, key: f.key, server_name: f.serverName.trim() });
  if (f.way === 'ssh') facts.ssh = filled({ key: f.sshKey, passphrase: f.passphrase, host_key: f.hostKey.trim() });
  return facts;
}

/** What a form makes different of a host: what stays is left out, and what is secret stays unless it is typed anew. */
export function changeOf(h: Host, f: HostForm): HostChange {
  const all = factsOf(f);
  const change: HostChange = {};
  if (all.name !== h.name) change.name = all.name;
  const moved = placeChanged(h, f);
  if (moved) change.endpoint = all.endpoint;
  if (f.way === 'tcp' && (moved || !h.reached_by.plain)) change.plain = true;
  if (f.way === 'tcp' && h.reached_by.way === 'tls') change.tls = { ca: '', cert: '', key: '', server_name: '' };
  if (f.way === 'tls') {
    const serverName = f.serverName.trim();
    const tls = {
      ...filled({ ca: f.ca, cert: f.cert, key: f.key }),
      ...(serverName !== (h.reached_by.server_name ?? '') ? { server_name: serverName } : {}),
    };
    if (Object.keys(tls).length) change.tls = tls;
    if (h.reached_by.way === 'tcp') change.plain = false;
  }
  if (f.way === 'ssh') {
    const hostKey = f.hostKey.trim();
    const ssh = {
      ...filled({ key: f.sshKey, passphrase: f.passphrase }),
      // The server forgets the key of a host with its address.
      ...(hostKey !== (h.reached_by.host_key ?? '') || (moved && hostKey) ? { host_key: hostKey } : {}),
    };
    if (Object.keys(ssh).length) change.ssh = ssh;
  }
  return change;
}

/** Whether the endpoint is another one, however it is written. */
function placeChanged(h: Host, f: HostForm): boolean {
  return endpointOf(placeOf(h.endpoint, h.reached_by.way)) !== endpointOf(f);
}

/** Whether it is another server than the one whose key was said yes to. */
export const otherServer = (h: Host, f: HostForm): boolean => {
  const was = placeOf(h.endpoint, h.reached_by.way);
  return h.reached_by.way !== f.way || was.host !== f.host.trim() || was.port !== (f.port.trim() || defaultPort(f.way));
};

function filled<T extends Record<string, string>>(all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== '')) as Partial<T>;
}
