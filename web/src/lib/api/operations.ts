import { api, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Job = S['Job'];
export type HostWork = S['HostWork'];
export type Backup = S['Backup'];
export type Doctor = S['Doctor'];
export type Finding = S['Finding'];

// What an operator needs: the jobs, the backups, and how everything is.
export const listJobs = async (signal?: AbortSignal) => (await ok(api.GET('/api/jobs', { signal }))).items;
export const runJob = (name: string) => ok(api.POST('/api/jobs/{name}/run', { params: { path: { name } } }));
export const listBackups = (signal?: AbortSignal) => ok(api.GET('/api/backups', { signal }));
export const makeBackup = () => ok(api.POST('/api/backups'));
export const deleteBackup = (name: string) => ok(api.DELETE('/api/backups/{name}', { params: { path: { name } } }));
export const backupFile = (name: string) => `/api/backups/${encodeURIComponent(name)}`;
/** The doctor reads the whole database, for one at a time: it is given up by nobody but who asked, and not asked again beside itself. */
export const examine = (signal?: AbortSignal) => ok(api.GET('/api/doctor', { signal, fetch: (r) => fetch(r) }));
