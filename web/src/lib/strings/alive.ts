// What is said beside the last sign of life of an instance.
export const alive = {
  none: 'none',
  atTheLatest: 'at the latest',
  lastRequest: 'Last request',
  requests: (when: string, n: number) => `${when}: ${n.toLocaleString('en')} ${n === 1 ? 'request' : 'requests'} in all`,
};
