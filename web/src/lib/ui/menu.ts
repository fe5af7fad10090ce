import type { Component } from 'svelte';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Icon = Component<any>;
export type Item = { label: string; icon?: Icon; run: () => void; tone?: 'bad'; hint?: string; checked?: boolean } | 'sep';
