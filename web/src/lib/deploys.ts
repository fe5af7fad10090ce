import type { Deploy, Instance, RuleTrial, Stage } from './api/client';
import { ended } from './deploysteps';
import { givesWay, live, liveIn } from './sidebyside';
import { deploy as words } from './strings/deploys';
import { instanceTone } from './tone';

export type Former = { instance: Instance; deployed_at: string };

/** What a stage can go back to: instances that were once good and do not run, the newest deploy first. */
export function formersOf(stage: Stage, deploys: Deploy[], instances: Instance[]): Former[] {
  const byId = new Map(instances.filter((i) => i.stage_id === stage.id).map((i) => [i.id, i]));
  const list: Former[] = [];
  for (const d of deploys.toSorted((a, b) => b.created_at.localeCompare(a.created_at))) {
    const i = d.state === 'done' && d.stage_id === stage.id && d.instance_id ? byId.get(d.instance_id) : undefined;
    if (!i) continue;
    byId.delete(i.id);
    if (!live(i) && i.status !== 'removing' && instanceTone[i.status] !== 'deploying')
      list.push({ instance: i, deployed_at: d.created_at });
  }
  return list;
}

/** Kept for a rollback: no cleanup touches it. */
export const kept = (i: Instance) => i.protection?.kind === 'rollback';

type Spec = NonNullable<Instance['spec']>;

// What stands for a name in a domain; where that is not the name itself, six signs of its hash follow, which are not guessed here.
function slugLike(name: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return plain === name && plain.length <= 63 ? plain : `${plain.slice(0, 56)}-(hash)`;
}

/** The domain that a tag will get by the template of its stage, as far as that is plain. */
export const domainLike = (stage: Stage, tag: string): string =>
  stage.domain
    .replaceAll('{{tag}}', tag ? slugLike(tag) : '…')
    .replaceAll('{{project}}', slugLike(stage.project))
    .replaceAll('{{stage}}', slugLike(stage.name));

/** Why the next cannot run beside the one that serves, so that this one is stopped first; empty: it can. */
export function inTheWay(former: Spec | undefined, next: Spec | undefined): string {
  for (const a of former?.ports ?? [])
    for (const b of next?.ports ?? [])
      if (a.host && a.host === b.host && (a.protocol ?? 'tcp') === (b.protocol ?? 'tcp')) return words.samePort(a.host);
  for (const a of former?.mounts ?? [])
    for (const b of next?.mounts ?? []) if (a.source === b.source && !a.read_only && !b.read_only) return words.sameVolume(a.source);
  return '';
}

export type Asked = {
  stage: Stage;
  tag: string;
  instances: Instance[];
  /** What serves, with its spec, of a stage where the next replaces it. */
  served?: Instance;
  deploys: Deploy[];
  /** What the registry says; null: it was not or could not be asked. */
  trial: RuleTrial | null;
};

export type Forecast = { does: string[]; warns: string[] };

/** What a deploy would do, in the order in which it does it, and what to think of before. */
export function forecast(a: Asked): Forecast {
  const does = [words.pulls(a.tag, a.stage.host), ...(a.stage.strategy === 'parallel' ? besides(a) : replaces(a))];
  return { does, warns: warnings(a) };
}

function replaces({ stage, served }: Asked): string[] {
  const health = words.healthy(stage.spec.health);
  if (!served) return [words.startsAlone(health), words.ifNotAlone];
  const way = inTheWay(served.spec, stage.spec);
  if (way)
    return [
      words.stopsFirst(served.name, way),
      words.takesOver(health),
      words.staysStopped(served.name, stage.keep_last),
      words.ifNotAgain(served.name),
    ];
  return [
    words.startsBeside(served.name, served.image_tag),
    words.takesOver(health),
    words.drains(served.name, stage.drain, stage.keep_last),
    words.ifNot,
  ];
}

function besides({ stage, tag, instances }: Asked): string[] {
  const running = liveIn(stage, instances);
  const same = running.filter((i) => i.image_tag === tag);
  const out = [words.startsAmong(running.length, stage.parallel_max, words.healthy(stage.spec.health))];
  for (const i of same) out.push(words.sameTag(i.name, stage.drain));
  for (const i of givesWay(stage, instances, tag)) out.push(words.tooMany(i.name, i.image_tag, stage.parallel_max));
  if (stage.domain) out.push(words.domain(domainLike(stage, tag)));
  return [...out, running.length ? words.ifNot : words.ifNotAlone];
}

function warnings({ stage, tag, deploys, trial, instances, served }: Asked): string[] {
  const out: string[] = [];
  if (stage.kind === 'production') out.push(words.production);
  if (stage.strategy === 'replace' && served && inTheWay(served.spec, stage.spec)) out.push(words.gap);
  const open = deploys.filter((d) => d.stage_id === stage.id && !ended(d.state));
  const waits = open.find((d) => d.state === 'queued' && (stage.strategy !== 'parallel' || d.image_tag === tag));
  const runs = open.find((d) => d.state !== 'queued');
  if (runs) out.push(words.waitsFor(runs.image_tag));
  if (waits && runs) out.push(words.supersedes(waits.image_tag));
  if (stage.strategy === 'parallel') {
    const left = liveIn(stage, instances).filter((i) => i.image_tag !== tag).length - givesWay(stage, instances, tag).length;
    if (left + 1 > stage.parallel_max) out.push(words.allProtected(stage.parallel_max));
  }
  const found = trial?.items.find((t) => t.tag === tag);
  if (trial?.asked && !found && !tag.startsWith('sha256:') && trial.considered === trial.items.length) out.push(words.notListed(tag));
  if (found && !found.matched && stage.tag_rule) out.push(words.outside(found.why, stage.mode));
  return out;
}
