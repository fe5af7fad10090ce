import type { Registry } from './api/client';

const hub = 'docker.io';

/** The registry that an image comes from, read as engines read it: acme/shop is Docker Hub's, ghcr.io/acme/shop is not. */
export function hostOf(image: string): string {
  const [first = '', rest] = [image.split('/')[0], image.includes('/')];
  if (!rest || (first !== 'localhost' && !/[.:]/.test(first))) return hub;
  const host = first.toLowerCase();
  return ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com', 'hub.docker.com', 'docker.com'].includes(host) ? hub : host;
}

/** The repository of an image at a registry, without its host. */
export function repositoryOf(image: string, host: string): string {
  return image.startsWith(host + '/') ? image.slice(host.length + 1) : image;
}

export type Sight = 'blind' | 'held' | 'failed' | 'ok' | 'waiting' | 'unused';

/** How well a registry can be asked, the worst first. */
export function sightOf(r: Registry, now: number): Sight {
  const heldUntil = r.allowance?.retry_at ? Date.parse(r.allowance.retry_at) : 0;
  if (heldUntil > now) return 'held';
  if (r.use.blind) return 'blind';
  const asked = r.use.last_at ? Date.parse(r.use.last_at) : 0;
  const tested = r.last_test ? Date.parse(r.last_test.at) : 0;
  if (tested > asked) return r.last_test!.ok ? 'ok' : 'failed';
  if (asked) return 'ok';
  return r.use.following ? 'waiting' : 'unused';
}

/** Hosts of images in use that nobody set up: they are asked without a login. */
export function notSetUp(images: string[], registries: Registry[]): string[] {
  const known = new Set(registries.map((r) => r.host));
  return [...new Set(images.map(hostOf))].filter((h) => h !== 'localhost' && !known.has(h)).sort();
}
