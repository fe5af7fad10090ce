import { api, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Provider = S['Provider'];

// The identity provider, for admins.
export const getProvider = () => ok(api.GET('/api/identity-provider'));
/** Sets it up in place of the revision that was seen; without one, where none is set up yet. */
export const putProvider = (body: S['Provider'], seen: string | undefined) =>
  ok(api.PUT('/api/identity-provider', { params: { header: seen ? { 'If-Match': `"${seen}"` } : { 'If-None-Match': '*' } }, body }));
export const deleteProvider = () => ok(api.DELETE('/api/identity-provider'));
export const testProvider = () => ok(api.POST('/api/identity-provider/test'));
