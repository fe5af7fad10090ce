import { render, screen } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { expect, it } from 'vitest';
import NewPassword from '../../src/pages/parts/NewPassword.svelte';

const help = '12 characters or more.';

it('says how much of a new password is missing, and nothing of it before and after', () => {
  render(NewPassword, { label: 'Password', help });
  const input = screen.getByLabelText<HTMLInputElement>('Password');
  expect([input.type, input.minLength, input.required, input.autocomplete]).toEqual(['password', 12, true, 'new-password']);
  for (const [typed, says] of [
    ['', help],
    ['x', '11 more characters.'],
    ['eleven long', '1 more character.'],
    ['twelve chars', help],
  ] as const) {
    input.value = typed;
    input.dispatchEvent(new InputEvent('input', { bubbles: true }));
    flushSync();
    expect(document.getElementById(input.getAttribute('aria-describedby')!)?.textContent.trim()).toBe(says);
  }
});

it('says what is wrong instead', () => {
  render(NewPassword, { label: 'Password', help, error: 'it is a very common one' });
  expect(screen.getByRole('alert').textContent).toContain('it is a very common one');
  expect(screen.queryByText(help)).toBeNull();
});
