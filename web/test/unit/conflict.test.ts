import { fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Project, Stage } from '$lib/api/client';
import type { User } from '$lib/api/users';
import { common, errors } from '$lib/strings/common';
import { users } from '$lib/strings/people';
import ProjectDialog from '../../src/pages/project/ProjectDialog.svelte';
import StageDialog from '../../src/pages/project/StageDialog.svelte';
import UserForm from '../../src/pages/settings/UserForm.svelte';

let sent: Request[] = [];
beforeEach(() => {
  sent = [];
  vi.stubGlobal(
    'fetch',
    vi.fn(async (request: Request) => {
      const headers = { 'Content-Type': 'application/json' };
      if (request.method === 'GET') return new Response(JSON.stringify({ items: [] }), { headers });
      sent.push(request);
      const problem = {
        status: 412,
        code: 'revision_mismatch',
        detail: 'it was changed meanwhile: the revision is 8',
        hint: 'look at it again',
      };
      return new Response(JSON.stringify(problem), { status: 412, headers });
    }),
  );
});
afterEach(() => vi.unstubAllGlobals());

/** Saves, and sees that it was asked for what was seen, refused, and said in words of a person. */
async function refused(save: string, seen: string) {
  await fireEvent.click(screen.getByRole('button', { name: save, hidden: true }));
  await waitFor(() => expect(sent).toHaveLength(1));
  expect(sent[0]!.headers.get('If-Match')).toBe(seen);
  const told = await screen.findByRole('alert', { hidden: true });
  expect(told.textContent).toContain(errors.changed);
  expect(told.textContent).toContain('ook at it again');
  expect(told.textContent).not.toContain('revision');
}

const project = { id: 'p1', name: 'shop', image: 'example.com/shop', revision: 3 } as Project;

it('a user whom somebody else changed meanwhile is not changed', async () => {
  const user = { id: 'u1', name: 'bert', role: 'viewer', grants: [], revision: 'f00d' } as unknown as User;
  const ondone = vi.fn();
  render(UserForm, { props: { user, ondone, onclose: () => {} } });
  await refused(users.save, '"f00d"');
  expect(ondone).not.toHaveBeenCalled();
});

it('nor is a stage', async () => {
  const stage = { id: 's1', name: 'dev', kind: 'dev', revision: 7, spec: {}, mode: 'manual', min_image_age: '0s' } as unknown as Stage;
  const onclose = vi.fn();
  render(StageDialog, { props: { project, stage, onclose } });
  await refused(common.save, '"7"');
  expect(onclose).not.toHaveBeenCalled();
});

it('nor is a project', async () => {
  const ondone = vi.fn();
  render(ProjectDialog, { props: { project, ondone, onclose: () => {} } });
  await refused(common.save, '"3"');
  expect(ondone).not.toHaveBeenCalled();
});
