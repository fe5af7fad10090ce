import type { Conflict, RestoreRequest } from '$lib/api/client';

/** The choices to show: those that were offered before, and those that settle what is in the way now. */
export function offered(before: string[], conflicts: Pick<Conflict, 'choices'>[]): string[] {
  return [...new Set([...before, ...conflicts.flatMap((c) => c.choices)])];
}

/** The request that a person's choices make; what was not chosen is not sent. */
export function requestOf(chosen: Record<string, boolean>, name: string, start: boolean): RestoreRequest {
  const yes = Object.entries(chosen).filter(([, on]) => on);
  return {
    ...(Object.fromEntries(yes) as RestoreRequest),
    ...(name.trim() ? { name: name.trim() } : {}),
    ...(start ? { start: true } : {}),
  };
}
