// What the pictures ask of a daemon.
import { context, eventually } from './lib.mjs';

const { BASE_URL, TOKEN } = process.env;
export const password = 'a very secret password';

/** Something that is asked for, as who has the token of the test. */
export const get = async (path, base = BASE_URL) => (await fetch(base + path, { headers: { authorization: `Bearer ${TOKEN}` } })).json();

/** Something that is done, as who has the token of the test. */
export async function post(method, path, body, base = BASE_URL) {
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const answer = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

/** Waits until a list that is asked for has what it must have. */
export const until = (path, holds, base) =>
  eventually(async () => {
    const answer = await get(path, base);
    if (!holds(answer)) throw new Error(`${path}: ${JSON.stringify(answer)}`);
  }, 60_000);

/** Chooses an item of the menu of something, which opens a dialog. */
export const chosen = (of, item) => async (page) => {
  await page.getByRole('button', { name: `Actions for ${of}` }).click();
  await page.locator('[role=menuitem]:focus').waitFor(); // it is where it stays
  await page.getByRole('menuitem', { name: item }).first().press('Enter');
  await page.getByRole('dialog').waitFor();
};

/** The browser of anna, the first admin of a daemon. */
export async function firstAdmin(base, link) {
  const code = new URLSearchParams(new URL(link).hash.slice(1)).get('code');
  const made = await context(base);
  const answer = await made.request.post('/api/setup', { data: { code, name: 'anna', password } });
  if (!answer.ok()) throw new Error(await answer.text());
  return made;
}
