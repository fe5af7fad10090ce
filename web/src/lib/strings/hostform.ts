import { plural } from '../format';

/** Adding, changing and removing a host. */
export const hostForm = {
  addTitle: 'Add a host',
  addBody: 'A Docker engine, or podman. It is tested first, and nothing on it is changed.',
  editTitle: (name: string) => `Edit ${name}`,
  add: 'Add host',
  added: (name: string) => `${name} is watched from now on`,
  saved: (name: string) => `${name} was changed`,
  name: 'Name',
  nameHelp: 'Lower-case letters, digits and -, such as build-2',
  way: 'How it is reached',
  ways: { unix: 'Socket on this machine', tls: 'TCP with TLS', ssh: 'SSH', tcp: 'TCP without TLS' } as Record<string, string>,
  plainWarning: 'Whoever is on the way can read along and command the engine, which is to be root on that machine.',
  path: 'Socket',
  address: 'Host name or address',
  port: 'Port',
  user: 'User',
  socket: 'Socket there',
  socketHelp: 'The user must be allowed to open it.',
  ca: 'CA certificate',
  caHelp: 'Who signed the engine’s certificate. Empty: the authorities that this machine trusts.',
  cert: 'Our certificate',
  key: 'Private key',
  keyHelp: 'Sealed, and never shown again to anybody.',
  serverName: 'Name in its certificate',
  serverNameHelp: 'Only if it is another one than the address.',
  passphrase: 'Passphrase of the key',
  keptHelp: 'Empty: stays as it is. It is never shown.',
  file: (what: string) => `Choose a file: ${what}`,
  fileShort: 'Choose a file',
  tooLarge: (name: string) => `${name} is too large to be that`,
  knownKey: 'Known host key',
  knownKeyHelp: 'A line of known_hosts or of the .pub file, if you have it. Otherwise the test shows the key that the server has.',
  trusted: (fingerprint: string) => `Only the server with this key is spoken to: ${fingerprint}`,
  renew: 'It has a new key',
  test: 'Test',
  testing: 'Asking it',
  testTitle: (name: string) => `Test of ${name}`,
  testAgain: 'Test again',
  untested: 'Keep it although it cannot be used now',
  untestedHelp: 'For a host that is down at the moment. It is watched as soon as it answers.',
  frozenAfter: 'At another address it is judged only when the test has seen the same engine there; else an admin must accept it first.',
  changedSince: 'Something was changed since the test.',
};

export const hostReport = {
  ok: 'It can be used',
  faults: {
    host_key_unknown: 'The server’s key is not known yet',
    untrusted: 'It is not who it should be',
    rejected: 'It does not accept us',
    unreachable: 'Nobody answers',
    denied: 'It answers, but not to what must be asked',
  } as Record<string, string>,
  remedies: {
    host_key_unknown: 'Compare the fingerprint below on the host itself. Nothing of ours was shown to the server yet.',
    untrusted:
      'Find out who answers there before you trust anything else. The certificate may be by another authority or bear another name, or the host was set up anew.',
    rejected:
      'Over TLS: the engine must trust the authority of our certificate, and it must not have ended. Over SSH: the public half of the key must stand in the user’s authorized_keys.',
    unreachable:
      'See that the engine runs, that address and port are right, and that this machine may reach it. Over SSH: that the user may open the socket, and that sshd allows forwarding.',
    denied: 'Listing and inspecting containers must be allowed. A proxy before the engine may forbid it.',
  } as Record<string, string>,
  facts: {
    engine: 'Engine',
    name: 'Machine',
    system: 'System',
    id: 'Engine ID',
    root: 'Data',
    clock: 'Clock',
    took: 'Answers in',
    containers: 'Containers',
  },
  version: (version: string, api: string) => `${version}, API ${api}`,
  took: (ms: number) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`),
  containers: (all: number, ours: number) => `${all}, of them ${ours} of this installation`,
  sameAs: (names: string[]) =>
    `This seems to be the engine of ${names.join(' and ')}. Cloned machines look so, too; the same engine under two names is seldom meant.`,
  skewed: (seconds: number) =>
    `Its clock is ${seconds} s off ours. Until they agree within a minute nothing there is judged or cleaned up.`,
  trustTitle: 'Is this the host’s key?',
  trustBody: 'On the host itself, not through this connection, run:',
  trustCommand: 'for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done',
  trustShown: 'The server shows',
  trustCheck: 'I compared it on the host: one of the lines is the same',
  trust: 'Trust this key',
};

export const hostActs = {
  disable: 'Disable',
  remove: 'Remove',
  disabled: (name: string) => `${name} is out of use`,
  removed: (name: string) => `${name} was removed`,
  disableTitle: (name: string) => `Disable ${name}`,
  disableBody: (instances: number) =>
    instances
      ? `Its ${plural(instances, 'instance')} run or lie there as they are. Nothing on the host is touched.`
      : 'It has no instances. Nothing on the host is touched.',
  disableEffects: [
    'It is not asked any more: nothing there is watched, judged, deployed or cleaned up.',
    'What was known stays in the lists, shown as out of use. What is stale stays stale.',
    'The time counts as blind time. After it is enabled, automatic cleanup waits for its warm-up.',
  ],
  disableBusy: (n: number) =>
    `${plural(n, 'job')} there ${n === 1 ? 'has' : 'have'} not ended. While the engine answers, wait for that; if it is dead, ${n === 1 ? 'it is' : 'they are'} ended when it comes back.`,
  removeTitle: (name: string) => `Remove ${name}`,
  removeFree: 'Nothing names it. It is forgotten with its scans and its blind time; its events stay in the log.',
  removeUntouched: 'Nothing on the host itself is touched: whatever runs there runs on, and is not watched any more.',
  removeUsed: 'It cannot be removed while something names it. Nothing is taken from a host by forgetting it.',
  uses: {
    under_way: (n: number) => `${plural(n, 'job')} under way: wait until ${n === 1 ? 'it has' : 'they have'} ended`,
    plans: (n: number) => `${plural(n, 'plan')}: call ${n === 1 ? 'it' : 'them'} off, or let ${n === 1 ? 'it' : 'them'} expire`,
    instances: (n: number) => `${plural(n, 'instance')}: clean up or remove ${n === 1 ? 'it' : 'them'}`,
    archives: (n: number) =>
      `${plural(n, 'archive')} of removed instances: restore ${n === 1 ? 'it' : 'them'} or delete ${n === 1 ? 'it' : 'them'}`,
    stages: (n: number) => `${plural(n, 'stage')}: remove ${n === 1 ? 'it' : 'them'}`,
  },
  disableInstead: 'Disable it instead',
  accept: {
    asking: 'Asking who answers there now',
    known: 'Known',
    now: 'Answers now',
    same: 'It is the engine that we know.',
    differs: 'Another engine answers than the one that we know.',
    silent: 'It says nothing of itself that tells it from another engine. Make sure yourself that it is the right one.',
    unasked: 'It could not be asked. An engine that does not answer cannot be accepted.',
    what: 'Fact',
    nothing: 'not said',
    count: (ours: number, known: number) =>
      `It holds ${plural(ours, 'container')} of this installation; ${plural(known, 'instance')} should be there.`,
    body: 'Say that this engine is the right one from now on. Verdicts and cleanups go on from here. What was found while the host was frozen is never cleaned automatically.',
    lost: 'Instances that are not on it will count as gone. Cleanups that were under way on the former engine are taken back.',
  },
};
