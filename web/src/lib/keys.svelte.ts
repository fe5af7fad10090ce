import { untrack } from 'svelte';
import { stored, store } from './storage';

export type Binding = { keys: string; label: string; group: string; run: (e: KeyboardEvent) => void };

export const bindings = $state<Binding[]>([]);
export const modLabel = /Mac|iP(hone|ad)/.test(navigator.userAgent) ? '⌘' : 'Ctrl';

let singles = $state(stored('dw.keys') !== 'off');

/** Single letters can be switched off, for those who speak to their computer (WCAG 2.1.4). */
export const settings = {
  get singleKeys() {
    return singles;
  },
  set singleKeys(on: boolean) {
    singles = on;
    store('dw.keys', on ? 'on' : 'off');
  },
};

const typing = (t: EventTarget | null) =>
  t instanceof HTMLElement &&
  (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName)) &&
  !['checkbox', 'radio', 'range'].includes((t as HTMLInputElement).type);

/** The name of a pressed key, as bindings spell it: "mod+k", "?", "shift+x". */
export function nameOf(e: Pick<KeyboardEvent, 'key' | 'metaKey' | 'ctrlKey' | 'shiftKey'>): string {
  const mod = e.metaKey || e.ctrlKey ? 'mod+' : '';
  const shift = e.shiftKey && (e.key.length > 1 || /[a-z]/i.test(e.key)) ? 'shift+' : '';
  return mod + shift + (e.key.length === 1 ? e.key.toLowerCase() : e.key);
}

let pending = '';
let timer: ReturnType<typeof setTimeout>;

function pressed(e: KeyboardEvent) {
  if (e.isComposing || e.altKey || e.defaultPrevented) return;
  const key = nameOf(e);
  const plain = !key.startsWith('mod+');
  if (plain && (typing(e.target) || !singles || document.querySelector('dialog[open]'))) return;
  // Enter on a button or a link is its own.
  if (key === 'Enter' && e.target instanceof Element && e.target.closest('a, button, summary')) return;
  const sequence = pending ? `${pending} ${key}` : key;
  const hit = bindings.findLast((b) => b.keys === sequence) ?? bindings.findLast((b) => b.keys === key);
  clearTimeout(timer);
  pending = '';
  if (hit) {
    e.preventDefault();
    hit.run(e);
  } else if (bindings.some((b) => b.keys.startsWith(key + ' '))) {
    pending = key;
    timer = setTimeout(() => (pending = ''), 900);
  }
}
addEventListener('keydown', pressed);

/** Adds bindings until the returned function is called; meant for an $effect. Later ones win. */
export function bind(list: Binding[]): () => void {
  untrack(() => bindings.push(...list));
  return () =>
    untrack(() => {
      for (const b of list) {
        const i = bindings.findLastIndex((x) => x.keys === b.keys && x.label === b.label);
        if (i >= 0) bindings.splice(i, 1);
      }
    });
}
