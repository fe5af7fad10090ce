import type { EventQuery } from './api/client';

/** The parts of the daemon that write events, as its API lists them: one that is missing here does not compile. */
export type Source = NonNullable<EventQuery['source']>[number];
const known: Record<Source, true> = {
  scanner: true,
  cleaner: true,
  deployer: true,
  poller: true,
  proxy: true,
  engine: true,
  auth: true,
  settings: true,
  api: true,
  system: true,
  notifier: true,
};
export const sources = Object.keys(known) as Source[];
