import createClient from 'openapi-fetch';
import { retrying } from './retry';
import type { components, paths } from './schema';
import { errors } from '../strings/common';

type S = components['schemas'];
export type Session = S['Session'];
export type Role = NonNullable<Session['role']>;
export type Stale = S['Stale'];
export type StaleList = S['StaleList'];
export type Plan = S['Plan'];
export type PlanSummary = S['PlanSummary'];
export type PlanItem = S['PlanItem'];
export type Event = S['Event'];
export type EventList = S['EventList'];
export type Severity = Event['severity'];
export type Project = S['Project'];
export type Stage = S['Stage'];
export type Instance = S['Instance'];
export type Deploy = S['Deploy'];
export type DeployLine = S['DeployLine'];
export type RuleTrial = S['RuleTrial'];
export type Host = S['Host'];
export type HostFacts = S['HostFacts'];
export type HostChange = S['HostChange'];
export type HostReport = S['HostReport'];
export type Scan = S['Scan'];
export type BlindLedger = S['BlindLedger'];
export type ScanHistory = S['ScanHistory'];
export type Settings = S['Settings'];
export type SettingsChange = S['SettingsChange'];
export type Token = S['Token'];
export type Check = S['Check'];
export type Spec = S['Spec'];
export type StageDiff = S['StageDiff'];
export type ComposeImport = S['ComposeImport'];
export type ComposeNote = S['ComposeNote'];
export type Overview = S['Overview'];
export type HistoryDay = S['HistoryDay'];
export type Usage = S['Usage'];
export type UsageHistory = S['UsageHistory'];
export type LogLines = S['LogLines'];
export type LogTurn = S['LogTurn'];
export type Archive = S['Archive'];
export type RestoreRequest = S['RestoreRequest'];
export type RestoreCheck = S['RestoreCheck'];
export type Conflict = S['Conflict'];
export type Policy = S['Policy'];
export type PolicyRequest = S['PolicyRequest'];
export type PolicyInForce = S['PolicyInForce'];
export type PolicyDocument = S['PolicyDocument'];
export type Trial = S['Trial'];
export type TrialRequest = S['TrialRequest'];
export type Decision = S['Decision'];
export type Leftover = S['Leftover'];
export type Left = S['Left'];
export type ReclaimPlan = S['ReclaimPlan'];
export type Registry = S['Registry'];
export type RegistryPreset = S['RegistryPreset'];
export type RegistryTest = S['RegistryTest'];
export type TagRule = S['TagRule'];
type Problem = S['Problem'];

/** What the server refused, or that it could not be asked (status 0). The hint says what to do about it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint = '',
    readonly fields: { location: string; message: string }[] = [],
    readonly id = '',
    /** What a test of a host found, if that is why it was refused. */
    readonly report?: HostReport,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Everything that it says, in one line. */
  get words(): string {
    const fields = this.fields.map((f) => `${f.location.replace(/^(body|query|path)\./, '')}: ${f.message}`).join('; ');
    const id = this.id ? errors.problemId(this.id) : '';
    return [this.message, fields, this.hint, id].filter(Boolean).join('. ');
  }
}

export const errorOf = (err: unknown): ApiError =>
  err instanceof ApiError ? err : new ApiError(0, 'unknown', String((err as Error)?.message ?? err));

/** Words for a failure, whatever it was. */
export const wordsOf = (err: unknown): string => errorOf(err).words;

export const aborted = (err: unknown): boolean => err instanceof DOMException && err.name === 'AbortError';

let signedOut: () => void = () => {};

/** Says what happens when the server no longer knows who we are. */
export function onSignedOut(tell: () => void) {
  signedOut = tell;
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: retrying((r) => fetch(r)) });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The data of an answer, or an ApiError. */
export async function ok<T>(answer: Promise<Answer<T>>): Promise<T> {
  let a: Answer<T>;
  try {
    a = await answer;
  } catch (err) {
    if (aborted(err)) throw err;
    throw new ApiError(0, 'unreachable', errors.unreachable, errors.unreachableHint);
  }
  if (a.response.ok) return a.data as T;
  throw problemOf(a.response, a.error);
}

function problemOf(response: Response, body: unknown): ApiError {
  const p: Partial<Problem> = typeof body === 'object' && body !== null ? body : {};
  const err = new ApiError(
    response.status,
    p.code ?? 'unknown',
    p.detail || p.title || errors.status(response.status),
    p.hint,
    p.errors ?? [],
    p.id,
    p.host_report,
  );
  if (response.status === 401) signedOut();
  return err;
}

export type Query<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? NonNullable<Q> : never;
export type StaleQuery = Query<'/api/containers/stale'>;
export type EventQuery = Query<'/api/events'>;
export type InstanceQuery = Query<'/api/instances'>;

export const byId = (id: string) => ({ params: { path: { id } } });

// Who we are.
export const getSession = () => ok(api.GET('/api/session'));
export const signIn = (name: string, password: string) => ok(api.POST('/api/session', { body: { name, password } }));
export const signOut = () => ok(api.DELETE('/api/session'));
export const setUp = (code: string, name: string, password: string) => ok(api.POST('/api/setup', { body: { code, name, password } }));

// What is stale.
export const listStale = (query: StaleQuery, signal?: AbortSignal) => ok(api.GET('/api/containers/stale', { params: { query }, signal }));
export const scanNow = (host_id?: string) => ok(api.POST('/api/containers/stale/scan', { body: { host_id } }));
export const listScans = (query: Query<'/api/scans'> = {}) => ok(api.GET('/api/scans', { params: { query } }));

// Cleaning up: first a plan, then that plan and nothing else. The plan of one needs a smaller role than the plan of many.
export const planCleanup = (ids: string[]): Promise<Plan> =>
  ids.length === 1
    ? ok(api.POST('/api/containers/stale/{id}/cleanup', { ...byId(ids[0]!), body: { dry_run: true } }))
    : ok(api.POST('/api/containers/stale/cleanup', { body: { dry_run: true, ids } }));
export const planMatching = ({
  sort: _,
  limit: __,
  cursor: ___,
  protected: kept,
  ...filter
}: Omit<StaleQuery, 'protected'> & { protected?: boolean }): Promise<Plan> =>
  ok(api.POST('/api/containers/stale/cleanup', { body: { dry_run: true, protected: kept, ...filter } }));
export const applyPlan = (plan: Plan): Promise<Plan> =>
  plan.single
    ? ok(api.POST('/api/containers/stale/{id}/cleanup', { ...byId(plan.items[0]!.instance_id), body: { plan_id: plan.id } }))
    : ok(api.POST('/api/containers/stale/cleanup', { body: { plan_id: plan.id } }));
export const getPlan = (id: string) => ok(api.GET('/api/plans/{id}', byId(id)));

export const cancelPlan = (id: string) => ok(api.POST('/api/plans/{id}/cancel', byId(id)));
export const restorePlan = (id: string, body: S['PlanRestoreRequest']) => ok(api.POST('/api/plans/{id}/restore', { ...byId(id), body }));

// What is kept of the removed, and bringing it back.
export const listArchives = (query: Query<'/api/archives'>, signal?: AbortSignal) =>
  ok(api.GET('/api/archives', { params: { query }, signal }));
export const restoreArchive = (id: string, body: RestoreRequest) => ok(api.POST('/api/archives/{id}/restore', { ...byId(id), body }));
export const deleteArchive = (id: string) => ok(api.DELETE('/api/archives/{id}', byId(id)));

// Policies.
export const getPolicies = () => ok(api.GET('/api/policies'));
export const tryPolicy = (body: TrialRequest, signal?: AbortSignal) => ok(api.POST('/api/policies/try', { body, signal }));
export function putPolicy(
  level: 'global' | 'project' | 'stage',
  id: string,
  body: PolicyRequest,
  revision?: number,
): Promise<PolicyDocument> {
  // What somebody else changed meanwhile is not overwritten.
  const params = { path: { id }, header: revision === undefined ? {} : { 'If-Match': `"${revision}"` } };
  if (level === 'project') return ok(api.PUT('/api/projects/{id}/policy', { params, body }));
  if (level === 'stage') return ok(api.PUT('/api/stages/{id}/policy', { params, body }));
  return ok(api.PUT('/api/policies/global', { body }));
}

// What does not fit together, and what removed instances left.
export const listLeftovers = () => ok(api.GET('/api/leftovers'));
export const mendLeftover = (id: string, yes?: string) =>
  ok(api.POST('/api/leftovers/{id}/mend', { ...byId(id), body: yes ? { yes } : {} }));
export const getLeft = (host: string) => ok(api.GET('/api/hosts/{id}/reclaim', byId(host)));
export const planReclaim = (host: string, images?: string[]) =>
  ok(api.POST('/api/hosts/{id}/reclaim', { ...byId(host), body: { dry_run: true, images } }));
export const applyReclaim = (host: string, plan_id: string) =>
  ok(api.POST('/api/hosts/{id}/reclaim', { ...byId(host), body: { plan_id } }));
export const removeVolume = (host: string, name: string, break_undo: boolean) =>
  ok(api.DELETE('/api/hosts/{id}/volumes/{name}', { params: { path: { id: host, name }, query: { break_undo } } }));

// The day at a glance.
export const getOverview = () => ok(api.GET('/api/overview'));
export const getHistory = (from: string, days: number) => ok(api.GET('/api/history', { params: { query: { from, days } } }));

// Instances.
export const listInstances = (query: InstanceQuery) => ok(api.GET('/api/instances', { params: { query } }));
export const getInstance = (id: string) => ok(api.GET('/api/instances/{id}', byId(id)));
export const startInstance = (id: string) => ok(api.POST('/api/instances/{id}/start', byId(id)));
export const stopInstance = (id: string) => ok(api.POST('/api/instances/{id}/stop', byId(id)));
export const restartInstance = (id: string) => ok(api.POST('/api/instances/{id}/restart', byId(id)));
export const removeInstance = (id: string, stop: boolean) =>
  ok(api.DELETE('/api/instances/{id}', { params: { path: { id }, query: { stop } } }));
export const pinInstance = (id: string, reason: string) => ok(api.POST('/api/instances/{id}/pin', { ...byId(id), body: { reason } }));
export const unpinInstance = (id: string) => ok(api.POST('/api/instances/{id}/unpin', byId(id)));
export const snoozeInstance = (id: string, body: S['SnoozeRequest']) => ok(api.POST('/api/instances/{id}/snooze', { ...byId(id), body }));
export const unsnoozeInstance = (id: string) => ok(api.DELETE('/api/instances/{id}/snooze', byId(id)));

const streamed = { parseAs: 'stream', headers: { Accept: 'text/event-stream' } } as const;
export type LogQuery = Query<'/api/instances/{id}/logs'>;

/** The log of an instance as a stream of messages, after a place in it. */
export async function streamLogs(id: string, query: LogQuery, place: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const params = { path: { id }, query, header: place ? { 'Last-Event-ID': place } : {} };
  return (await ok(api.GET('/api/instances/{id}/logs', { params, ...streamed, signal }))) as unknown as ReadableStream<Uint8Array>;
}

/** The end of the log as text. */
export async function readLogs(id: string, tail: number): Promise<string> {
  const params = { path: { id }, query: { tail, timestamps: true } };
  return (await ok(api.GET('/api/instances/{id}/logs', { params, parseAs: 'text' }))) as unknown as string;
}

/** Where the log is to be had as a file. */
export const logFile = (id: string, query: Record<string, string>) =>
  `/api/instances/${encodeURIComponent(id)}/logs?${new URLSearchParams(query)}`;

/** What an instance uses, as a stream of messages. */
export async function streamUsage(id: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  return (await ok(api.GET('/api/instances/{id}/stats', { ...byId(id), ...streamed, signal }))) as unknown as ReadableStream<Uint8Array>;
}
export const getUsageHistory = (id: string) => ok(api.GET('/api/instances/{id}/stats/history', byId(id)));

// Projects, stages, deploys.
export const listProjects = (query: Query<'/api/projects'> = { limit: 1000 }) => ok(api.GET('/api/projects', { params: { query } }));
export const createProject = (body: S['CreateProjectRequest']) => ok(api.POST('/api/projects', { body }));
export const updateProject = (id: string, body: S['UpdateProjectRequest']) => ok(api.PATCH('/api/projects/{id}', { ...byId(id), body }));
export const deleteProject = (id: string) => ok(api.DELETE('/api/projects/{id}', byId(id)));
export const listStages = (project?: string) => ok(api.GET('/api/stages', { params: { query: { project } } }));
export const createStage = (body: S['CreateStageRequest']) => ok(api.POST('/api/stages', { body }));
export const updateStage = (id: string, body: S['UpdateStageRequest']) => ok(api.PATCH('/api/stages/{id}', { ...byId(id), body }));
export const deleteStage = (id: string) => ok(api.DELETE('/api/stages/{id}', byId(id)));
export const diffStage = (id: string) => ok(api.GET('/api/stages/{id}/diff', byId(id)));
export const importCompose = (body: S['ImportComposeRequest'], signal?: AbortSignal) =>
  ok(api.POST('/api/import/compose', { body, signal }));
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

// Events.
export const listEvents = (query: EventQuery, signal?: AbortSignal) => ok(api.GET('/api/events', { params: { query }, signal }));

// Hosts.
export const listHosts = () => ok(api.GET('/api/hosts'));
export const getBlindTime = (id: string, since?: string, signal?: AbortSignal) =>
  ok(api.GET('/api/hosts/{id}/blind', { params: { path: { id }, query: { since } }, signal }));
export const acceptHost = (id: string) => ok(api.POST('/api/hosts/{id}/accept', byId(id)));
export const tryHost = (body: HostFacts) => ok(api.POST('/api/hosts/test', { body }));
export const testHost = (id: string, body?: HostChange) => ok(api.POST('/api/hosts/{id}/test', { ...byId(id), body }));
export const createHost = (body: S['CreateHostRequest']) => ok(api.POST('/api/hosts', { body }));
export const updateHost = (h: Host, body: S['UpdateHostRequest']) =>
  ok(api.PATCH('/api/hosts/{id}', { params: { path: { id: h.id }, header: { 'If-Match': `"${h.revision}"` } }, body }));
export const disableHost = (id: string) => ok(api.POST('/api/hosts/{id}/disable', byId(id)));
export const enableHost = (id: string) => ok(api.POST('/api/hosts/{id}/enable', byId(id)));
export const deleteHost = (id: string) => ok(api.DELETE('/api/hosts/{id}', byId(id)));

// Settings and tokens.
export const getSettings = () => ok(api.GET('/api/settings'));
export const updateSettings = (body: SettingsChange) => ok(api.PATCH('/api/settings', { body }));
export const listTokens = () => ok(api.GET('/api/tokens'));
export const createToken = (body: S['CreateTokenRequest']) => ok(api.POST('/api/tokens', { body }));
export const revokeToken = (id: string) => ok(api.DELETE('/api/tokens/{id}', byId(id)));

/** Whether the daemon can do its work; 503 is an answer here, not an error. */
export async function getReadiness(): Promise<S['Readiness']> {
  const { data, error, response } = await api.GET('/readyz');
  if (data) return data;
  if (response.status === 503 && error && 'checks' in error) return error as S['Readiness'];
  throw problemOf(response, error);
}
