// The main job in a real browser, against a real daemon on a real engine.
//
//   SETUP_LINK=http://127.0.0.1:8080/setup#code=... IMAGE=127.0.0.1:5000/app TAGS=1.0.0,1.1.0 node test/e2e/run.mjs [SCREENSHOT-FOLDER]
//
// The daemon must be new (nobody has set it up), and the image must be one that its engine can pull and that keeps running.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const link = process.env.SETUP_LINK ?? '';
const image = process.env.IMAGE ?? '';
const [tag, next] = (process.env.TAGS ?? '').split(',');
const shots = process.argv[2];
if (!link || !image || !tag || !next) {
  console.error('SETUP_LINK, IMAGE and TAGS (two of them) must be set');
  process.exit(2);
}
const base = process.env.BASE_URL ?? new URL(link).origin;
const password = 'correct horse battery staple';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', locale: 'en-GB' });
const page = await context.newPage();
page.setDefaultTimeout(15_000);

// Nothing may go wrong unseen, and nothing may be asked of anybody else.
const wrong = [];
page.on('pageerror', (e) => wrong.push(`page error: ${e.message}`));
page.on('console', (m) => {
  // A refused request is logged by the browser as an error; those are checked where they are meant.
  if (m.type() === 'error' && !m.text().includes('status of 4')) wrong.push(`console: ${m.text()}`);
});
page.on('request', (r) => {
  const url = r.url();
  if (!url.startsWith(base) && !url.startsWith('data:') && !url.startsWith('blob:')) wrong.push(`asked somebody else: ${url}`);
});

let step = 0;
async function does(what, act) {
  const began = Date.now();
  await act();
  step++;
  console.log(`ok ${step} ${what} (${Date.now() - began} ms)`);
  if (shots) await page.screenshot({ path: join(shots, `${String(step).padStart(2, '0')}-${what.replace(/\W+/g, '-')}.png`) });
}
const heading = (name) => page.getByRole('heading', { level: 1, name });
const dialog = () => page.getByRole('dialog');
const button = (name, exact = true) => page.getByRole('button', { name, exact });
const api = (method, path, body) =>
  page.evaluate(
    async ([m, p, b]) => {
      const r = await fetch(p, {
        method: m,
        headers: b ? { 'Content-Type': 'application/json' } : {},
        body: b ? JSON.stringify(b) : undefined,
      });
      const text = await r.text();
      return { status: r.status, body: text ? JSON.parse(text) : null };
    },
    [method, path, body],
  );

// The threshold of the stage is a second: a scan before that finds nothing, and says so.
async function scanUntilStale(n) {
  for (const end = Date.now() + 15_000; Date.now() < end;) {
    const scanned = page.waitForResponse((r) => r.url().endsWith('/api/containers/stale/scan'));
    await button('Scan now').first().click();
    await scanned;
    const found = (await api('GET', '/api/containers/stale?protected=false')).body.total;
    if (found >= n) return page.getByRole('row').nth(n).waitFor();
  }
  throw new Error(`no scan found ${n} stale`);
}

if (shots) mkdirSync(shots, { recursive: true });
try {
  await does('set up by the link', async () => {
    await page.goto(link);
    await heading('Set up docker-watcher').waitFor();
    await page.getByLabel('Name').fill('anna');
    await page.getByLabel('Password').fill('short');
    assert.ok(await page.getByText('7 more characters.').isVisible());
    await page.getByLabel('Password').fill(password);
    await button('Make admin and sign in').click();
    await heading('Overview').waitFor();
    assert.equal(new URL(page.url()).hash, '', 'the code stays in the address');
  });

  await does('sign out, a wrong password, sign in', async () => {
    await page.getByRole('button', { name: /anna/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await heading('Sign in to docker-watcher').waitFor();
    await page.getByLabel('Name').fill('anna');
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await button('Sign in').click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(password);
    await button('Sign in').click();
    await heading('Overview').waitFor();
  });

  await does('make a project and a stage', async () => {
    await page.getByRole('link', { name: 'Add a project' }).click();
    await dialog().getByLabel('Name').fill('shop');
    await dialog().getByLabel('Image').fill(image);
    await dialog().getByRole('button', { name: 'Add project' }).click();
    await heading('shop').waitFor();
    await button('Add stage').first().click();
    await dialog().getByLabel('Name').fill('dev');
    await dialog().getByLabel('Stale after').fill('1s');
    await dialog().getByLabel('Volumes and binds').fill('shop-e2e:/data');
    await dialog().getByLabel('Kept for rollback').fill('0');
    await dialog().getByRole('button', { name: 'Add stage' }).click();
    await page.getByRole('heading', { level: 2, name: 'dev' }).waitFor();
  });

  await does('deploy two tags, one after the other', async () => {
    for (const t of [tag, next]) {
      await button('Deploy').first().click();
      await dialog().getByLabel('Image tag').fill(t);
      await dialog()
        .getByRole('button', { name: `Deploy ${t}` })
        .click();
      await page.getByText(`${t} serves dev`).first().waitFor({ timeout: 90_000 });
      await dialog().getByRole('button', { name: 'Close', exact: true }).last().click();
    }
    await page.getByText('1 of 2 running').waitFor();
  });

  await does('the log of the one that runs', async () => {
    await page.getByRole('link', { name: next, exact: true }).first().click();
    await page.getByRole('link', { name: 'Logs' }).click();
    await page.getByRole('region', { name: 'Log', exact: true }).waitFor();
    await page.getByRole('button', { name: /Following/ }).waitFor();
  });

  let name = '';
  await does('stop it on its page', async () => {
    name = await page.getByRole('heading', { level: 1 }).innerText();
    await button('Stop').click();
    await dialog().getByRole('button', { name: 'Stop', exact: true }).click();
    await button('Start').waitFor();
  });

  await does('a scan finds both stale', async () => {
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await heading('Stale containers').waitFor();
    await scanUntilStale(2);
    assert.equal(await page.getByRole('row').count(), 3);
  });

  await does('select by the keyboard, preview, and nothing is removed by looking', async () => {
    await page.keyboard.press('j');
    await page.keyboard.press('x');
    await page.keyboard.press('j');
    await page.keyboard.press('Shift+X');
    await page.getByRole('region', { name: 'Bulk actions' }).waitFor();
    await page.keyboard.press('Control+Enter');
    await dialog().getByRole('button', { name: 'Remove 2 containers' }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Cancel');
    await dialog().getByText('shop-e2e').first().waitFor();
    await page.keyboard.press('Escape');
    assert.equal((await api('GET', '/api/containers/stale')).body.total, 2);
  });

  await does('one is started meanwhile: it is left alone, the other is removed', async () => {
    await page.keyboard.press('Control+Enter');
    await dialog().getByRole('button', { name: 'Remove 2 containers' }).waitFor();
    const one = (await api('GET', `/api/instances?text=${name}`)).body.items[0];
    assert.equal((await api('POST', `/api/instances/${one.id}/start`)).status, 200);
    await dialog().getByRole('button', { name: 'Remove 2 containers' }).click();
    await dialog().getByText('This is what was done.').waitFor({ timeout: 60_000 });
    assert.ok(
      await dialog()
        .getByText(/left alone/i)
        .first()
        .isVisible(),
    );
    const list = (await api('GET', '/api/instances')).body.items;
    assert.deepEqual(
      list.map((i) => i.name),
      [name],
    );
  });

  await does('undo brings it back', async () => {
    await dialog().getByRole('button', { name: 'Undo' }).click();
    await page.getByText('1 container restored').waitFor({ timeout: 60_000 });
    assert.equal((await api('GET', '/api/instances')).body.items.length, 2);
  });

  await does('clean up one, and restore it from Removed', async () => {
    await page.goto(base + '/stale');
    await scanUntilStale(1);
    await page.getByRole('button', { name: /^Actions for/ }).click();
    await page.getByRole('menuitem', { name: /Clean up/ }).click();
    await dialog().getByRole('button', { name: 'Remove 1 container' }).click();
    await page.getByText(/1 container removed/).waitFor({ timeout: 60_000 });
    await page.getByRole('link', { name: /^Removed/ }).click();
    await button('Restore…').click();
    await dialog().getByRole('heading', { name: 'Comes back' }).waitFor();
    await dialog().getByRole('button', { name: 'Restore', exact: true }).click();
    await page.getByText(/is back$/).waitFor({ timeout: 60_000 });
  });

  await does('keep it: it is listed under Kept and no longer under Stale', async () => {
    await page.goto(base + '/stale');
    await scanUntilStale(1);
    await page.getByRole('button', { name: /^Actions for/ }).click();
    await page.getByRole('menuitem', { name: 'Keep…' }).click();
    await dialog().getByLabel('Reason').fill('needed for the demo');
    await dialog().getByRole('button', { name: 'Keep', exact: true }).click();
    await page.getByText('Nothing is stale').waitFor();
    await page.getByRole('link', { name: /^Kept/ }).click();
    await page.getByText('Pinned').waitFor();
  });

  await does('the events tell it all, and a filter lives in the address', async () => {
    await page.goto(base + '/events?source=cleaner');
    await page.getByText(/cleanup removed 1 of 2/).waitFor();
    await page.getByRole('searchbox').fill('planned');
    await page.waitForURL(/q=planned/);
    assert.equal(await page.getByText(/cleanup removed/).count(), 0);
  });

  await does('a viewer sees and cannot', async () => {
    const made = await api('POST', '/api/tokens', { name: 'looker', role: 'viewer' });
    const other = await browser.newContext({ extraHTTPHeaders: { Authorization: `Bearer ${made.body.secret}` }, reducedMotion: 'reduce' });
    const theirs = await other.newPage();
    await theirs.goto(base + '/stale?view=kept');
    await theirs.getByRole('row').nth(1).waitFor();
    assert.equal(await theirs.getByRole('checkbox').count(), 0);
    assert.equal(await theirs.getByRole('button', { name: 'Scan now' }).count(), 0);
    await other.close();
  });

  await does('every address of the menu is there, and a made-up one says so', async () => {
    for (const [path, title] of [
      ['/', 'Overview'],
      ['/projects', 'Projects'],
      ['/hosts', 'Hosts'],
      ['/settings/stale', 'Settings'],
      ['/settings/tokens', 'Settings'],
      ['/settings/about', 'Settings'],
    ]) {
      await page.goto(base + path);
      await heading(title).waitFor();
    }
    await page.goto(base + '/made/up/path');
    await page.getByText('This page does not exist').waitFor();
    assert.equal((await page.request.get(base + '/assets/made-up.js')).status(), 404);
  });

  assert.deepEqual(wrong, [], 'something went wrong on the way');
  console.log(`${step} steps, all well`);
} catch (err) {
  if (shots) await page.screenshot({ path: join(shots, 'failed.png') });
  console.error(`FAILED after step ${step} at ${page.url()}:`, err);
  for (const w of wrong) console.error(w);
  process.exitCode = 1;
} finally {
  await browser.close();
}
