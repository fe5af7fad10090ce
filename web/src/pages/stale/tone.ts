export type Tone = 'plain' | 'ok' | 'warn' | 'bad' | 'info';

/** The colour of a way of not being alive. */
export const classTone: Record<string, Tone> = {
  exited: 'plain',
  failed: 'bad',
  oom: 'bad',
  never_started: 'plain',
  paused: 'warn',
  crash_looping: 'bad',
  dead: 'bad',
  missing: 'warn',
  engine_lost: 'warn',
};
