// What an operator needs, in a real browser on the real daemon: jobs, backups, the doctor, the export of the event log. One story, told in
// order; operations_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, context, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, IN_THE_WAY } = process.env;
const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
const get = async (path) => (await fetch(BASE_URL + path, { headers })).json();
const call = (method, path, body) => fetch(BASE_URL + path, { method, headers, body: JSON.stringify(body) });

/** @type {import('playwright-core').Page} */
let page;
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const tab = (name) => page.getByRole('navigation', { name: 'Parts of operations' }).getByRole('link', { name });
const job = (name) => page.getByRole('rowgroup', { name }).getByRole('row').first();
const finding = (name) => page.getByRole('list', { name: 'What to look at' }).getByRole('listitem').filter({ hasText: name });

/** No barrier in both themes, and it fits a phone; what is open stays open. */
async function looks(name) {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${name}, ${theme}`);
    await shot(page, `${name}-${theme}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await eventually(async () => {
    const [wide, moved] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      [...document.querySelectorAll('[role=region]')].filter((r) => r.scrollWidth > r.clientWidth + 1).map((r) => r.ariaLabel),
    ]);
    assert.ok(wide <= 390, `${name}: ${wide} px wide on a phone`);
    assert.deepEqual(moved, [], `${name}: moved sideways on a phone`);
  });
  await shot(page, `${name}-phone`);
  await page.setViewportSize({ width: 1360, height: 850 });
}

/** No barrier while it passes by, in the theme that is on. */
async function passes(name) {
  assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], name);
  await shot(page, name);
}

before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
});

after(async () => {
  await (await browser()).close();
  assert.deepEqual(open.complaints, []);
});

test('a job that fails is shown as such, with why, how often and when it comes again', async () => {
  await page.keyboard.press('g');
  await page.keyboard.press('m');
  await page.getByRole('heading', { name: 'Operations' }).waitFor();
  await page.getByText('Everything that comes by itself is done as it should.').waitFor();
  assert.equal(await job('Backup').getByText('Not run yet').last().textContent(), 'Not run yet');
  await page
    .getByRole('rowgroup', { name: 'Scan of the hosts' })
    .getByRole('row', { name: /on local/ })
    .getByText('Well')
    .last()
    .waitFor();
  await call('POST', '/api/jobs/backup/run');
  await job('Backup').getByText('Failed').last().waitFor(); // by itself: the page hears of it
  await button('Run Backup now').press('Enter');
  await job('Backup').getByText('failed 2 times in a row').waitFor({ state: 'attached' });
  await job('Backup')
    .getByText(/not a directory/)
    .waitFor();
  await job('Backup')
    .getByText(/^in \d+ minutes$/)
    .last()
    .waitFor();
  await page.getByText('1 piece of work needs somebody.').waitFor();
  await tab('Jobs 1').waitFor();
  await page.getByText('engine:local').waitFor();
  await looks('operations-jobs');
});

test('when it is mended it runs again, and no backup is there yet', async () => {
  await tab('Backups').click();
  await page.getByRole('alert').waitFor(); // the folder cannot be read
  rmSync(IN_THE_WAY);
  await button('Retry').click();
  await page.getByRole('heading', { name: 'No backup yet' }).waitFor();
  await page
    .getByText('The first one comes by itself')
    .getByText(/minutes/)
    .waitFor();
  await looks('operations-backups-none');
});

test('the doctor says how bad each finding is and what to do, and looks again', async () => {
  await call('POST', '/api/registries', { name: 'nowhere', host: '127.0.0.1:1', plain_http: true });
  await tab('Doctor').click();
  await page.getByText('Nothing is changed').waitFor();
  await passes('operations-doctor-idle');
  let let_go;
  await page.route('**/api/doctor', (route) => new Promise((go) => (let_go = go)).then(() => route.continue()));
  await button('Examine everything').press('Enter');
  await page.getByText('Reading the database and asking every engine').waitFor();
  await passes('operations-doctor-running');
  let_go();
  await page.getByRole('heading', { name: /findings? (is|are) not well/ }).waitFor();
  await finding('Registry nowhere').getByText('Warning').waitFor();
  await finding('Registry nowhere').getByText('What to do').waitFor();
  await finding('Job Backup').getByText('Warning').waitFor();
  const backups = finding('there is none yet');
  await backups.getByText('To do', { exact: true }).waitFor();
  await backups.getByText('make one: docker-watcher backup make').waitFor();
  await page.getByText('Database: read whole, no damage found').waitFor();
  await looks('operations-doctor');
  await page.unroute('**/api/doctor');
  await backups.getByRole('link', { name: 'Backups' }).click();
  await page.getByRole('heading', { name: 'No backup yet' }).waitFor();
});

test('a backup is made by the page, is listed, is fetched, and says how it is put back', async () => {
  let let_go;
  await page.route('**/api/backups', (route) =>
    route.request().method() === 'POST' ? new Promise((go) => (let_go = go)).then(() => route.continue()) : route.continue(),
  );
  await button('Make a backup').first().click();
  await page.getByText('A backup is being made').waitFor();
  assert.ok(await button('Make a backup').first().isDisabled());
  await passes('operations-backups-busy');
  let_go();
  const one = page.getByRole('list', { name: 'Backups that are there' }).getByRole('listitem');
  await one.getByText('Checked').waitFor();
  await page.unroute('**/api/backups');
  const [{ name, bytes }] = (await get('/api/backups')).items;
  await one.getByText(name).first().waitFor();
  const [file] = await Promise.all([page.waitForEvent('download'), one.getByRole('link', { name: `Download ${name}` }).click()]);
  assert.equal(file.suggestedFilename(), name);
  assert.equal(readFileSync(await file.path()).length, bytes);
  await looks('operations-backups');
  await button(`Actions for ${name}`).click();
  await page.locator('[role=menuitem]:focus').waitFor();
  await page.getByRole('menuitem', { name: 'How to restore' }).press('Enter');
  const command = await dialog().locator('code').textContent();
  assert.match(command, new RegExp(`^/.*server restore /.*/elsewhere/backups/${name} --data /.*/data$`));
  await looks('operations-restore');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  await tab('Jobs').click();
  await button('Run Backup now').click();
  await page.getByText('Everything that comes by itself is done as it should.').waitFor();
});

test('a backup is let go of only after a yes that says what goes', async () => {
  await tab('Backups').click();
  const [{ name }] = (await get('/api/backups')).items;
  await button(`Actions for ${name}`).click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await dialog().getByText('It is the only backup that is there.').waitFor();
  await button('Cancel', dialog()).click();
  await dialog().waitFor({ state: 'detached' });
  assert.equal((await get('/api/backups')).items.length, 1);
  await button(`Actions for ${name}`).click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await button('Remove', dialog()).click();
  await page.getByRole('heading', { name: 'No backup yet' }).waitFor();
});

/** The cells of a CSV; a quoted one may hold commas, quotes and breaks. */
function rowsOf(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === '\n') rows.push([]);
  }
  return rows.slice(0, -1);
}

test('what the filters show is exported, by who did it too, and the address keeps them', async () => {
  await page.goto('/events');
  await page.getByLabel('Who did it').fill('user:anna');
  await page.getByLabel('Who did it').press('Enter');
  await eventually(() => assert.match(page.url(), /actor=user%3Aanna/));
  await page.getByText(/^\d+ events, all loaded$/).waitFor();
  const want = (await get('/api/events?actor=user:anna')).items;
  assert.ok(want.length > 2 && want.length < (await get('/api/events')).items.length);
  await eventually(async () => assert.equal(await page.getByRole('article').count(), want.length));
  await looks('events-by-anna');
  const had = async (format) => {
    await button('Export').click();
    await page.locator('[role=menuitem]:focus').waitFor(); // the menu gives it to its first, once it is there
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: format }).press('Enter')]);
    return [file.suggestedFilename(), readFileSync(await file.path(), 'utf8')];
  };
  const [csv, text] = await had('CSV');
  assert.match(csv, /^docker-watcher-events-\d{8}T\d{6}Z\.csv$/);
  const [head, ...rows] = rowsOf(text);
  assert.deepEqual(
    rows.map((r) => r[head.indexOf('id')]),
    want.map((e) => e.id),
  );
  assert.ok(rows.every((r) => r[head.indexOf('actor')] === 'user:anna'));
  const [ndjson, lines] = await had('NDJSON');
  assert.match(ndjson, /\.ndjson$/);
  assert.deepEqual(
    lines
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l).id),
    want.map((e) => e.id),
  );

  await page.reload();
  assert.equal(await page.getByLabel('Who did it').inputValue(), 'user:anna');
  await eventually(async () => assert.equal(await page.getByRole('article').count(), want.length));
  await page.getByLabel('Search messages').fill('backup');
  await eventually(() => assert.match(page.url(), /q=backup/));
  const fewer = (await get('/api/events?actor=user:anna&text=backup')).items;
  await eventually(async () => assert.equal(await page.getByRole('article').count(), fewer.length));
  const [, both] = await had('NDJSON');
  assert.deepEqual(
    both
      .trim()
      .split('\n')
      .map((l) => JSON.parse(l).id),
    fewer.map((e) => e.id),
  );
  assert.ok(fewer.length > 0 && fewer.length < want.length);
});

test('who may only look sees the jobs, and no button', async () => {
  const { link_code } = await (await call('POST', '/api/users', { name: 'vera', role: 'viewer' })).json();
  const vera = await open(await context(BASE_URL));
  await vera.goto(`/password#code=${link_code}`);
  await vera.getByLabel('Password', { exact: true }).fill('a very secret password');
  await button('Set password', vera).click();
  await vera.getByText('The password of vera is set').waitFor();
  await vera.getByLabel('Password', { exact: true }).fill('a very secret password');
  await button('Sign in', vera).click();
  await vera.getByRole('heading', { name: 'Overview' }).waitFor();
  await vera.goto('/operations');
  await vera.getByRole('rowgroup', { name: 'Backup' }).getByText('Well').first().waitFor({ state: 'attached' });
  assert.equal(await button(/^Run .* now$/, vera).count(), 0);
  assert.equal(await vera.getByRole('link', { name: 'Doctor' }).count(), 0);
  await vera.goto('/operations/backups');
  await vera.getByText('Only an admin can use this.').waitFor();
  await vera.close();
});
