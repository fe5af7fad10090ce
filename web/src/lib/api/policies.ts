import { api, ok, type PolicyDocument, type PolicyRequest, type TrialRequest } from './client';

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
