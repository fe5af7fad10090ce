import type { Deploy, Instance } from './api/client';

type Tone = 'ok' | 'warn' | 'bad' | 'info' | 'off' | 'deploying';

export const instanceTone: Record<Instance['status'], Tone> = {
  pending: 'deploying',
  pulling: 'deploying',
  starting: 'deploying',
  running: 'ok',
  stopped: 'off',
  paused: 'warn',
  restarting: 'warn',
  dead: 'bad',
  missing: 'warn',
  failed: 'bad',
  removing: 'deploying',
};

export const deployTone: Record<Deploy['state'], Tone> = {
  queued: 'deploying',
  pulling: 'deploying',
  starting: 'deploying',
  checking: 'deploying',
  switching: 'deploying',
  draining: 'deploying',
  done: 'ok',
  failed: 'bad',
  cancelled: 'off',
  superseded: 'off',
};

/** What serves in each stage: the newest instance that runs, else the newest that comes up, else the newest. Newest first is expected. */
export function serving(instances: Instance[]): Map<string, Instance> {
  const best = new Map<string, Instance>();
  const rank = (i: Instance) => (i.status === 'running' ? 2 : instanceTone[i.status] === 'deploying' ? 1 : 0);
  for (const i of instances) {
    const b = best.get(i.stage_id);
    if (!b || rank(i) > rank(b)) best.set(i.stage_id, i);
  }
  return best;
}
