import { api, byId, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Me = S['Me'];
export type FactorOffer = S['FactorOffer'];

// What each may do about themselves.
export const getMe = () => ok(api.GET('/api/me'));
export const changePassword = (current_password: string, password: string) =>
  ok(api.PUT('/api/me/password', { body: { current_password, password } }));
export const listMySessions = () => ok(api.GET('/api/me/sessions'));
export const endMySession = (id: string) => ok(api.DELETE('/api/me/sessions/{id}', byId(id)));
export const endMyOtherSessions = () => ok(api.DELETE('/api/me/sessions'));
export const offerFactor = (current_password: string) => ok(api.POST('/api/me/second-factor', { body: { current_password } }));
export const confirmFactor = (code: string) => ok(api.POST('/api/me/second-factor/confirm', { body: { code } }));
export const makeRecoveryCodes = (code: string) => ok(api.POST('/api/me/second-factor/recovery-codes', { body: { code } }));
export const removeFactor = (code: string) => ok(api.POST('/api/me/second-factor/remove', { body: { code } }));
export const spendLink = (code: string, password: string) => ok(api.POST('/api/password-link', { body: { code, password } }));
