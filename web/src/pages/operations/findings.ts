import type { Finding } from '$lib/api/operations';
import { operations } from '$lib/strings/operations';

const words = operations.doctor;
const rank = { error: 0, warn: 1, info: 2, ok: 3 } as const;

/** The shape of each severity. */
export const tones = { error: 'bad', warn: 'warn', info: 'info', ok: 'ok' } as const;

/** What somebody has to look at, the worst first, and what is well. */
export function sorted(findings: Finding[]): { open: Finding[]; well: Finding[] } {
  const open = findings.filter((f) => f.severity !== 'ok').toSorted((a, b) => rank[a.severity] - rank[b.severity]);
  return { open, well: findings.filter((f) => f.severity === 'ok') };
}

/** "engine:local" is "Engine local", "job:stale-scan" goes by the name of the job. */
export function nameOf(finding: string): string {
  const [kind, of] = finding.split(/:(.*)/s);
  if (of === undefined) return words.names[finding] ?? finding;
  const known = words.kinds[kind!];
  if (!known) return finding;
  return `${known} ${kind === 'job' ? (operations.jobs.names[of] ?? of) : of}`;
}

/** Where a finding can be looked at. */
export function placeOf(finding: string): { href: string; label: string } | null {
  const kind = finding.split(':', 1)[0];
  switch (kind) {
    case 'engine':
    case 'hosts':
      return { href: '/hosts', label: words.goTo.hosts };
    case 'registry':
      return { href: '/registries', label: words.goTo.registries };
    case 'job':
    case 'scan':
      return { href: '/operations', label: words.goTo.jobs };
    case 'backup':
      return { href: '/operations/backups', label: words.goTo.backups };
  }
  return null;
}
