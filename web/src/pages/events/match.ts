import type { Event, EventQuery } from '$lib/api/client';

type Names = { project: (id?: string) => string | undefined; stage: (id?: string) => string | undefined };

const named = (wish: string | undefined, id: string | undefined, name: string | undefined) => !wish || wish === id || wish === name;

/** Whether an event that just came is one that was asked for; the server's filter, for what the stream brings. */
export function matches(e: Event, q: EventQuery, names: Names): boolean {
  return (
    (!q.severity?.length || q.severity.includes(e.severity)) &&
    (!q.source?.length || q.source.some((s) => s === e.source)) &&
    named(q.project, e.project_id, names.project(e.project_id)) &&
    named(q.stage, e.stage_id, names.stage(e.stage_id)) &&
    (!q.instance || q.instance === e.instance_id) &&
    (!q.host || q.host === e.host_id) &&
    (!q.actor || q.actor === e.actor) &&
    (!q.text || e.message.toLowerCase().includes(q.text.toLowerCase())) &&
    (!q.from || e.time >= q.from) &&
    (!q.to || e.time < q.to)
  );
}
