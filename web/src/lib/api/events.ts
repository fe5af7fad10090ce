import { api, ok, type EventQuery } from './client';

// What happened.
export const listEvents = (query: EventQuery, signal?: AbortSignal) => ok(api.GET('/api/events', { params: { query }, signal }));
export const getHistory = (from: string, days: number) => ok(api.GET('/api/history', { params: { query: { from, days } } }));
