import { api, byId, ok, type Query } from './client';
import type { components } from './schema';

// What is on the hosts and not ours, taking it over, and giving it back.
type S = components['schemas'];
export type Foreign = S['Foreign'];
export type ForeignList = S['ForeignList'];
export type Adoption = S['Adoption'];
export type AdoptRequest = S['AdoptRequest'];

export const listForeign = (query: Query<'/api/containers/foreign'>, signal?: AbortSignal) =>
  ok(api.GET('/api/containers/foreign', { params: { query }, signal }));
export const adoptContainers = (body: AdoptRequest) => ok(api.POST('/api/containers/foreign/adopt', { body }));
export const giveBack = (id: string) => ok(api.DELETE('/api/instances/{id}/adoption', byId(id)));
