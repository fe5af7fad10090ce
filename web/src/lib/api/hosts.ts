import { api, byId, ok, type Host, type HostChange, type HostFacts } from './client';
import type { components } from './schema';

type S = components['schemas'];

// Hosts, beyond their list.
export const getBlindTime = (id: string, since?: string, signal?: AbortSignal) =>
  ok(api.GET('/api/hosts/{id}/blind', { params: { path: { id }, query: { since } }, signal }));
export const acceptHost = (id: string) => ok(api.POST('/api/hosts/{id}/accept', byId(id)));
export const tryHost = (body: HostFacts) => ok(api.POST('/api/hosts/test', { body }));
export const testHost = (id: string, body?: HostChange) => ok(api.POST('/api/hosts/{id}/test', { ...byId(id), body }));
export const createHost = (body: S['CreateHostRequest']) => ok(api.POST('/api/hosts', { body }));
export const updateHost = (h: Host, body: S['UpdateHostRequest']) =>
  ok(api.PATCH('/api/hosts/{id}', { params: { path: { id: h.id }, header: { 'If-Match': `"${h.revision}"` } }, body }));
export const disableHost = (id: string) => ok(api.POST('/api/hosts/{id}/disable', byId(id)));
export const enableHost = (id: string) => ok(api.POST('/api/hosts/{id}/enable', byId(id)));
export const deleteHost = (id: string) => ok(api.DELETE('/api/hosts/{id}', byId(id)));
