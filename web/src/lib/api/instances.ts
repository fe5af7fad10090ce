import { api, byId, ok, type InstanceQuery } from './client';

// Instances, to look at.
export const listInstances = (query: InstanceQuery) => ok(api.GET('/api/instances', { params: { query } }));
export const getInstance = (id: string) => ok(api.GET('/api/instances/{id}', byId(id)));
