import { wordsOf } from './api/client';

export type Toast = {
  id: number;
  title: string;
  body?: string;
  tone?: 'ok' | 'bad' | 'warn' | 'info';
  action?: { label: string; run: () => void };
  ms: number;
};

let last = 0;
export const toasts = $state<Toast[]>([]);

const stay = (t: { tone?: string; action?: unknown }) => (t.action ? 12_000 : t.tone === 'bad' ? 10_000 : 5_000);

export function toast(t: Omit<Toast, 'id' | 'ms'> & { ms?: number }): number {
  const id = ++last;
  toasts.push({ ms: stay(t), ...t, id });
  if (toasts.length > 4) toasts.shift();
  return id;
}

export function dismiss(id: number) {
  const i = toasts.findIndex((t) => t.id === id);
  if (i >= 0) toasts.splice(i, 1);
}

/** Does something and says when it could not be done. */
export async function attempt(failed: string, act: () => Promise<void>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (err) {
    toast({ tone: 'bad', title: failed, body: wordsOf(err) });
    return false;
  }
}
