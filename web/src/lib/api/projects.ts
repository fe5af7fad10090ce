import { api, byId, ok, type Project, type Stage } from './client';
import { asSeen } from './seen';
import type { components } from './schema';

type S = components['schemas'];

// Making and changing projects and their stages.
export const createProject = (body: S['CreateProjectRequest']) => ok(api.POST('/api/projects', { body }));
export const updateProject = (p: Project, body: S['UpdateProjectRequest']) =>
  ok(api.PATCH('/api/projects/{id}', { ...asSeen(p.id, p.revision), body }));
export const deleteProject = (id: string) => ok(api.DELETE('/api/projects/{id}', byId(id)));
export const createStage = (body: S['CreateStageRequest']) => ok(api.POST('/api/stages', { body }));
export const updateStage = (st: Stage, body: S['UpdateStageRequest']) =>
  ok(api.PATCH('/api/stages/{id}', { ...asSeen(st.id, st.revision), body }));
export const deleteStage = (id: string) => ok(api.DELETE('/api/stages/{id}', byId(id)));
export const importCompose = (body: S['ImportComposeRequest'], signal?: AbortSignal) =>
  ok(api.POST('/api/import/compose', { body, signal }));
