import { render, screen } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import ActorField from '../../src/pages/events/ActorField.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The field, bound to what a page holds. */
function field(value: string) {
  const page = $state({ value });
  const shown = render(ActorField, {
    known: [],
    get value() {
      return page.value;
    },
    set value(v: string) {
      page.value = v;
    },
  });
  const input = screen.getByRole<HTMLInputElement>('combobox');
  const type = (text: string) => {
    input.value = text;
    input.dispatchEvent(new InputEvent('input', { bubbles: true }));
    flushSync();
  };
  return { page, ...shown, input, type };
}

it('filters by an actor a moment after the last key', () => {
  const { page, type } = field('');
  type('user:an');
  vi.advanceTimersByTime(399);
  type('user:anna');
  vi.advanceTimersByTime(399);
  expect(page.value).toBe('');
  vi.advanceTimersByTime(1);
  expect(page.value).toBe('user:anna');
});

it('does not bring back what was typed when the filter was taken away or chosen otherwise meanwhile', () => {
  for (const chosen of ['', 'user:bob']) {
    const { page, input, type, unmount } = field('system');
    type('user:anna');
    page.value = chosen;
    flushSync();
    expect(input.value).toBe(chosen);
    vi.advanceTimersByTime(1_000);
    flushSync();
    expect([page.value, input.value]).toEqual([chosen, chosen]);
    unmount();
  }
});

it('does not filter when it is gone', () => {
  const { page, type, unmount } = field('');
  type('user:anna');
  unmount();
  vi.advanceTimersByTime(1_000);
  expect(page.value).toBe('');
});
