// Routes and standalone proxies in a real browser: what leads to nothing, what was counted, and documents that are imported whole.
// routes_test.go prepares the ground and runs it. The flows are one story, told in order.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, TARGET } = process.env;

/** @type {import('playwright-core').Page} */
let page;
let stale;
before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
  stale = (await api('GET', '/api/containers/stale?limit=1')).items[0];
  const route = { stage_id: stale.stage_id, instance_id: stale.id, port: 8080, domains: ['old.example.com'], notes: 'the fair' };
  await api('POST', '/api/routes', route);
  await api('POST', '/api/proxies', { domains: ['wiki.example.com'], targets: [TARGET], notes: 'The wiki' });
  await api('POST', '/api/proxies', { domains: ['nas.example.com'], targets: ['container:nas:80'] });
  await page.goto(BASE_URL + '/routes');
});
after(async () => {
  await (await browser()).close();
});

const api = async (method, path, body) => {
  const answer = await fetch(BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? undefined : answer.json();
};
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = (name) => page.getByRole('dialog', name ? { name } : {});
const row = (name) => page.getByRole('listitem').filter({ hasText: name });
/** Pictures for who wants to look, no barrier in either theme, and no width that a phone does not have. */
async function clean(what) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${what}, ${colorScheme}`);
    await shot(page, `${what}-${colorScheme}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await eventually(async () => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${what}: ${wide} px wide on a phone`);
  });
  await shot(page, `${what}-phone`);
  await page.setViewportSize({ width: 1360, height: 850 });
}
const answerOf = async (host, path = '/', headers = {}) => {
  const [hostname, port] = (await api('GET', '/api/routing')).listen.split(':');
  return new Promise((done, failed) => {
    request({ hostname, port, path, headers: { host, ...headers } }, (answer) => {
      answer.resume().on('end', () => done(answer));
    })
      .on('error', failed)
      .end();
  });
};
const through = async (...what) => (await answerOf(...what)).statusCode;
const signIn = (name, password) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` });
async function change(name) {
  await button(`Actions for ${name}`).click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  return dialog(`Edit ${name}`);
}

test('what leads to something stale is told, found and counted', async () => {
  await row('old.example.com').getByText('Stale', { exact: true }).waitFor();
  await row('wiki.example.com').getByText('Not asked yet').waitFor();
  await row('wiki.example.com').getByText('No request yet').waitFor();
  await page.getByText('One route leads to nothing, or to what is stale.').waitFor();
  assert.equal(await through('old.example.com'), 503);
  assert.equal(await through('wiki.example.com'), 200);
  await row('wiki.example.com').getByText('Up', { exact: true }).waitFor({ timeout: 60_000 });
  await row('wiki.example.com')
    .getByText(/1 request, the last/)
    .waitFor();
  await row('old.example.com')
    .getByText(/1 failed/)
    .waitFor();
  await clean('routes');

  await button('Show them').click();
  await row('old.example.com').waitFor();
  assert.equal(await row('wiki.example.com').count(), 0);
  await page.getByText('None of them matches.').waitFor();
  await clean('routes-leftovers');
  await page.getByLabel('Show', { exact: true }).selectOption({ label: 'All' });
  await page.getByLabel('Search domains, targets, notes').fill('THE WIKI');
  await row('wiki.example.com').waitFor();
  assert.equal(await row('nas.example.com').count(), 0);
  await page.getByLabel('Search domains, targets, notes').fill('');
});

test('an instance tells when somebody came to it, and is no less stale for it', async () => {
  await page.goto(`${BASE_URL}/instances/${stale.id}`);
  await page.getByText('Last request', { exact: true }).waitFor();
  await page.getByText(/: 1 request in all$/).waitFor();
  assert.equal((await api('GET', `/api/instances/${stale.id}`)).stale, true);
  await clean('instance-requests');
  await page.goto(BASE_URL + '/stale');
  await button(stale.name).click();
  const details = dialog(stale.name);
  await details.getByText('Last alive', { exact: true }).waitFor();
  await details.getByText('Last request', { exact: true }).waitFor();
  await details.getByText(/: 1 request in all$/).waitFor();
  await details.getByText('old.example.com', { exact: true }).waitFor();
  await clean('stale-requests');
  await button('Close', details).click();
  await details.waitFor({ state: 'detached' });
  await page.goto(BASE_URL + '/routes');
});

test('a stage whose tags run side by side asks for the instance', async () => {
  const stages = (await api('GET', '/api/stages')).items.filter((s) => s.strategy === 'parallel');
  assert.ok(stages.length, 'the world has previews');
  await button('Add route').click();
  const sheet = dialog('Add a route');
  await sheet.getByLabel('Stage').selectOption({ label: `${stages[0].project}/${stages[0].name}` });
  await sheet.getByText('the route stays with this one, and goes with it').waitFor();
  await sheet.getByLabel('Domains').fill('mine.example.com');
  await sheet.getByLabel('Port of the container').fill('80');
  await sheet.getByLabel('Note').fill('for anna');
  await clean('route-sheet-preview');
  await button('Add route', sheet).click();
  await sheet.waitFor({ state: 'detached' });
  await row('mine.example.com').getByText('for anna').waitFor();
  await row('mine.example.com').getByText('made by anna').waitFor();
  const before = (await api('GET', '/api/routes')).items.find((r) => r.notes === 'for anna');
  const again = await change('mine.example.com');
  await again.getByText('the route stays with this one, and goes with it').waitFor();
  await button('Save', again).click();
  await page.getByText('Nothing was changed').first().waitFor();
  assert.equal((await api('GET', `/api/routes/${before.id}`)).revision, before.revision);
});

test('standalone proxies are exported and imported, told row by row before', async () => {
  const [download] = await Promise.all([page.waitForEvent('download'), button('Export').click()]);
  const doc = JSON.parse(await (await import('node:fs/promises')).readFile(await download.path(), 'utf8'));
  assert.equal(doc.proxies.length, 2);

  const changed = doc.proxies.find((p) => p.domains[0] === 'wiki.example.com');
  changed.notes = 'Another wiki';
  doc.proxies.push(
    { domains: ['new.example.com'], targets: [TARGET] },
    { domains: ['bad.example.com'], targets: ['http://169.254.169.254'] },
  );
  await button('Import').click();
  const d = dialog('Import standalone proxies');
  await d.getByLabel('Document').fill('{');
  await button('Look at it', d).click();
  await d.getByText('It is no JSON document.').waitFor();
  await d.getByLabel('Document').fill(JSON.stringify(doc, null, 2));
  await clean('routes-import-text');
  await button('Look at it', d).click();
  await d.getByText('1 to add, 1 to change, 1 as they are').waitFor();
  await d.getByText(/refused as a target: a link-local address/).waitFor();
  assert.equal(await button(/^Import \d/, d).count(), 0);
  await clean('routes-import');
  assert.equal((await api('GET', '/api/proxies')).items.length, 2);

  await button('Back', d).click();
  doc.proxies.pop();
  await d.getByLabel('Document').fill(JSON.stringify(doc));
  await button('Look at it', d).click();
  await button('Import 2', d).click();
  await d.waitFor({ state: 'detached' });
  await row('new.example.com').waitFor();
  await row('wiki.example.com').getByText('Another wiki').waitFor();
});

test('the sheet has every field of a route, and a save of what nobody touched changes nothing', async () => {
  const { id } = await api('POST', '/api/proxies', {
    domains: ['full.example.com'],
    path_prefix: '/api',
    strip_prefix: true,
    rewrite_host: true,
    websockets: false,
    targets: [TARGET],
    notes: 'all of it',
    hsts_seconds: 3600,
    redirect_code: 308,
    request_headers: [{ name: 'X-From', value: 'proxy' }, { name: 'X-Api-Token', value: 'hush' }, { name: 'Referer' }],
    response_headers: [{ name: 'X-Frame-Options', value: 'DENY' }],
    basic_auth: [
      { user: 'anna', password: 'correct horse' },
      { user: 'bert', password: 'battery staple' },
    ],
    allow_ips: ['127.0.0.0/8', '::1/128'],
    deny_ips: ['10.0.0.0/8'],
    connect_timeout: '2s',
    response_timeout: '30s',
    max_body_bytes: 1_000_001,
    target_tls_verify: false,
    health_check: { path: '/healthz', interval: '1m', timeout: '2s', passes: 2, fails: 4 },
    maintenance: true,
    maintenance_note: 'until noon',
  });
  const fields = async () => {
    const { state, health, requests, errors, last_request_at, ...said } = await api('GET', `/api/proxies/${id}`);
    return said;
  };
  const before = await fields();
  let sheet = await change('full.example.com/api');
  await eventually(async () => assert.equal(await sheet.locator('details[open]').count(), 6));
  await sheet.getByLabel('Password of bert').waitFor();
  await sheet.getByText('who stands between can answer instead').waitFor();
  assert.equal(await sheet.getByLabel('Set in requests: value of X-Api-Token').inputValue(), '');
  await clean('route-sheet-full');
  await button('Save', sheet).click();
  await sheet.waitFor({ state: 'detached' });
  await page.getByText('Nothing was changed').first().waitFor();
  assert.deepEqual(await fields(), before);
  assert.equal(await through('full.example.com', '/api/x', signIn('bert', 'battery staple')), 503);

  sheet = await change('full.example.com/api');
  await sheet.getByLabel('Answer with a page that says').press('Space');
  await sheet.getByLabel('What that page says').press('Enter');
  await sheet.waitFor({ state: 'detached' });
  const after = await fields();
  assert.deepEqual(after, { ...before, maintenance: false, revision: after.revision, updated_at: after.updated_at });
  const answer = await answerOf('full.example.com', '/api/x', signIn('bert', 'battery staple'));
  assert.deepEqual([answer.statusCode, answer.headers['x-seen'], answer.headers['x-frame-options']], [200, 'hush', 'DENY']);
});

test('each mistake is said beside its field, unfolded', async () => {
  let sheet = await change('full.example.com/api');
  await button('Add a header', sheet).first().click();
  await page.keyboard.type('bad name');
  await button('Add a name', sheet).click();
  await page.keyboard.type('carl');
  await sheet.getByLabel('Password of carl').fill('a new password');
  await sheet.getByLabel('Never from').fill('10.0.0.0/8\n10.0.0');
  await sheet.getByLabel('Every', { exact: true }).fill('2h');
  await sheet.getByLabel('Certificate that is trusted').fill('none');
  for (const part of ['Who may come in', 'Headers and connection', 'Health check'])
    await sheet.locator('summary', { hasText: part }).click();
  assert.equal(await sheet.locator('details[open]').count(), 3);
  await button('Save', sheet).click();
  await sheet.getByText('"bad name" is no name of a header').waitFor();
  await sheet.getByText('10.0.0: an address or a network such as 10.0.0.0/8 is wanted').waitFor();
  await sheet.getByText('from 1s to 1h0m0s').waitFor();
  await sheet.getByText('it would not be looked at, as the certificates of the targets are not verified').waitFor();
  assert.equal(await sheet.locator('details[open]').count(), 6);
  await clean('route-sheet-mistakes');
  await button('Set in requests: remove bad name', sheet).click();
  await sheet.getByLabel('Certificate that is trusted').fill('');
  await sheet.getByLabel('Never from').fill('');
  await sheet.getByLabel('Every', { exact: true }).fill('1m');
  await sheet.getByLabel('Name 3').fill('');
  await sheet.locator('summary', { hasText: 'Who may come in' }).click();
  await button('Save', sheet).click(); // the browser itself says that a name is missing, where it can be seen
  await sheet.locator('details[open]').filter({ hasText: 'Who may come in' }).waitFor();
  await sheet.getByLabel('Name 3').fill('carl');
  await button('Save', sheet).click();
  await sheet.waitFor({ state: 'detached' });
  for (const [name, password, code] of [
    ['carl', 'a new password', 200],
    ['anna', 'correct horse', 200],
    ['carl', 'correct horse', 401],
  ])
    assert.equal(await through('full.example.com', '/api/', signIn(name, password)), code, `${name}: ${password}`);
});

test('who comes can be sent elsewhere', async () => {
  await button('Add proxy').click();
  const sheet = dialog('Add a standalone proxy');
  assert.equal(await sheet.locator('details[open]').count(), 0);
  await sheet.getByLabel('Domains').fill('moved.example.com');
  await sheet.getByLabel('Who comes is').selectOption({ label: 'Sent to another address' });
  await sheet.getByLabel('Address', { exact: true }).fill('https://new.example.com');
  await sheet.getByLabel('Answer', { exact: true }).selectOption('301');
  assert.equal((await sheet.getByLabel('Targets').count()) + (await button('Test', sheet).count()), 0);
  await clean('route-sheet-elsewhere');
  await button('Add proxy', sheet).click();
  await sheet.waitFor({ state: 'detached' });
  const answer = await answerOf('moved.example.com', '/x');
  assert.deepEqual([answer.statusCode, answer.headers.location], [301, 'https://new.example.com/x']);
});

test('which proxies are believed, what no route may lead to and when registries are asked is on the settings', async () => {
  await page.goto(BASE_URL + '/settings/serving');
  await page.getByLabel('Ask registries every').fill('5');
  await page.getByLabel('Trusted proxies').fill('10.0.0');
  await button('Save').click();
  await page.getByText('must be a duration from 30s to 7d').waitFor();
  await page.getByText('must be a text of at most 500 addresses and networks').waitFor();
  await page.getByLabel('Ask registries every').fill('10m');
  await page.getByLabel('Trusted proxies').fill('10.0.0.0/8\n192.168.1.7');
  await page.getByLabel('Refused targets').fill('127.0.0.0/8');
  await button('Save').click();
  await page.getByText(/wiki\.example\.com is in the way/).waitFor();
  await clean('settings-serving');
  await page.getByLabel('Refused targets').fill('192.0.2.0/24');
  await button('Save').click();
  await page.getByText('Settings saved').waitFor();
  const { poll_interval, trusted_proxies, refused_targets } = await api('GET', '/api/settings');
  assert.deepEqual([poll_interval, trusted_proxies, refused_targets], ['10m', '10.0.0.0/8, 192.168.1.7/32', '192.0.2.0/24']);
  assert.deepEqual(open.complaints, []);
});
