import { api, byId, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];

// Tokens.
export const listTokens = () => ok(api.GET('/api/tokens'));
export const createToken = (body: S['CreateTokenRequest']) => ok(api.POST('/api/tokens', { body }));
export const revokeToken = (id: string) => ok(api.DELETE('/api/tokens/{id}', byId(id)));
