import type { Spec } from '../api/client';
import { plural } from '../format';

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
