export const classes: Record<string, { label: string; help: string }> = {
  exited: { label: 'Exited', help: 'It ended without an error.' },
  failed: { label: 'Failed', help: 'It ended with an error.' },
  oom: { label: 'Out of memory', help: 'The kernel ended it because it used too much memory.' },
  never_started: { label: 'Never started', help: 'It was created and never ran.' },
  paused: { label: 'Paused', help: 'Its processes are frozen; they still exist.' },
  crash_looping: { label: 'Crash looping', help: 'The engine starts it again and again, and it never lives for 10 seconds.' },
  dead: { label: 'Dead', help: 'The engine could not remove it whole.' },
  missing: { label: 'Missing', help: 'It is gone from the engine, and docker-watcher did not remove it.' },
  engine_lost: {
    label: 'Lost by its engine',
    help: 'It was meant to run and stopped when its engine crashed. Never cleaned up automatically.',
  },
};

export const evidence: Record<string, string> = {
  observed: 'we saw it running then',
  finished_at: 'the engine says that it ended then',
  first_seen_stopped: 'we first saw it stopped then',
  created_at: 'it was created then and never started',
};
