import { api, byId, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];

// What is done to an instance.
export const startInstance = (id: string) => ok(api.POST('/api/instances/{id}/start', byId(id)));
export const stopInstance = (id: string) => ok(api.POST('/api/instances/{id}/stop', byId(id)));
export const restartInstance = (id: string) => ok(api.POST('/api/instances/{id}/restart', byId(id)));
export const removeInstance = (id: string, stop: boolean) =>
  ok(api.DELETE('/api/instances/{id}', { params: { path: { id }, query: { stop } } }));
export const pinInstance = (id: string, reason: string) => ok(api.POST('/api/instances/{id}/pin', { ...byId(id), body: { reason } }));
export const unpinInstance = (id: string) => ok(api.POST('/api/instances/{id}/unpin', byId(id)));
export const snoozeInstance = (id: string, body: S['SnoozeRequest']) => ok(api.POST('/api/instances/{id}/snooze', { ...byId(id), body }));
export const unsnoozeInstance = (id: string) => ok(api.DELETE('/api/instances/{id}/snooze', byId(id)));
