import { plural } from '../format';

export const usage = {
  title: 'What it uses',
  live: 'live',
  failed: 'What it uses could not be asked',
  lost: 'The connection broke off. It is tried again.',
  cpu: 'CPU',
  memory: 'Memory',
  network: 'Network',
  percent: (n: number) => `${n < 10 ? n.toFixed(1) : Math.round(n)} %`,
  ofCore: 'of one core',
  of: (limit: string) => `of ${limit}`,
  rate: (n: string) => `${n}/s`,
  in: (n: string) => `${n}/s in`,
  out: (n: string) => `${n}/s out`,
  more: (read: string, write: string, processes: number) =>
    `Disk ${read}/s read, ${write}/s written. ${plural(processes, 'process', 'processes')}.`,
  hour: 'Last hour',
  minutes: 'Last minutes',
  spanLabel: 'How far back',
  since: (at: string) => `Measured since ${at}, when docker-watcher began.`,
  step: (span: string) => `One sample each ${span} while nobody looks.`,
  none: 'No sample is kept yet.',
};
