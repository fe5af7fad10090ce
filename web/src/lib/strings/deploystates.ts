/** Who asked for a deploy. */
export const who = (actor: string) => actor.replace(/^(user|token):/, '').replace(/^system(:.*)?$/, 'docker-watcher');

export const deployStates: Record<string, string> = {
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
};
