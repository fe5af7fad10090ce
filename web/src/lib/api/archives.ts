import { api, byId, ok, type Query, type RestoreRequest } from './client';

// What is kept of the removed, and bringing it back.
export const listArchives = (query: Query<'/api/archives'>, signal?: AbortSignal) =>
  ok(api.GET('/api/archives', { params: { query }, signal }));
export const restoreArchive = (id: string, body: RestoreRequest) => ok(api.POST('/api/archives/{id}/restore', { ...byId(id), body }));
export const deleteArchive = (id: string) => ok(api.DELETE('/api/archives/{id}', byId(id)));
