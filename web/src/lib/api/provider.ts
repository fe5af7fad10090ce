import { api, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Provider = S['Provider'];

// The identity provider, for admins.
export const getProvider = () => ok(api.GET('/api/identity-provider'));
export const putProvider = (body: S['Provider']) => ok(api.PUT('/api/identity-provider', { body }));
export const deleteProvider = () => ok(api.DELETE('/api/identity-provider'));
export const testProvider = () => ok(api.POST('/api/identity-provider/test'));
