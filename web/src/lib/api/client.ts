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
export type Route = S['Route'];
export type ProxyImport = S['ProxyImport'];
export type Routing = S['Routing'];
export type Driver = S['Driver'];
export type RouteChange = Omit<S['UpdateProxyRequest'], '$schema' | 'targets'>;
export type RouteTest = S['RouteTest'];
type Problem = S['Problem'];

/** The code of a change of something that is not any more as it was seen. */
export const changedMeanwhile = 'revision_mismatch';

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
    p.code === changedMeanwhile ? errors.changed : p.detail || p.title || errors.status(response.status),
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

// What every screen asks; the rest is beside this file by area, so that a page loads only what it calls.
export const getSession = () => ok(api.GET('/api/session'));
export const signOut = () => ok(api.DELETE('/api/session'));
export const listScans = (query: Query<'/api/scans'> = {}) => ok(api.GET('/api/scans', { params: { query } }));
export const getOverview = () => ok(api.GET('/api/overview'));
export const listProjects = (query: Query<'/api/projects'> = { limit: 1000 }) => ok(api.GET('/api/projects', { params: { query } }));
export const listStages = (project?: string) => ok(api.GET('/api/stages', { params: { query: { project } } }));
export const listHosts = () => ok(api.GET('/api/hosts'));

/** Whether the daemon can do its work; 503 is an answer here, not an error. */
export async function getReadiness(): Promise<S['Readiness']> {
  const { data, error, response } = await api.GET('/readyz');
  if (data) return data;
  if (response.status === 503 && error && 'checks' in error) return error as S['Readiness'];
  throw problemOf(response, error);
}
