import { api, ok } from './client';

// Who comes in, and the first of all.
export const signIn = (name: string, password: string, code?: string) => ok(api.POST('/api/session', { body: { name, password, code } }));
export const setUp = (code: string, name: string, password: string) => ok(api.POST('/api/setup', { body: { code, name, password } }));
