import { render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Provider } from '$lib/api/provider';
import { who } from '$lib/session.svelte';
import { provider as words } from '$lib/strings/provider';
import { formOf, fresh, providerOf } from '../../src/pages/settings/provider';
import ProviderTab from '../../src/pages/settings/ProviderTab.svelte';

const full: Provider = {
  enabled: true,
  label: 'Work',
  issuer: 'https://id.example.org',
  client_id: 'dw',
  has_secret: true,
  client_secret_file: '',
  external_url: 'https://dw.example.org',
  scopes: ['groups'],
  name_claim: 'name',
  groups_claim: 'roles',
  allowed_groups: ['ops', 'dev'],
  allowed_domains: ['example.org'],
  auto_create: true,
  rules: [{ group: 'ops', role: 'admin' }],
};

describe('the form of an identity provider', () => {
  it('sends all that it was made of, and keeps the secret', () => {
    const { has_secret: _, ...sent } = full;
    expect(providerOf(formOf(full))).toEqual({
      ...sent,
      client_secret: undefined,
      rules: [{ group: 'ops', role: 'admin', project_id: undefined }],
    });
  });
  it('begins with nothing but the address of the page', () => {
    expect(formOf(fresh('https://here'))).toMatchObject({ issuer: '', client_id: '', external_url: 'https://here', rules: [] });
  });
});

describe('when nothing can be asked after a save', () => {
  const json = (status: number, body: unknown) =>
    new Response(status === 204 ? null : JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
  let asked: string[] = [];
  beforeEach(() => {
    asked = [];
    who.now = { state: 'user', role: 'admin', name: 'anna' } as typeof who.now;
    vi.stubGlobal(
      'fetch',
      vi.fn(async (request: Request) => {
        asked.push(request.method);
        if (request.method === 'DELETE') return json(204, null);
        if (request.method === 'PUT') return json(200, { ...((await request.json()) as Provider), label: 'As it was saved' });
        return asked.length === 1 ? json(200, full) : json(500, { status: 500, detail: 'away' });
      }),
    );
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    who.now = null;
  });
  const label = () => screen.getByLabelText<HTMLInputElement>(words.label);

  it('the form has what was saved, not what was there before', async () => {
    render(ProviderTab);
    await waitFor(() => expect(label().value).toBe('Work'));
    screen.getByRole('button', { name: words.save }).click();
    await waitFor(() => expect(label().value).toBe('As it was saved'));
  });
  it('the form has nothing of what was removed', async () => {
    render(ProviderTab);
    await waitFor(() => expect(label().value).toBe('Work'));
    screen.getByRole('button', { name: words.remove }).click();
    await waitFor(() => screen.getByRole('dialog'));
    screen.getAllByRole('button', { name: words.remove }).at(-1)!.click();
    await waitFor(() => expect(label().value).toBe(''));
    expect(asked.filter((m) => m !== 'GET')).toEqual(['DELETE']);
    expect(screen.queryByRole('button', { name: words.test })).toBeNull();
  });
});
