import { api, ok, type StaleQuery } from './client';

// What is stale.
export const listStale = (query: StaleQuery, signal?: AbortSignal) => ok(api.GET('/api/containers/stale', { params: { query }, signal }));
export const scanNow = (host_id?: string) => ok(api.POST('/api/containers/stale/scan', { body: { host_id } }));
