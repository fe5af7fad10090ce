import type { EventQuery } from '$lib/api/client';

export type Format = 'csv' | 'ndjson';

/** Where the server gives everything that a filter takes, as one file. */
export function exportAddress(query: EventQuery, format: Format): string {
  const asked = new URLSearchParams({ format });
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one) asked.append(key, String(one));
  }
  return `/api/events/export?${asked}`;
}

/** Has the browser save it; the server names the file. */
export function save(query: EventQuery, format: Format) {
  const a = document.createElement('a');
  a.href = exportAddress(query, format);
  a.download = '';
  a.click();
}
