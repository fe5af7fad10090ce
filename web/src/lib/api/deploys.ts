import { api, byId, ok, type Query } from './client';
import type { components } from './schema';

type S = components['schemas'];

// Deploys, and what they would change.
export const diffStage = (id: string) => ok(api.GET('/api/stages/{id}/diff', byId(id)));
export const startDeploy = (stage: string, body: S['StartDeployRequest']) =>
  ok(api.POST('/api/stages/{id}/deploys', { ...byId(stage), body }));
export const listDeploys = (stage: string, query: Query<'/api/stages/{id}/deploys'> = { limit: 20 }, signal?: AbortSignal) =>
  ok(api.GET('/api/stages/{id}/deploys', { params: { path: { id: stage }, query }, signal }));
export const getDeploy = (id: string) => ok(api.GET('/api/deploys/{id}', byId(id)));
export const getDeployLog = (id: string, after: number): Promise<S['DeployLineList']> =>
  ok(api.GET('/api/deploys/{id}/log', { params: { path: { id }, query: { after } }, headers: { accept: 'application/json' } })) as Promise<
    S['DeployLineList']
  >;
export const cancelDeploy = (id: string) => ok(api.POST('/api/deploys/{id}/cancel', byId(id)));
export const rollBack = (stage: string, to: string) => ok(api.POST('/api/stages/{id}/rollback', { ...byId(stage), body: { to } }));
