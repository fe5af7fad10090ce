import { count, plural, span } from '../format';

export const registries = {
  title: 'Registries',
  intro: 'Where images come from, how each is reached, and what asking it brought.',
  add: 'Add registry',
  none: 'No registry is set up',
  noneBody: 'Public images need none. Set one up for a login, a certificate of your own, plain http, or a webhook.',
  others: (hosts: string[]) => `Also in use, asked without a login: ${hosts.join(', ')}.`,
  setUp: (host: string) => `Set up ${host}`,

  sight: {
    blind: 'Could not be asked',
    held: 'Wants to be left alone',
    failed: 'Last test failed',
    ok: 'Answers',
    waiting: 'Not asked yet',
    unused: 'Not asked for tags',
  } as Record<string, string>,
  blindFor: (stages: number) => `nothing new is noticed for ${plural(stages, 'stage')}`,
  since: 'since',

  asking: 'Asking for tags',
  stages: 'Used by',
  stagesUsing: (all: number, following: number) =>
    all === 0
      ? 'no stage'
      : `${plural(all, 'stage')}, ${following === 0 ? 'none follows' : following === 1 ? '1 follows' : `${count(following)} follow`} its tags`,
  repositories: 'Repositories',
  lastAsked: 'Last asked',
  next: 'Next check',
  nextNow: 'in a few seconds',
  nextNever: 'never: nothing follows it',
  traffic: 'Requests',
  trafficSum: (all: number, same: number) => `${count(all)}, ${count(same)} with nothing new (304)`,
  trafficSince: 'counted since',
  noTraffic: 'none since the daemon started',

  budget: 'What it may be asked',
  budgetOf: (remaining: number, limit: number) => `${count(remaining)} of ${count(limit)} left`,
  budgetUsed: (used: number, limit: number) => `${count(used)} of ${count(limit)} used`,
  window: (seconds: number) => `in ${span(seconds * 1000)}`,
  countedAs: 'Counted as',
  saidAt: 'It said so',
  retryAt: 'Left alone until',
  noBudget: 'It has told no limit.',

  reached: 'How it is reached',
  login: 'Login',
  noLogin: 'none',
  password: 'password sealed, never shown',
  transport: 'Transport',
  tls: 'TLS',
  plain: 'plain http allowed',
  ownCA: 'TLS, with an authority of its own',
  hook: 'Webhook',
  noHook: 'none',
  hookHeard: 'last heard',
  hookNever: 'never heard',
  lastTest: 'Last test',
  neverTested: 'never',
  by: 'by',

  test: 'Test',
  testTitle: (name: string) => `Test ${name}`,
  testBody: 'Logs in as an engine would, and asks what it shows. It is asked now.',
  repository: 'Repository',
  repositoryHelp: 'Whose tags are to be counted, such as acme/shop. Most registries show no catalogue. May be empty.',
  run: 'Run the test',
  passed: 'It answers',
  took: (ms: number) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`),
  sees: (t: { repository?: string; tags?: number; repositories?: number; more?: boolean }) =>
    t.tags !== undefined && t.repository
      ? `${t.repository} has ${plural(t.tags, 'tag')}${t.more ? ' and more' : ''}`
      : t.repositories !== undefined
        ? `it shows ${t.repositories === 1 ? '1 repository' : `${count(t.repositories)} repositories`}${t.more ? ' and more' : ''}`
        : 'it shows no catalogue: name a repository to see more',

  edit: 'Edit',
  editTitle: (name: string) => `Edit ${name}`,
  kind: 'Kind',
  name: 'Name',
  nameHelp: 'What you call it: lower-case letters, digits and dashes.',
  host: 'Host',
  hostHelp: 'What stands before the first / in the names of its images.',
  username: 'User name',
  usernameHelp: 'Empty: no login.',
  secret: 'Password or token',
  secretKept: 'It is set and never shown. Leave this empty to keep it.',
  secretHelp: 'Sealed where it is kept, and never shown again.',
  plainHTTP: 'Plain http',
  plainHTTPHelp: 'Allow to speak to it without TLS. A password then goes over the network for all to read.',
  ca: 'Certificate of its authority',
  caHelp: 'PEM, for a registry whose certificate not everybody trusts. The engines that pull need it, too.',
  saved: (name: string) => `${name} is saved`,
  added: (name: string) => `${name} is set up`,

  remove: 'Remove',
  removeTitle: (name: string) => `Remove ${name}`,
  removeBody: (host: string, password: boolean, hook: boolean) =>
    `${password && hook ? 'Its password and its webhook go. ' : password ? 'Its password goes. ' : hook ? 'Its webhook goes. ' : ''}${host} is asked without a login from then on; images that were pulled stay.`,
  removeUsed: 'These stages have their images from there:',
  removeUnused: 'No stage has its images from there.',
  follows: 'follows its tags',
  more: (n: number) => `and ${count(n)} more`,
  removed: (name: string) => `${name} was removed`,

  hookMenu: 'Webhook',
  hookTitle: (name: string) => `Webhook of ${name}`,
  hookBody:
    'The registry, your forge or a build says that something was pushed, and what follows it is asked at once. Nothing else in the message is believed.',
  hookURL: 'Address',
  hookSecret: 'Secret',
  hookBoth: 'Address with the secret in it, for senders that can neither sign nor send a header',
  hookOnce: 'The secret is shown this once. Copy it now; if it is lost, make another.',
  hookMake: 'Make a webhook',
  hookAnother: 'Make another secret',
  hookAnotherHelp:
    'The secret that is in use counts no more as soon as there is another. Without a webhook the registry is asked when its time has come, and nothing that is sent counts.',
  hookRemove: 'Remove the webhook',
  hookRemoved: 'The webhook was removed',
  hookMade: 'made',
  /** What to put where, by kind of registry. */
  hookHow: {
    dockerhub: 'At Docker Hub: the repository, Webhooks. Give it the address with the secret in it.',
    ghcr: 'At GitHub: the organisation or repository, Settings, Webhooks. Content type application/json, the event Packages, the secret as Secret.',
    gitlab:
      'At GitLab: the project, Settings, Webhooks, Pipeline events, the secret as Secret token. Of a registry of your own, its notifications, with the header Authorization: Bearer and the secret.',
    gitea: 'At Gitea and Forgejo: the organisation or repository, Settings, Webhooks, the event Package, the secret as Secret.',
    harbor: 'At Harbor: the project, Webhooks, Artifact pushed. As Auth Header: Bearer and the secret.',
    acr: 'At Azure: az acr webhook create --actions push, with the header Authorization=Bearer and the secret.',
  } as Record<string, string>,
  hookHowElse: 'Send {"repository": "acme/shop"} by POST, with the header Authorization: Bearer and the secret.',
};
