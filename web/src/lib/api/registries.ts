import { api, byId, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];

// Registries, and the rules by which stages follow their tags.
export const listRegistries = () => ok(api.GET('/api/registries'));
export const getRegistry = (id: string) => ok(api.GET('/api/registries/{id}', byId(id)));
export const listPresets = () => ok(api.GET('/api/registry-presets'));
export const createRegistry = (body: S['CreateRegistryRequest']) => ok(api.POST('/api/registries', { body }));
export const updateRegistry = (id: string, revision: number, body: S['UpdateRegistryRequest']) =>
  ok(api.PATCH('/api/registries/{id}', { params: { path: { id }, header: { 'If-Match': `"${revision}"` } }, body }));
export const deleteRegistry = (id: string) => ok(api.DELETE('/api/registries/{id}', byId(id)));
export const testRegistry = (id: string, repository?: string) =>
  ok(api.POST('/api/registries/{id}/test', { ...byId(id), body: { repository } }));
export const makeHook = (id: string) => ok(api.POST('/api/registries/{id}/hook', byId(id)));
export const deleteHook = (id: string) => ok(api.DELETE('/api/registries/{id}/hook', byId(id)));
export const tryRule = (stage: string, body: S['TryRuleRequest'], signal?: AbortSignal) =>
  ok(api.POST('/api/stages/{id}/rule/try', { ...byId(stage), body, signal }));
export const tryNewRule = (project: string, body: S['TryNewRuleRequest'], signal?: AbortSignal) =>
  ok(api.POST('/api/projects/{id}/rule/try', { ...byId(project), body, signal }));
