import type { Policy, PolicyRequest, Settings, SettingsChange, TrialRequest } from '$lib/api/client';

export type Form = {
  days: number;
  interval: string;
  mass: number;
  auto: boolean;
  warmUp: string;
  planMax: number;
  archive: number;
  layerMib: number;
  events: number;
};

const mib = 1 << 20;

/** What each number may be, as the API takes it. */
export const ranges = {
  days: { min: 1, max: 3650 },
  mass: { min: 1, max: 100 },
  planMax: { min: 1, max: 500 },
  archive: { min: 0, max: 365 }, // 0: nothing can be brought back for longer than an hour
  layerMib: { min: 0, max: 1 << 20 },
  events: { min: 1, max: 3650 },
};

export const formOf = (s: Settings): Form => ({
  days: s.stale_threshold_days,
  interval: s.scan_interval,
  mass: s.mass_change_percent,
  auto: s.auto_cleanup,
  warmUp: s.auto_warm_up,
  planMax: s.plan_max_items,
  archive: s.archive_retention_days,
  layerMib: Math.round(s.archive_layer_max_bytes / mib),
  events: s.event_retention_days,
});

/** Only what differs is sent, so that two admins do not undo each other's work. */
export function changed(s: Settings, f: Form): SettingsChange {
  const now = formOf(s);
  const out: SettingsChange = {};
  if (f.days !== now.days) out.stale_threshold_days = f.days;
  if (f.interval !== now.interval) out.scan_interval = f.interval;
  if (f.mass !== now.mass) out.mass_change_percent = f.mass;
  if (f.auto !== now.auto) out.auto_cleanup = f.auto;
  if (f.warmUp.trim() !== now.warmUp) out.auto_warm_up = f.warmUp.trim();
  if (f.planMax !== now.planMax) out.plan_max_items = f.planMax;
  if (f.archive !== now.archive) out.archive_retention_days = f.archive;
  if (f.layerMib !== now.layerMib) out.archive_layer_max_bytes = f.layerMib * mib;
  if (f.events !== now.events) out.event_retention_days = f.events;
  return out;
}

/** The question what another threshold, and the switch, would find. */
export function thresholdTrial(global: Policy, days: number, auto: boolean): TrialRequest {
  return { level: 'global', auto_cleanup: auto, policy: { ...requestOf(global), stale_after: `${days}d` } };
}

/** A policy as it is sent: what is inherited is left out. */
export function requestOf(p: Policy): PolicyRequest {
  const entries = Object.entries(p).filter(([, v]) => v !== null && v !== undefined);
  return Object.fromEntries(entries) as PolicyRequest;
}
