import type { Event } from './api/client';

/** The stages whose last deploy failed, with the tag that it was to bring. */
export function failedStages(deploys: Event[]): Map<string, string> {
  const last = new Map<string, Event>();
  for (const e of deploys) if (e.stage_id && /^deploy\.(done|failed)$/.test(e.kind) && !last.has(e.stage_id)) last.set(e.stage_id, e);
  return new Map(
    [...last]
      .filter(([, e]) => e.kind === 'deploy.failed')
      .map(([id, e]) => [id, /^deploy of \S+:([^\s:/]+) to /.exec(e.message)?.[1] ?? '']),
  );
}
