import Activity from '@lucide/svelte/icons/activity';
import ArchiveX from '@lucide/svelte/icons/archive-x';
import Bell from '@lucide/svelte/icons/bell';
import Boxes from '@lucide/svelte/icons/boxes';
import LayoutDashboard from '@lucide/svelte/icons/layout-dashboard';
import Package from '@lucide/svelte/icons/package';
import Recycle from '@lucide/svelte/icons/recycle';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Server from '@lucide/svelte/icons/server';
import Settings2 from '@lucide/svelte/icons/settings-2';
import Waypoints from '@lucide/svelte/icons/waypoints';
import { nav as words } from '../strings/common';

export const nav = [
  { path: '/', label: words.overview, icon: LayoutDashboard, keys: 'g o' },
  { path: '/projects', label: words.projects, icon: Boxes, keys: 'g p' },
  { path: '/stale', label: words.stale, icon: ArchiveX, keys: 'g s' },
  { path: '/events', label: words.events, icon: ScrollText, keys: 'g e' },
  { path: '/reclaim', label: words.reclaim, icon: Recycle, keys: 'g r', wide: true },
  { path: '/routes', label: words.routes, icon: Waypoints, keys: 'g d' },
  { path: '/hosts', label: words.hosts, icon: Server, keys: 'g h', wide: true },
  { path: '/registries', label: words.registries, icon: Package, keys: 'g i', wide: true },
  { path: '/notifications', label: words.notifications, icon: Bell, keys: 'g n', wide: true },
  { path: '/operations', label: words.operations, icon: Activity, keys: 'g m', wide: true },
  { path: '/settings', label: words.settings, icon: Settings2, keys: 'g ,' },
];

/** Those that whoever has a role in single projects only can use, or all. */
export const places = (wide: boolean) => nav.filter((n) => wide || !('wide' in n));

/** How many of them have a tab of their own on a phone; the others are under "More". */
export const tabs = 4;

/** Whether a place of the menu is where we are. */
export const current = (path: string, here: string) =>
  path === '/'
    ? here === '/'
    : here === path || here.startsWith(path + '/') || (path === '/projects' && /^\/(instances|deploys)\//.test(here));
