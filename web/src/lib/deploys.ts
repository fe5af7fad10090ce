import type { Deploy, DeployLine, Instance, Stage, RuleTrial } from './api/client';
import { ms } from './format';
import { deploy as words } from './strings/deploys';
import { instanceTone } from './tone';

type State = Deploy['state'];

/** The states that a deploy goes through when nothing is in its way. */
export const walk: State[] = ['queued', 'pulling', 'starting', 'checking', 'switching', 'draining', 'done'];

export const ended = (s: State) => s === 'done' || s === 'failed' || s === 'cancelled' || s === 'superseded';

/** It can be ended before its new instance serves. */
export const cancellable = (s: State) => ['queued', 'pulling', 'starting', 'checking'].includes(s);

export type Step = { state: State; phase: 'done' | 'now' | 'bad' | 'waiting' | 'never'; from: number | null; to: number | null };

/** The steps of a deploy with their times, by the lines of its log; what it left out or did not come to is `never`. */
export function stepsOf(d: Deploy, lines: DeployLine[]): Step[] {
  const begun = new Map<State, number>([['queued', ms(d.created_at)]]);
  for (const l of lines) if (!begun.has(l.state)) begun.set(l.state, ms(l.time));
  const over = ended(d.state);
  const last = walk.findLastIndex((s) => begun.has(s));
  const at = over ? last : Math.max(walk.indexOf(d.state), last);
  const endedAt = d.ended_at ? ms(d.ended_at) : null;
  return walk.map((state, n) => {
    const from = begun.get(state) ?? null;
    const next = walk.slice(n + 1).find((s) => begun.has(s));
    const to = from === null || state === 'done' ? null : next ? begun.get(next)! : endedAt;
    return { state, from, to, phase: phaseOf(d, state, n, at, from !== null) };
  });
}

function phaseOf(d: Deploy, state: State, n: number, at: number, seen: boolean): Step['phase'] {
  if (d.state === 'done') return seen || state === 'done' ? 'done' : 'never';
  if (ended(d.state)) return n > at || !seen ? 'never' : n < at ? 'done' : d.state === 'failed' ? 'bad' : 'never';
  if (n === at) return 'now';
  return n < at ? (seen ? 'done' : 'never') : 'waiting';
}

export type Pull = { done: number; total: number };

/** How far the pull is: the newest that was told. */
export function pullOf(lines: DeployLine[], told: Pull | null): Pull | null {
  const line = lines.findLast((l) => l.total_bytes);
  const kept = line ? { done: line.done_bytes ?? 0, total: line.total_bytes! } : null;
  if (!told?.total) return kept;
  return kept && kept.done > told.done && kept.total >= told.total ? kept : told;
}

/** Lines that came after those that are there; what came twice is taken once. */
export function appended(lines: DeployLine[], more: DeployLine[]): DeployLine[] {
  const last = lines.at(-1)?.line ?? 0;
  const fresh = more.filter((l) => l.line > last);
  return fresh.length ? [...lines, ...fresh] : lines;
}

const live = (i: Instance) => i.status === 'running' || i.status === 'restarting' || i.status === 'paused';
const newest = (a: Instance, b: Instance) => b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id);
const byHand = (i: Instance) => ['pinned', 'snoozed', 'keep'].includes(i.protection?.kind ?? '');

/** What runs in a stage, the newest first. */
export const liveIn = (stage: Stage, instances: Instance[]) => instances.filter((i) => i.stage_id === stage.id && live(i)).toSorted(newest);

/** Those that would give way if one of this tag came: the oldest that nobody protects, of a stage whose tags run side by side. */
export function givesWay(stage: Stage, instances: Instance[], tag: string): Instance[] {
  const rest = liveIn(stage, instances).filter((i) => i.image_tag !== tag);
  const over = rest.length + 1 - stage.parallel_max;
  return over <= 0
    ? []
    : rest
        .toReversed()
        .filter((i) => !byHand(i))
        .slice(0, over);
}

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
