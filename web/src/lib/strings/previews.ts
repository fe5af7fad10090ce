import { plural } from '../format';

export const previews = {
  title: (stage: string) => `Side by side in ${stage}`,
  used: (n: number, most: number) => `${n} of ${most}`,
  cap: (n: number, most: number) => `${n} of at most ${plural(most, 'tag')} run`,
  full: 'Full: the next new tag makes the oldest give way',
  columns: { tag: 'Tag', domain: 'Domain', age: 'Runs since', next: 'What becomes of it' },
  none: 'No tag runs here now',
  noneBody: 'Deploy one; each runs in a container of its own, at a domain of its own.',
  noDomain: 'none',
  stays: 'runs on',
  next: 'gives way to the next new tag',
  goneSince: 'its tag left the registry',
  retires: 'it is stopped when that has lasted',
  protectedBy: (what: string) => `never gives way: ${what}`,
  retired: 'Stopped lately',
  stopped: 'stopped',
};
