/** How a host is reached, as a form has it. */
export type Way = 'unix' | 'tls' | 'tcp' | 'ssh';
export type Place = { way: Way; user: string; host: string; port: string; path: string };

export const defaultSocket = '/var/run/docker.sock';
const ports: Record<Way, string> = { unix: '', tls: '2376', tcp: '2375', ssh: '22' };

export const defaultPort = (way: Way): string => ports[way];

/** The endpoint of a place. What is left empty is what it usually is. */
export function endpointOf(p: Place): string {
  const port = p.port.trim() || ports[p.way];
  const path = p.path.trim();
  switch (p.way) {
    case 'unix':
      return `unix://${path || defaultSocket}`;
    case 'ssh':
      return `ssh://${p.user.trim()}@${p.host.trim()}:${port}${path === defaultSocket ? '' : path}`;
    default:
      return `tcp://${p.host.trim()}:${port}`;
  }
}

/** The place that an endpoint stands for. */
export function placeOf(endpoint: string, way: Way): Place {
  const m = /^\w+:\/\/(?:([^@/]*)@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?(\/.*)?$/.exec(endpoint);
  const [, user = '', host = '', port = '', path = ''] = m ?? [];
  return { way, user, host, port: port || ports[way], path: path || (way === 'unix' || way === 'ssh' ? defaultSocket : '') };
}
