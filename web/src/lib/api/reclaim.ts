import { api, byId, ok } from './client';

// What does not fit together, and what removed instances left.
export const listLeftovers = () => ok(api.GET('/api/leftovers'));
export const mendLeftover = (id: string, yes?: string) =>
  ok(api.POST('/api/leftovers/{id}/mend', { ...byId(id), body: yes ? { yes } : {} }));
export const getLeft = (host: string) => ok(api.GET('/api/hosts/{id}/reclaim', byId(host)));
export const planReclaim = (host: string, images?: string[]) =>
  ok(api.POST('/api/hosts/{id}/reclaim', { ...byId(host), body: { dry_run: true, images } }));
export const applyReclaim = (host: string, plan_id: string) =>
  ok(api.POST('/api/hosts/{id}/reclaim', { ...byId(host), body: { plan_id } }));
export const removeVolume = (host: string, name: string, break_undo: boolean) =>
  ok(api.DELETE('/api/hosts/{id}/volumes/{name}', { params: { path: { id: host, name }, query: { break_undo } } }));
