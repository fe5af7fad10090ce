import { untrack, type Component } from 'svelte';

export type Params = Record<string, string>;
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Page = { default: Component<any> };
export type Route = { path: string; title: string; load: () => Promise<Page> };

const here = $state({ path: location.pathname, search: new URLSearchParams(location.search) });

function sync() {
  here.path = location.pathname;
  here.search = new URLSearchParams(location.search);
}
addEventListener('popstate', sync);

/** Where the page is. */
export const loc = {
  get path() {
    return here.path;
  },
  get search() {
    return here.search;
  },
};

export function go(path: string, replace = false) {
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  sync();
  if (!replace) scrollTo(0, 0);
}

/** Filters, sort and tabs live in the URL: it can be shared, it survives a reload, and Back works. An empty value leaves it. */
export function setQuery(patch: Record<string, string>) {
  // Untracked, and only when something changed: an $effect that calls this would else go round for ever.
  untrack(() => {
    const query = withQuery(here.search, patch);
    if (query === here.search.toString()) return;
    go(here.path + (query ? '?' + query : ''), true);
  });
}

export function withQuery(search: URLSearchParams, patch: Record<string, string>): string {
  const q = new URLSearchParams(search);
  for (const [key, value] of Object.entries(patch)) {
    if (value) q.set(key, value);
    else q.delete(key);
  }
  return q.toString();
}

/** A value that lives in the query: `query('tab', 'stale')` reads the default where it is absent. */
export const query = (key: string, fallback = '') => here.search.get(key) ?? fallback;

export function match(routes: Route[], path: string): { route: Route; params: Params } | null {
  for (const route of routes) {
    const params = matchPath(route.path, path);
    if (params) return { route, params };
  }
  return null;
}

export function matchPath(pattern: string, path: string): Params | null {
  const want = pattern.split('/').filter(Boolean);
  const have = path.split('/').filter(Boolean);
  if (want.length !== have.length) return null;
  const params: Params = {};
  for (const [i, part] of want.entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = decode(have[i]!);
    else if (part !== have[i]) return null;
  }
  return params;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed a lone %
  }
}

/** Clicks on links inside the app change the page without loading it; modified clicks and other links stay native. */
export function links(node: HTMLElement) {
  const clicked = (e: MouseEvent) => {
    if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const a = (e.target as Element).closest('a');
    const path = a?.getAttribute('href');
    if (!a || !path?.startsWith('/') || path.startsWith('/api/') || a.target || a.hasAttribute('download')) return;
    e.preventDefault();
    go(path);
  };
  node.addEventListener('click', clicked);
  return { destroy: () => node.removeEventListener('click', clicked) };
}

export const paths = {
  project: (name: string, query: Record<string, string> = {}) => withPath('/projects/' + encodeURIComponent(name), query),
  deploy: (id: string) => '/deploys/' + encodeURIComponent(id),
  instance: (id: string) => '/instances/' + encodeURIComponent(id),
  stale: (filter: Record<string, string> = {}) => withPath('/stale', filter),
  events: (filter: Record<string, string> = {}) => withPath('/events', filter),
  reclaim: (filter: Record<string, string> = {}) => withPath('/reclaim', filter),
};

const withPath = (path: string, filter: Record<string, string>) => {
  const q = withQuery(new URLSearchParams(), filter);
  return q ? `${path}?${q}` : path;
};
