import { plural, span } from '../format';

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

const percent = (share: number) => (share < 0.001 ? 'under 0.1%' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`);

export const hosts = {
  title: 'Hosts',
  intro: 'The Docker engines that are watched, and how well we see them.',
  none: 'No host yet',
  noneBody: 'The daemon adds the engine that it was started with.',
  ok: 'Reachable',
  unreachable: 'Does not answer',
  disabled: 'Out of use',
  frozen: 'Verdicts held back',
  blind: 'Cannot be judged',
  selfCheck: 'Self-check',
  checks: {
    answers: 'Engine answers',
    stream: 'Event stream',
    clock: 'Clock',
    judged: 'Judged',
    held: 'Automatic cleanup',
  },
  streamFor: (seconds: number) => `unbroken for ${span(seconds * 1000)}`,
  streamDown: 'down; scans look more closely until it is back',
  clockFine: (ms: number) => (Math.abs(ms) < 1000 ? 'agrees with ours' : `differs by ${(ms / 1000).toFixed(1)} s`),
  clockWrong: (ms: number) => `differs by ${Math.round(ms / 1000)} s, so cleanups are held back`,
  judgedAt: 'last judged',
  neverJudged: 'never judged',
  facts: { endpoint: 'Endpoint', version: 'Engine', api: 'API', system: 'System', root: 'Data', engine: 'Engine ID' },
  accept: 'Accept and go on',
  acceptTitle: (name: string) => `Accept the state of ${name}`,
  acceptBody:
    'Say that what this host shows now is right: the same engine, nothing lost that should be there. Verdicts and cleanups go on from here. What was found while it was frozen is never cleaned automatically.',
  acceptHint: 'An admin can accept it once it is right.',
  accepted: (name: string) => `${name} is judged again`,
  blindTitle: 'Blind time',
  blindNow: 'still',
  held: 'Cleanup held',
  heldSince: (when: string) => `since ${when}`,
  ledger: {
    period: (host: string) => `Blind time of ${host}, period`,
    periods: { '1': 'Last day', '7': 'Last 7 days', '30': 'Last 30 days', '365': 'Last year' } as Record<string, string>,
    none: 'None: it was watched all the time.',
    sum: (blind: string, share: number) => `Nobody could tell for ${blind}, ${percent(share)} of the time`,
    strip: (n: number, from: string) => `${plural(n, 'interval')} of blind time since ${from}`,
    now: 'now',
  },
  showAll: (n: number) => `Show all ${n}`,
  scansTitle: 'Scans',
  scanTable: 'The last scans',
  scanNow: 'Scan now',
  scanColumns: { at: 'When', why: 'Why', known: 'Known', stale: 'Stale', took: 'Took', asked: 'Asked', result: 'Result' },
  triggers: { schedule: 'schedule', manual: 'by hand', gap: 'after a gap', start: 'at start', settings: 'new settings' } as Record<
    string,
    string
  >,
  asked: (lists: number, inspects: number) => `${plural(lists, 'list')}, ${plural(inspects, 'inspect')}`,
  blindScan: 'blind',
  okScan: 'ok',
  unknown: (n: number) => `${n} could not be asked`,
  staleOverTime: 'Stale over the last scans',
  noScans: 'No scan has been made yet.',
  every: (text: string) => `every ${text}`,
  next: 'next',
};
