import { plural } from '../format';

// The cards of the overview that come after the page, each by itself.
export const month = {
  title: 'Last 30 days',
  stale: 'Stale each day, kept ones included',
  now: (n: number) => `${n} today`,
  notJudged: 'no host was judged yet',
  staleLabel: (days: number, least: number, most: number) => `Stale containers on each of ${days} days: ${least} to ${most}`,
  reclaimed: 'Came back each day',
  reclaimedLabel: (bytes: string, removed: string) => `Bytes that came back each day: ${bytes} in all, ${removed} containers removed`,
  day: (bytes: string, removed: number, images: number) =>
    [bytes, removed ? plural(removed, 'container') : '', images ? plural(images, 'image') : ''].filter(Boolean).join(', '),
};

export const next = {
  title: (n: number, when: string) => `${plural(n, 'container')} ${n === 1 ? 'is' : 'are'} cleaned up ${when}`,
  now: 'now',
  unless: 'Each is looked at once more before; what is alive then stays.',
  cancel: 'Call off',
  cancelled: 'The cleanup was called off',
  cancelledBody: 'What it held is left alone by automatic cleanup for 24 hours.',
  failed: 'The cleanup could not be called off',
  more: (n: number) => `and ${plural(n, 'more', 'more')}`,
};

export const automatic = {
  title: 'Goes by itself',
  off: 'Automatic cleanup is off',
  on: 'Automatic cleanup is on, nothing waits',
  waits: 'Automatic cleanup is on, one plan waits',
  held: (names: string) => `Automatic cleanup is held on ${names}`,
  archives: (n: number, bytes: string) =>
    n === 0 ? 'Nothing that was removed can be restored' : `${plural(n, 'removed container')} can be restored${bytes && `, ${bytes}`}`,
};

export const byAge = {
  title: 'Stale by age',
  span: (from: number, to?: number) => (!from ? `under ${to} days` : to ? `${from} to ${to} days` : `${from} days and more`),
  review: 'Review',
};

export const byProject = 'Reclaimable by project';
