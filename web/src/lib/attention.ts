import type { Event, Host, Instance, Overview, ScanHistory } from './api/client';
import { bytes, capital, ms } from './format';
import { overview as words } from './strings/overview';
import { paths } from './router.svelte';

export type Need = { id: string; tone: 'bad' | 'warn'; title: string; meta: string; at: number | null; href: string; review?: boolean };

export type Facts = {
  hosts: Host[];
  deploys: Event[]; // newest first
  instances: Instance[];
  summary: Overview | null;
  schedule: ScanHistory['schedule'];
};

const skewed = 60_000;

/** What needs somebody now, the worst first. */
export function needs(f: Facts): Need[] {
  const list = [...f.hosts.flatMap(hostNeeds), ...failedDeploys(f.deploys), ...looping(f.instances)];
  if (f.schedule?.overdue)
    list.push({
      id: 'overdue',
      tone: 'warn',
      title: words.overdue,
      meta: f.schedule.last_error || words.overdueMeta,
      at: at(f.schedule.next_at),
      href: '/hosts',
    });
  if (f.summary?.leftovers)
    list.push({
      id: 'leftovers',
      tone: 'warn',
      title: words.leftovers(f.summary.leftovers),
      meta: words.leftoversMeta,
      at: null,
      href: '/reclaim?tab=leftovers',
    });
  for (const h of f.summary?.hosts ?? [])
    if (h.auto_held)
      list.push({
        id: 'held' + h.id,
        tone: 'warn',
        title: words.held(h.name),
        meta: h.auto_held,
        at: at(h.auto_held_since),
        href: '/hosts',
      });
  const open = (f.summary?.stale ?? 0) - (f.summary?.kept ?? 0);
  if (f.summary && open > 0) list.push(staleNeed(f.summary, open));
  return list.toSorted((a, b) => Number(b.tone === 'bad') - Number(a.tone === 'bad'));
}

const at = (iso: string | null | undefined) => (iso ? ms(iso) : null);

function hostNeeds(h: Host): Need[] {
  if (h.disabled_since) return []; // as an admin wanted it
  const blind = h.blind_intervals.find((b) => b.to === null);
  const base = { href: '/hosts', tone: 'bad' as const };
  if (!h.reachable)
    return [
      {
        ...base,
        id: 'host' + h.id,
        title: words.unreachable(h.name),
        meta: [h.error, h.hint].filter(Boolean).join('. '),
        at: at(blind?.from),
      },
    ];
  if (h.frozen) return [{ ...base, id: 'host' + h.id, title: words.frozen(h.name), meta: h.frozen_reason ?? '', at: at(h.frozen_since) }];
  if (blind)
    return [
      { ...base, tone: 'warn', id: 'host' + h.id, title: words.blind(h.name), meta: blind.detail || blind.reason, at: at(blind.from) },
    ];
  if (Math.abs(h.clock_skew_ms) > skewed)
    return [
      {
        ...base,
        tone: 'warn',
        id: 'skew' + h.id,
        title: words.skew(h.name),
        meta: words.skewMeta(Math.round(h.clock_skew_ms / 1000)),
        at: null,
      },
    ];
  return [];
}

/** A failed deploy needs somebody as long as nothing was deployed to its stage since. */
export function failedDeploys(deploys: Event[]): Need[] {
  const settled = new Set<string>();
  const list: Need[] = [];
  for (const e of deploys) {
    const stage = e.stage_id ?? '';
    if (settled.has(stage) || (e.kind !== 'deploy.done' && e.kind !== 'deploy.failed')) continue;
    settled.add(stage);
    if (e.kind === 'deploy.failed')
      list.push({
        id: 'deploy' + stage,
        tone: 'bad',
        ...deployWords(e),
        at: ms(e.time),
        href:
          typeof e.data?.deploy_id === 'string' ? paths.deploy(e.data.deploy_id) : paths.events({ source: 'deployer', severity: 'error' }),
      });
  }
  return list;
}

// Its message says what failed, then why; the first is the title.
function deployWords(e: Event): { title: string; meta: string } {
  const reason = e.data?.reason;
  const end = typeof reason === 'string' && reason ? e.message.indexOf(`: ${reason}`) : -1;
  if (end < 0) return { title: words.deployFailed, meta: e.message };
  return { title: capital(e.message.slice(0, end)), meta: e.message.slice(end + 2) };
}

function looping(instances: Instance[]): Need[] {
  return instances
    .filter((i) => i.status === 'restarting')
    .map((i) => ({
      id: i.id,
      tone: 'warn',
      title: words.looping(i.name),
      meta: words.loopingMeta(i.restart_count),
      at: at(i.last_alive_at),
      href: paths.instance(i.id),
    }));
}

function staleNeed(s: Overview, open: number): Need {
  const oldest = s.by_age.findLast((a) => a.count > 0);
  const meta = oldest?.from_days ? words.oldest(oldest.count, oldest.from_days) : '';
  return {
    id: 'stale',
    tone: 'warn',
    title: words.staleTotal(open, s.stale_bytes ? bytes(s.stale_bytes) : ''),
    meta,
    at: null,
    href: '/stale',
    review: true,
  };
}
