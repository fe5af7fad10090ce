import { api, byId, ok, type Route } from './client';
import type { components } from './schema';

type S = components['schemas'];

// Routes and standalone proxies.
const seen = (r: Route) => ({ params: { path: { id: r.id }, header: { 'If-Match': `"${r.revision}"` } } });
const firstThousand = { params: { query: { limit: 1000 } } };
export const getRouting = (signal?: AbortSignal) => ok(api.GET('/api/routing', { signal }));
export const listRoutes = async (signal?: AbortSignal) => (await ok(api.GET('/api/routes', { ...firstThousand, signal }))).items;
export const listProxies = async (signal?: AbortSignal) => (await ok(api.GET('/api/proxies', { ...firstThousand, signal }))).items;
export const createRoute = (body: S['CreateRouteRequest']) => ok(api.POST('/api/routes', { body }));
export const createProxy = (body: S['CreateProxyRequest']) => ok(api.POST('/api/proxies', { body }));
export const updateRoute = (r: Route, body: S['UpdateRouteRequest']) => ok(api.PATCH('/api/routes/{id}', { ...seen(r), body }));
export const updateProxy = (r: Route, body: S['UpdateProxyRequest']) => ok(api.PATCH('/api/proxies/{id}', { ...seen(r), body }));
export const deleteRoute = (id: string) => ok(api.DELETE('/api/routes/{id}', byId(id)));
export const deleteProxy = (id: string) => ok(api.DELETE('/api/proxies/{id}', byId(id)));
export const tryProxy = (body: S['TryProxyRequest']) => ok(api.POST('/api/proxies/test', { body }));
export const exportProxies = () => ok(api.GET('/api/proxies/export'));
export const importProxies = (document: S['ProxyDoc'], dry_run: boolean) =>
  ok(api.POST('/api/proxies/import', { body: { document, dry_run } }));
export const testRoute = (id: string) => ok(api.POST('/api/routes/{id}/test', byId(id)));
