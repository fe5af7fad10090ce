/** Why a host could not be judged. */
export const blindReasons: Record<string, string> = {
  down: 'docker-watcher did not run',
  unreachable: 'the engine did not answer',
  empty_list: 'the engine showed no container at all',
  mass_change: 'too much changed at once',
  clock: 'our clock jumped',
  clock_skew: 'the clock of the engine was wrong',
  engine_changed: 'another engine answered',
  disabled: 'an admin took it out of use',
};
