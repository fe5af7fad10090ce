import { api, byId, ok, type Event, type Query } from './client';

// What an instance says and what it uses, while it does.
const streamed = { parseAs: 'stream', headers: { Accept: 'text/event-stream' } } as const;
export type LogQuery = Query<'/api/instances/{id}/logs'>;

/** The log of an instance as a stream of messages, after a place in it. */
export async function streamLogs(id: string, query: LogQuery, place: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const params = { path: { id }, query, header: place ? { 'Last-Event-ID': place } : {} };
  return (await ok(api.GET('/api/instances/{id}/logs', { params, ...streamed, signal }))) as unknown as ReadableStream<Uint8Array>;
}

/** The end of the log as text. */
export async function readLogs(id: string, tail: number): Promise<string> {
  const params = { path: { id }, query: { tail, timestamps: true } };
  return (await ok(api.GET('/api/instances/{id}/logs', { params, parseAs: 'text' }))) as unknown as string;
}

/** Where the log is to be had as a file. */
export const logFile = (id: string, query: Record<string, string>) =>
  `/api/instances/${encodeURIComponent(id)}/logs?${new URLSearchParams(query)}`;

/** What an instance uses, as a stream of messages. */
export async function streamUsage(id: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  return (await ok(api.GET('/api/instances/{id}/stats', { ...byId(id), ...streamed, signal }))) as unknown as ReadableStream<Uint8Array>;
}
export const getUsageHistory = (id: string) => ok(api.GET('/api/instances/{id}/stats/history', byId(id)));
