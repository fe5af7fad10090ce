import { api, byId, ok } from './client';
import { asSeen } from './seen';
import type { components } from './schema';

type S = components['schemas'];
export type User = S['User'];
export type Grant = S['Grant'];
export type SessionItem = S['SessionItem'];

// Who may sign in, for admins.
export const listUsers = () => ok(api.GET('/api/users'));
export const createUser = (body: S['CreateUserRequest']) => ok(api.POST('/api/users', { body }));
export const updateUser = (u: User, body: S['UpdateUserRequest']) =>
  ok(api.PATCH('/api/users/{id}', { ...asSeen(u.id, u.revision), body }));
export const deleteUser = (id: string) => ok(api.DELETE('/api/users/{id}', byId(id)));
export const disableUser = (id: string) => ok(api.POST('/api/users/{id}/disable', byId(id)));
export const enableUser = (id: string) => ok(api.POST('/api/users/{id}/enable', byId(id)));
export const makeLink = (id: string) => ok(api.POST('/api/users/{id}/link', byId(id)));
export const resetFactor = (id: string) => ok(api.DELETE('/api/users/{id}/second-factor', byId(id)));
export const listUserSessions = (id: string) => ok(api.GET('/api/users/{id}/sessions', byId(id)));
export const endUserSessions = (id: string) => ok(api.DELETE('/api/users/{id}/sessions', byId(id)));
export const endUserSession = (id: string, session: string) =>
  ok(api.DELETE('/api/users/{id}/sessions/{session}', { params: { path: { id, session } } }));
