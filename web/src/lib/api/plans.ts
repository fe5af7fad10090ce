import { api, byId, ok, type Plan, type StaleQuery } from './client';
import type { components } from './schema';

type S = components['schemas'];

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
