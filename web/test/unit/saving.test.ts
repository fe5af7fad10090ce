import { fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { who } from '$lib/session.svelte';
import { common } from '$lib/strings/common';
import { provider } from '$lib/strings/provider';
import { serving } from '$lib/strings/serving';
import { settings } from '$lib/strings/settings';
import { settled } from '../../src/pages/settings/carried';
import ProviderTab from '../../src/pages/settings/ProviderTab.svelte';
import ServingTab from '../../src/pages/settings/ServingTab.svelte';
import StaleTab from '../../src/pages/settings/StaleTab.svelte';

const json = (body: unknown) => new Response(JSON.stringify(body), { headers: { 'Content-Type': 'application/json' } });
let now: Record<string, unknown>; // what the server holds
let answer: () => void; // lets the save that is under way be answered
let saves: number;
beforeEach(() => {
  saves = 0;
  who.now = { state: 'user', role: 'admin', name: 'anna' } as typeof who.now;
  vi.stubGlobal(
    'fetch',
    vi.fn(async (request: Request) => {
      if (request.method === 'GET') return json(/settings|identity-provider/.test(request.url) ? now : { items: [], global: {} });
      if (request.method === 'POST') return json({});
      now = { ...now, ...((await request.json()) as object) };
      saves++;
      await new Promise<void>((go) => (answer = go));
      return json(now);
    }),
  );
});
afterEach(() => {
  vi.unstubAllGlobals();
  who.now = null;
});
const type = (field: HTMLElement, value: string) => fireEvent.input(field, { target: { value } });
const click = (name: string) => fireEvent.click(screen.getByRole('button', { name }));

describe('what is typed while a save is under way', () => {
  it('stays, and all else is as it was answered', () => {
    expect(settled({ a: '1 ', b: [1], c: '' }, { a: '1', b: [2], c: 'x' }, { a: '1 ', b: [1], c: '' })).toEqual({ a: '1', b: [2], c: 'x' });
    expect(settled({ a: '1 ', b: [1], c: 'x' }, { a: '1', b: [1], c: '' }, { a: '12', b: [3], c: 'x' })).toEqual({
      a: '12',
      b: [3],
      c: '',
    });
    expect(settled({ a: 'new' }, { a: 'new' }, { a: 'old' })).toEqual({ a: 'old' }); // taken back again
  });

  it('about registries and routes is not replaced by the answer', async () => {
    now = { poll_interval: '5m', trusted_proxies: '', refused_targets: '' };
    render(ServingTab);
    const trusted = await screen.findByLabelText<HTMLTextAreaElement>(serving.trusted);
    const refused = screen.getByLabelText<HTMLTextAreaElement>(serving.refused);
    await type(trusted, '10.0.0.0/8');
    await click(common.save);
    await waitFor(() => expect(saves).toBe(1));
    await type(refused, '192.168.0.0/16');
    answer();
    await waitFor(() => expect(screen.getByRole<HTMLButtonElement>('button', { name: common.save }).disabled).toBe(false));
    expect([trusted.value, refused.value]).toEqual(['10.0.0.0/8', '192.168.0.0/16']);
    expect(screen.getByRole('region', { name: settings.unsaved })).toBeTruthy();
    await click(common.save);
    await waitFor(() => expect(saves).toBe(2));
    answer();
    await waitFor(() => expect(now).toMatchObject({ trusted_proxies: '10.0.0.0/8', refused_targets: '192.168.0.0/16' }));
    await waitFor(() => expect(screen.queryByRole('region', { name: settings.unsaved })).toBeNull());
  });

  it('about stale containers is not replaced by the answer', async () => {
    now = {
      ...{
        stale_threshold_days: 7,
        scan_interval: 'auto',
        scan_interval_seconds: 3600,
        event_retention_days: 90,
        archive_retention_days: 14,
      },
      ...{ plan_max_items: 50, mass_change_percent: 50, auto_cleanup: false, auto_warm_up: '1h', archive_layer_max_bytes: 1 << 30 },
    };
    render(StaleTab);
    const mass = await screen.findByLabelText<HTMLInputElement>(settings.mass.label);
    await type(mass, '40');
    await click(common.save);
    await waitFor(() => expect(saves).toBe(1));
    await type(mass, '30');
    answer();
    await waitFor(() => expect(screen.getByRole<HTMLButtonElement>('button', { name: common.save }).disabled).toBe(false));
    expect(mass.value).toBe('30');
    expect(now.mass_change_percent).toBe(40);
  });

  it('about the identity provider is not replaced by the answer', async () => {
    now = { enabled: true, issuer: 'https://id.example.org', client_id: 'dw', external_url: 'https://dw.example.org', revision: 'a' };
    render(ProviderTab);
    const label = await screen.findByLabelText<HTMLInputElement>(provider.label);
    await type(label, 'Work');
    await click(provider.save);
    await waitFor(() => expect(saves).toBe(1));
    await type(screen.getByLabelText(provider.clientId), 'other');
    answer();
    await waitFor(() => expect(screen.getByRole<HTMLButtonElement>('button', { name: provider.save }).disabled).toBe(false));
    expect(label.value).toBe('Work');
    expect(screen.getByLabelText<HTMLInputElement>(provider.clientId).value).toBe('other');
  });
});
