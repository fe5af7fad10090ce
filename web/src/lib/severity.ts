import type { Severity } from './api/client';

/** The shape and colour of a severity; info is grey, so that what is wrong stands out. */
export const toneOf: Record<Severity, 'bad' | 'warn' | 'info'> = { error: 'bad', warn: 'warn', info: 'info' };
