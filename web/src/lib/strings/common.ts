// Every text that the page says stands in this folder, a file for each screen.
export const product = 'docker-watcher';

export const errors = {
  unreachable: 'docker-watcher does not answer',
  unreachableHint: 'Check that it runs and that the network is there. The page goes on by itself when it answers again',
  status: (status: number) => `The server answered with status ${status}`,
  problemId: (id: string) => `Look for ${id} in the log of the daemon`,
  retry: 'Retry',
  nothingChanged: 'Nothing was changed.',
};

export const common = {
  cancel: 'Cancel',
  close: 'Close',
  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'Your browser did not allow it. Select the text and copy it by hand.',
  dismiss: 'Dismiss',
  save: 'Save',
  discard: 'Discard',
  unsaved: 'Unsaved changes',
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
  singleKeys: 'Single-key shortcuts',
  singleKeysHelp: 'Turn off if you use speech input or a screen reader.',
  then: 'then',
};

export const roles = { viewer: 'Viewer', operator: 'Operator', admin: 'Admin' };

export const titles = {
  overview: 'Overview',
  projects: 'Projects',
  project: 'Project',
  stale: 'Stale containers',
  events: 'Events',
  reclaim: 'Reclaim',
  hosts: 'Hosts',
  settings: 'Settings',
  instance: 'Instance',
  notFound: 'Not found',
  signIn: 'Sign in',
  setUp: 'Set up',
};

export const nav = {
  overview: 'Overview',
  projects: 'Projects',
  stale: 'Stale',
  events: 'Events',
  reclaim: 'Reclaim',
  hosts: 'Hosts',
  settings: 'Settings',
};

export const notFound = {
  title: 'This page does not exist',
  body: 'The link may be old, or what it led to was removed.',
  action: 'Go to the overview',
};

export const palette = {
  label: 'Command palette',
  placeholder: 'Search projects, containers and actions',
  results: 'Results',
  noMatch: (q: string) => `No match for “${q}”.`,
  actions: 'Actions',
  projects: 'Projects',
  instances: 'Instances',
  scan: 'Scan for stale containers now',
  reviewStale: 'Review stale containers',
  newProject: 'Add a project',
  days: (n: number) => `${n} d`,
};

export const sign = {
  title: 'Sign in to docker-watcher',
  again: 'Your session has ended. Sign in to go on; nothing you typed is lost.',
  name: 'Name',
  password: 'Password',
  show: 'Show the password',
  hide: 'Hide the password',
  submit: 'Sign in',
  lost: 'Password lost? An admin can make an API token for you; the command line works with it.',
};

export const setup = {
  title: 'Set up docker-watcher',
  heading: 'Create the admin account',
  intro:
    'This page opens once. No default password exists. The setup link, with its code, is in the log of the daemon; it proves that you run it.',
  code: 'Setup code',
  codeFilled: 'Taken from the link that you opened.',
  name: 'Name',
  password: 'Password',
  passwordHelp: '12 characters or more. Password managers and pasting are welcome.',
  tooShort: (n: number) => `${n} more ${n === 1 ? 'character' : 'characters'}.`,
  submit: 'Make admin and sign in',
  done: 'Somebody has set it up already.',
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

export const classes: Record<string, { label: string; help: string }> = {
  exited: { label: 'Exited', help: 'It ended without an error.' },
  failed: { label: 'Failed', help: 'It ended with an error.' },
  oom: { label: 'Out of memory', help: 'The kernel ended it because it used too much memory.' },
  never_started: { label: 'Never started', help: 'It was created and never ran.' },
  paused: { label: 'Paused', help: 'Its processes are frozen; they still exist.' },
  crash_looping: { label: 'Crash looping', help: 'The engine starts it again and again, and it never lives for 10 seconds.' },
  dead: { label: 'Dead', help: 'The engine could not remove it whole.' },
  missing: { label: 'Missing', help: 'It is gone from the engine, and docker-watcher did not remove it.' },
  engine_lost: {
    label: 'Lost by its engine',
    help: 'It was meant to run and stopped when its engine crashed. Never cleaned up automatically.',
  },
};

export const evidence: Record<string, string> = {
  observed: 'we saw it running then',
  finished_at: 'the engine says that it ended then',
  first_seen_stopped: 'we first saw it stopped then',
  created_at: 'it was created then and never started',
};

export const protections: Record<string, string> = {
  pinned: 'Pinned',
  snoozed: 'Snoozed',
  keep_label: 'Keep label',
  rollback: 'Kept for rollback',
  tag_gone: 'Tag gone from its registry',
};

export const kinds: Record<string, string> = { dev: 'Development', staging: 'Staging', production: 'Production', preview: 'Preview' };
