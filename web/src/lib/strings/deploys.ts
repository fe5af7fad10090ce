import type { Spec } from '../api/client';
import { plural } from '../format';

const who = (actor: string) => actor.replace(/^(user|token):/, '').replace(/^system(:.*)?$/, 'docker-watcher');
const ends = (drain: string) => (drain === '0s' ? 'is stopped' : `ends what it has begun for ${drain}, and is stopped`);

export const deploy = {
  title: (project: string) => `Deploy ${project}`,
  to: (stage: string, tag: string | undefined) => (tag ? `to ${stage}, in place of ${tag}` : `to ${stage}, where nothing runs yet`),
  beside: (stage: string, n: number, most: number) => `to ${stage}, where ${n} of at most ${plural(most, 'tag')} run side by side`,
  stage: 'Stage',
  tag: 'Image tag',
  tagPlaceholder: 'Choose or type a tag, or a digest',
  tags: 'Tags of the registry',
  asking: 'Asking the registry for its tags',
  unasked: 'The registry could not be asked for its tags. You can type one.',
  askAgain: 'Ask again',
  noTags: 'The registry has no such tag',
  tagsShown: (shown: number, all: number) => (shown < all ? `the first ${shown} of ${plural(all, 'tag')}` : plural(all, 'tag')),
  matches: 'matches the rule',
  ready: 'next by the rule',
  runs: 'runs',
  rule: (kind: string, pattern: string) => `The stage follows ${kind} ${pattern}.`,
  will: 'What will happen',
  warnings: 'Before you do',
  submit: (tag: string) => (tag ? `Deploy ${tag}` : 'Deploy'),
  digest: (digest: string) => `It points to ${digest} now.`,

  pulls: (tag: string, host: string) => `${tag || 'The image'} is pulled to ${host}. Nothing that serves is touched meanwhile.`,
  healthy: (h: Spec['health'] | undefined) => {
    const within = h?.timeout ? `, within ${h.timeout}` : '';
    if (h?.kind === 'http') return `${h.path || '/'} answers on port ${h.port || 'of the image'}${within}`;
    if (h?.kind === 'tcp') return `port ${h.port || 'of the image'} answers${within}`;
    return `its HEALTHCHECK passes, or it has been up for 10 s${within}`;
  },
  startsAlone: (health: string) => `A container starts. It serves when ${health}.`,
  startsBeside: (name: string, tag: string) => `A new container starts beside ${name} (${tag}), which goes on serving.`,
  stopsFirst: (name: string, why: string) => `${name} is stopped first, because ${why}.`,
  takesOver: (health: string) => `When ${health}, what leads to the stage leads to the new one.`,
  drains: (name: string, drain: string, keep: number | null) => `${name} ${ends(drain)}. ${deploy.keptAfter(keep)}`,
  staysStopped: (name: string, keep: number | null) => `${name} stays stopped. ${deploy.keptAfter(keep)}`,
  keptAfter: (keep: number | null) =>
    keep === null
      ? 'It is kept for a rollback as the policy says.'
      : keep > 0
        ? `The last ${plural(keep, 'good one')} ${keep === 1 ? 'is' : 'are'} kept for a rollback.`
        : 'No former one is kept for a rollback.',
  startsAmong: (n: number, most: number, health: string) =>
    n === 0
      ? `A container starts. It serves when ${health}.`
      : `A container starts beside ${n} of at most ${most}. It serves when ${health}.`,
  sameTag: (name: string, drain: string) => `${name} is of the same tag: it ${ends(drain)}.`,
  tooMany: (name: string, tag: string, most: number) =>
    `${name} (${tag}) gives way and is stopped: at most ${most} run side by side, and it is the oldest.`,
  domain: (domain: string) => `It gets a domain of its own: ${domain}`,
  ifNot: 'If it does not become healthy, it is stopped, and what served goes on serving.',
  ifNotAgain: (name: string) => `If it does not become healthy, it is stopped, and ${name} is started again.`,
  ifNotAlone: 'If it does not become healthy, it is stopped.',
  gap: 'For a while nothing serves: the former one is stopped before the new one is healthy.',
  samePort: (port: number) => `both publish the host port ${port}`,
  sameVolume: (source: string) => `both write to ${source}`,
  production: 'This is a production stage.',
  waitsFor: (tag: string) => `${tag} is being deployed to it now: this one waits for its turn.`,
  supersedes: (tag: string) => `${tag} waits for its turn, and is superseded by this one.`,
  allProtected: (most: number) => `More than ${most} will run side by side: the others are pinned, snoozed or to be kept.`,
  notListed: (tag: string) => `The registry does not list ${tag}.`,
  outside: (why: string, mode: string) =>
    `It is not what the stage follows: ${why}.${mode === 'auto' ? ' The next new tag that is takes its place by itself.' : ''}`,

  steps: {
    queued: 'Queued',
    pulling: 'Pulling the image',
    starting: 'Starting',
    checking: 'Waiting until it is healthy',
    switching: 'Switching over',
    draining: 'Letting the former one end',
    done: 'Done',
    failed: 'Failed',
    cancelled: 'Cancelled',
    superseded: 'Superseded',
  } as Record<string, string>,
  bytes: (done: string, all: string) => `${done} of ${all}`,
};

export const deployPage = {
  crumb: 'Projects',
  title: (kind: string, tag: string, stage: string) => `${kind === 'rollback' ? 'Rollback' : 'Deploy'} of ${stage} to ${tag}`,
  asked: (actor: string) => `asked for by ${who(actor)}`,
  took: (span: string) => `took ${span}`,
  brief: '< 1 s',
  since: (span: string) => `for ${span}`,
  steps: 'Steps',
  never: 'not needed',
  notReached: 'not reached',
  pull: 'Pulled',
  log: 'Log',
  logOf: 'Log of the deploy',
  lines: (n: number) => plural(n, 'line'),
  noLines: 'Its log is no longer kept.',
  live: 'live',
  follow: 'Follow',
  following: 'Following',
  download: 'Download',
  image: 'Image',
  digest: 'Digest',
  gone: 'This deploy is not known',
  goneBody: 'Deploys go with their stage.',
  goneAction: 'Projects',

  doneTitle: (tag: string, stage: string) => `${tag} serves ${stage}`,
  wasDone: (tag: string, stage: string) => `${tag} came to serve ${stage}`,
  noLonger: 'Its instance does not run any more.',
  doneBody: (replaced: boolean) => (replaced ? 'What served before was stopped, and can be gone back to.' : ''),
  failedTitle: 'It did not come to serve',
  cancelledTitle: (by: string) => `It was cancelled by ${who(by)}`,
  servesOn: 'What served before serves on.',
  supersededTitle: 'A newer request took its place before its turn came',
  open: 'Open the instance',
  containerLog: 'Log of its container',
  again: 'Deploy again…',
  back: 'Roll back…',
  list: 'Deploys of the stage',

  cancel: 'Cancel the deploy…',
  cancelTitle: (tag: string) => `Cancel the deploy of ${tag}`,
  cancelAction: 'Cancel the deploy',
  keepOn: 'Let it go on',
  cancelSays: {
    queued: 'It is taken out of the queue. Nothing was made yet.',
    pulling: 'The pull ends. Nothing that serves was touched.',
    starting: 'Its new container is stopped; one that never ran is removed.',
    checking: 'Its new container is stopped and stays, so that you can read its log.',
  } as Record<string, string>,
  cancelServes: 'What served before serves on, and is started again if it was stopped for this.',
  cancelled: 'The deploy is being cancelled',
  cancelling: (by: string) => `${who(by)} cancels it`,
};

export const rollback = {
  title: (stage: string) => `Roll back ${stage}`,
  runs: (tag: string, digest: string) => `${tag}${digest ? ` (${digest})` : ''} runs now`,
  nothingRuns: 'Nothing runs now',
  choose: 'Go back to',
  none: 'There is nothing to go back to',
  noneBody: 'No former version of this stage is there any more. Deploy a tag instead.',
  kept: 'kept',
  notKept: 'not kept',
  notKeptHelp: 'A cleanup may take it once it is stale.',
  deployed: 'deployed',
  will: 'What will happen',
  starts: (name: string) => `${name} is started again as it is, from the image it was made of.`,
  remakes: (name: string, digest: string) =>
    `${name} is gone from its host: another is made of its spec and of ${digest ? `the same image (${digest})` : 'its tag'}.`,
  else: 'If its container is no longer as it was, another is made of the same spec and the same image, wherever the tag points by now.',
  takes: 'When it is healthy, what leads to the stage leads to it.',
  drains: (name: string, drain: string) => `${name} ${ends(drain)}. You can come back to it in the same way.`,
  submit: (tag: string) => `Roll back to ${tag}`,
};

export const deploys = {
  label: 'Deploys',
  stage: 'Stage',
  allStages: 'All stages',
  state: 'State',
  anyState: 'Any state',
  states: { open: 'Under way', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', superseded: 'Superseded' } as Record<string, string>,
  columns: { state: 'State', tag: 'Image tag', stage: 'Stage', by: 'Asked for by', when: 'When', took: 'Took' },
  rollback: 'rollback',
  more: 'Show older ones',
  none: 'Nothing has been deployed yet.',
  noMatch: 'No deploy is in this state.',
  newest: (n: number) => `The newest ${n} of each stage. Choose a stage to see older ones.`,
  who,
};

export const previews = {
  title: (stage: string) => `Side by side in ${stage}`,
  used: (n: number, most: number) => `${n} of ${most}`,
  cap: (n: number, most: number) => `${n} of at most ${plural(most, 'tag')} run`,
  full: 'Full: the next new tag makes the oldest give way',
  columns: { tag: 'Tag', domain: 'Domain', age: 'Runs since', next: 'What becomes of it' },
  none: 'No tag runs here now',
  noneBody: 'Deploy one; each runs in a container of its own, at a domain of its own.',
  noDomain: 'none',
  stays: 'runs on',
  next: 'gives way to the next new tag',
  goneSince: 'its tag left the registry',
  retires: 'it is stopped when that has lasted',
  protectedBy: (what: string) => `never gives way: ${what}`,
  retired: 'Stopped lately',
  stopped: 'stopped',
};
