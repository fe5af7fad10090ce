import { fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Provider } from '$lib/api/provider';
import { who } from '$lib/session.svelte';
import { errors } from '$lib/strings/common';
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

describe('when somebody else saves meanwhile', () => {
  const json = (status: number, body: unknown) =>
    new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });
  const theirs = { ...full, label: 'Theirs', revision: 'b' };
  let there: Provider | null = null;
  let sent: Request[] = [];
  beforeEach(() => {
    there = { ...full, revision: 'a' };
    sent = [];
    who.now = { state: 'user', role: 'admin', name: 'anna' } as typeof who.now;
    vi.stubGlobal(
      'fetch',
      vi.fn(async (request: Request) => {
        if (request.method === 'GET') return there ? json(200, there) : json(409, { status: 409, code: 'wrong_state' });
        sent.push(request.clone());
        const asked = request.headers.get('If-Match');
        if (there ? asked === `"${there.revision}"` : request.headers.get('If-None-Match') === '*') {
          there = { ...((await request.json()) as Provider), revision: 'c' };
          return json(200, there);
        }
        return json(412, { status: 412, code: 'revision_mismatch', detail: 'the revision is b', hint: 'look at it again' });
      }),
    );
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    who.now = null;
  });
  const label = () => screen.getByLabelText<HTMLInputElement>(words.label);
  const save = () => screen.getByRole('button', { name: words.save }).click();

  it('does not write over it, says so, and shows theirs when asked to', async () => {
    render(ProviderTab);
    await waitFor(() => expect(label().value).toBe('Work'));
    there = theirs;
    save();
    const told = await screen.findByRole('alert');
    expect(told.textContent).toContain(errors.changed);
    expect(told.textContent).not.toContain('revision');
    expect(there).toBe(theirs);
    expect(label().value).toBe('Work'); // what was typed can still be read
    screen.getByRole('button', { name: words.showTheirs }).click();
    await waitFor(() => expect(label().value).toBe('Theirs'));
    expect(screen.queryByRole('alert')).toBeNull();
    save();
    await waitFor(() => expect(sent).toHaveLength(2));
    expect(sent[1]!.headers.get('If-Match')).toBe('"b"');
    await waitFor(() => expect(there).toMatchObject({ label: 'Theirs', revision: 'c' }));
  });

  it('does not set one up over that of somebody who did so first', async () => {
    there = null;
    render(ProviderTab);
    await waitFor(() => expect(label().value).toBe(''));
    there = theirs;
    for (const of of [words.issuer, words.clientId])
      fireEvent.input(screen.getByLabelText(of), { target: { value: 'https://mine.example.org' } });
    save();
    expect((await screen.findByRole('alert')).textContent).toContain(errors.changed);
    expect(sent[0]!.headers.get('If-None-Match')).toBe('*');
    expect(there).toBe(theirs);
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
