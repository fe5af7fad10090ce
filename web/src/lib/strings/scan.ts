import { plural } from '../format';

export const scanWords = {
  scanNow: 'Scan now',
  scanFailed: 'The scan could not be made',
  scanBlind: 'A host could not be judged; nothing was changed',
  scanDone: 'Scan finished',
  scanResult: (total: number, fresh: number) =>
    `${plural(total, 'stale container')}, ${fresh === 0 ? 'none of them new' : `${fresh} of them new`}`,
  age: (days: number) => (days === 0 ? 'under 7 days' : `${days}+ days`),
  ageShort: (days: number) => `${days}+ d`,
};
