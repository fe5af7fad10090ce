// Every text that the page says stands in this folder, a file for each screen.
export const product = 'docker-watcher';

export const errors = {
  unreachable: 'docker-watcher does not answer',
  unreachableHint: 'Check that it runs and that the network is there. The page goes on by itself when it answers again',
  status: (status: number) => `The server answered with status ${status}`,
  problemId: (id: string) => `Look for ${id} in the log of the daemon`,
  retry: 'Retry',
};

export const common = {
  cancel: 'Cancel',
  close: 'Close',
  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'Your browser did not allow it. Select the text and copy it by hand.',
  dismiss: 'Dismiss',
  save: 'Save',
  never: 'never',
  none: 'none',
  unknown: 'not known',
  loading: 'Loading',
  clearSearch: 'Clear search',
  focusSearch: 'Focus the search field',
  lists: 'Lists',
  notifications: 'Notifications',
  moreActions: (name: string) => `Actions for ${name}`,
  copyOf: (what: string) => `Copy ${what}`,
  atTheLatest: 'at the latest',
};

export const shell = {
  skip: 'Skip to content',
  search: 'Search',
  searchOrJump: 'Search or jump to',
  main: 'Main',
  more: 'More',
  account: 'Account and appearance',
  myAccount: 'Your account',
  signOut: 'Sign out',
  light: 'Light',
  dark: 'Dark',
  system: 'System',
  lightOrDark: 'Light or dark',
  shortcuts: 'Keyboard shortcuts',
  live: 'Live',
  connecting: 'Connecting',
  reconnecting: 'Reconnecting',
  liveHint: 'Changes arrive over one stream of events and show at once.',
  pausedSince: (time: string) => `Live updates are paused since ${time}.`,
  retryIn: (seconds: number) => (seconds > 0 ? `Reconnecting in ${seconds} s.` : 'Reconnecting now.'),
  lastKnown: 'The lists show the last known state.',
  retryNow: 'Reconnect now',
  upgraded: 'docker-watcher was upgraded. Reload to get the new page.',
  reload: 'Reload',
  notReady: 'docker-watcher cannot do all of its work.',
  hosts: (reachable: number, all: number) => (all === 1 ? '1 host' : reachable === all ? `${all} hosts` : `${reachable} of ${all} hosts`),
  staleCount: (n: number) => `${n} stale`,
  goTo: 'Go to',
  general: 'General',
  openPalette: 'Open the command palette',
  showShortcuts: 'Show keyboard shortcuts',
  flipTheme: 'Switch light and dark',
  then: 'then',
};

export const roles = { none: 'No role', viewer: 'Viewer', operator: 'Operator', admin: 'Admin' };

export const titles = {
  overview: 'Overview',
  projects: 'Projects',
  project: 'Project',
  stale: 'Stale containers',
  events: 'Events',
  reclaim: 'Reclaim',
  hosts: 'Hosts',
  registries: 'Registries',
  foreign: 'Foreign containers',
  routes: 'Routes',
  settings: 'Settings',
  instance: 'Instance',
  deploy: 'Deploy',
  notFound: 'Not found',
  signIn: 'Sign in',
  setUp: 'Set up',
  password: 'Set your password',
};

export const nav = {
  overview: 'Overview',
  projects: 'Projects',
  stale: 'Stale',
  events: 'Events',
  reclaim: 'Reclaim',
  hosts: 'Hosts',
  registries: 'Registries',
  routes: 'Routes',
  settings: 'Settings',
};

export const status: Record<string, string> = {
  pending: 'Pending',
  pulling: 'Pulling',
  starting: 'Starting',
  running: 'Running',
  stopped: 'Stopped',
  paused: 'Paused',
  restarting: 'Restarting',
  dead: 'Dead',
  missing: 'Missing',
  failed: 'Failed',
  removing: 'Removing',
};
