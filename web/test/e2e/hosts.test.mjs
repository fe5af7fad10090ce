// What an admin does with hosts, in a real browser: adds one over TLS, reaches it by ssh, takes it out of use and removes it.
// hosts_test.go prepares the ground and runs it. The flows are one story, told in order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, context, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, TURN, THIRD, TLS_PORT, CA, OTHER_CA, CERT, KEY } = process.env;
const { SSH_USER, SSH_PORT, SSH_KEY, SSH_SOCKET } = process.env;

/** @type {import('playwright-core').Page} */
let page;
before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
  await page.goto(BASE_URL + '/hosts');
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
const hostNamed = async (name) => (await api('GET', '/api/hosts')).items.find((h) => h.name === name);
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = (name) => page.getByRole('dialog', name ? { name } : {});
const card = (name) => page.getByRole('article', { name, exact: true });
const closed = () => dialog().waitFor({ state: 'detached' });
async function act(host, what) {
  await button(`Actions for ${host}`, card(host)).click();
  await page.getByRole('menuitem', { name: what, exact: true }).click();
}
/** Pictures for who wants to look, and no width that a phone does not have. */
async function look(what) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
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
/** look, and no barrier in either theme. */
async function clean(what) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${what}, ${colorScheme}`);
  }
  await look(what);
}

test('a host is added over TLS, once it is the one that it should be', async () => {
  await button('Add host').click();
  const d = dialog('Add a host');
  await d.getByLabel('Name', { exact: true }).fill('far');
  await d.getByLabel('How it is reached').selectOption({ label: 'TCP with TLS' });
  await d.getByLabel('Host name or address').fill('127.0.0.1');
  await d.getByLabel('Port').fill(TLS_PORT);
  await button('Test', d).click();
  await d
    .getByText(/certificate/)
    .first()
    .waitFor();
  assert.equal(await d.getByText('It can be used').count(), 0);
  await d.getByLabel('CA certificate', { exact: true }).fill(OTHER_CA);
  await d.getByLabel('Our certificate', { exact: true }).fill(CERT);
  await d
    .getByLabel('Choose a file: Private key')
    .setInputFiles({ name: 'key.pem', mimeType: 'application/x-pem-file', buffer: Buffer.from(KEY) });
  await button(/^Test/, d).click();
  await d.getByText('It is not who it should be').waitFor();
  await look('host-untrusted');
  await button('Add host', d).click();
  await d.getByText('It is not who it should be').waitFor();
  assert.equal(await hostNamed('far'), undefined, 'what cannot be used is not kept');

  await d.getByLabel('CA certificate', { exact: true }).fill(CA);
  await d.getByText('Something was changed since the test.').waitFor();
  await button('Test again', d).click();
  await d.getByText('It can be used').waitFor();
  for (const fact of ['Engine ID', 'Data', 'Clock', 'Answers in', 'Containers']) await d.getByText(fact, { exact: true }).waitFor();
  await look('host-tested');
  await button('Add host', d).click();
  await closed();
  await card('far').getByText('TCP with TLS').waitFor();
  await card('far').getByText('Our certificate').waitFor();
  await card('far').getByText('Reachable').first().waitFor();
  const answered = JSON.stringify(await api('GET', '/api/hosts'));
  assert.ok(!answered.includes('PRIVATE KEY'), 'the key is never answered');
});

test('by ssh: the key of the server is trusted by comparing it, and not before', async () => {
  const before = await hostNamed('far');
  await act('far', 'Edit');
  const d = dialog('Edit far');
  assert.equal(await d.getByLabel('Private key', { exact: true }).inputValue(), '', 'what is sealed is not shown');
  await d.getByLabel('How it is reached').selectOption({ label: 'SSH' });
  await d.getByLabel('User').fill(SSH_USER);
  await d.getByLabel('Port').fill(SSH_PORT);
  await d.getByLabel('Socket there').fill(SSH_SOCKET);
  await d.getByLabel('Private key', { exact: true }).fill(SSH_KEY);
  await button('Save', d).click();
  await d.getByRole('heading', { name: 'Is this the host’s key?' }).waitFor();
  assert.equal((await hostNamed('far')).reached_by.way, 'tls', 'nothing is kept before somebody has said yes');
  assert.ok(await button('Trust this key', d).isDisabled());
  await clean('host-trust');
  await d.getByRole('checkbox', { name: /I compared it/ }).check();
  await button('Trust this key', d).click();
  await d.getByText('It can be used').waitFor();
  await d.getByText(/Only the server with this key is spoken to: SHA256:/).waitFor();
  assert.equal((await hostNamed('far')).reached_by.way, 'tls', 'a test keeps nothing');
  await button('Save', d).click();
  await closed();
  await card('far')
    .getByText(/^SHA256:/)
    .waitFor();
  const now = await hostNamed('far');
  assert.ok(now.reached_by.way === 'ssh' && !now.frozen && now.engine_id === before.engine_id);

  // Another server is another key: the yes was not for that.
  await act('far', 'Edit');
  const again = dialog('Edit far');
  await again.getByText(/Only the server with this key/).waitFor();
  await again.getByLabel('Port').fill('1');
  await again.getByText(/Only the server with this key/).waitFor({ state: 'detached' });
  await again.getByText(/an admin must accept it first/).waitFor();
  await page.keyboard.press('Escape');
  await closed();
});

test('a host that is down can be kept all the same, and is removed again', async () => {
  await button('Add host').click();
  const d = dialog('Add a host');
  await d.getByLabel('Name', { exact: true }).fill('down');
  await d.getByLabel('How it is reached').selectOption({ label: 'Socket on this machine' });
  await d.getByLabel('Socket').fill('/nowhere/docker.sock');
  await button('Add host', d).click();
  await d.getByText('Nobody answers').waitFor();
  await d.getByText(/See that the engine runs/).waitFor();
  await d.getByRole('checkbox', { name: /Keep it although/ }).check();
  await button('Add host', d).click();
  await closed();
  await card('down').getByText('Does not answer', { exact: true }).waitFor();
  await card('down')
    .getByText(/see that the engine runs/)
    .waitFor();
  await act('down', 'Remove');
  await dialog('Remove down').getByText('Nothing names it.', { exact: false }).waitFor();
  await look('host-remove');
  await button('Remove', dialog('Remove down')).click();
  await card('down').waitFor({ state: 'detached' });
  assert.equal(await hostNamed('down'), undefined);
});

test('what is named is not removed but taken out of use, and put to use again', async () => {
  const project = await api('POST', '/api/projects', { name: 'shop', image: 'example.com/shop' });
  const stage = await api('POST', '/api/stages', {
    project_id: project.id,
    name: 'live',
    kind: 'preview',
    host_id: (await hostNamed('far')).id,
  });
  await card('far').getByText('0 instances, 1 stage').waitFor();
  await act('far', 'Remove');
  const d = dialog('Remove far');
  await d.getByText('1 stage: remove it').waitFor();
  assert.equal(await button('Remove', d).count(), 0);
  await button('Disable it instead', d).click();
  const off = dialog('Disable far');
  await off.getByText(/counts as blind time/).waitFor();
  await look('host-disable');
  await button('Disable', off).click();
  await card('far').getByText('Out of use', { exact: true }).waitFor();
  await card('far')
    .getByText(/nothing there is watched/)
    .waitFor();
  await look('host-disabled');
  await button('Enable', card('far')).click();
  await card('far').getByText('Reachable').first().waitFor();
  await eventually(async () =>
    assert.ok(
      (await hostNamed('far')).blind_intervals.every((b) => b.to),
      'its blind time has ended',
    ),
  );

  await button('Test far', card('far')).click();
  await dialog('Test of far').getByText('It can be used').waitFor();
  await page.keyboard.press('Escape');
  await closed();
  await api('DELETE', `/api/stages/${stage.id}`);
});

test('a changed engine is accepted by an admin who sees what differs', async () => {
  const third = await api('POST', '/api/hosts', { name: 'third', endpoint: THIRD });
  await api('POST', '/api/containers/stale/scan', { host_id: third.id });
  await fetch(`${TURN}/?engine=SECOND`);
  await api('POST', '/api/containers/stale/scan', { host_id: third.id });
  await card('third').getByText('Verdicts and cleanups are held back: another engine answered.').waitFor();
  await button('Accept and go on', card('third')).click();
  const d = dialog('Accept the state of third');
  await d.getByRole('cell', { name: 'FIRST' }).waitFor();
  await d.getByRole('cell', { name: 'SECOND' }).waitFor();
  await d.getByText(/Another engine answers than the one that we know/).waitFor();
  await clean('host-accept');
  await button('Accept and go on', d).click();
  await closed();
  await card('third').getByText('Reachable').first().waitFor();
  assert.equal((await hostNamed('third')).engine_id, 'SECOND');

  // Its clock is its own: the card says by how much it is off.
  await fetch(`${TURN}/?engine=SECOND&clock=10m`);
  await api('POST', '/api/containers/stale/scan', { host_id: third.id });
  await card('third')
    .getByText(/differs by (600|59\d|60\d) s, so cleanups are held back/)
    .waitFor();
  await fetch(`${TURN}/?engine=SECOND&clock=0s`);
  await api('POST', '/api/containers/stale/scan', { host_id: third.id });
});

test('cards: no barrier, on a phone, too; and the form goes by the keyboard', async () => {
  await page.reload();
  await card('third').waitFor();
  await page.locator('[aria-busy=true]').first().waitFor({ state: 'detached' });
  await clean('hosts');
  await button('Add host').focus();
  await page.keyboard.press('Enter');
  await dialog('Add a host').waitFor();
  await page.keyboard.press('Escape');
  await closed();
  await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), 'Add host'));
});

test('a viewer sees the hosts and changes none', async () => {
  const token = await api('POST', '/api/tokens', { name: 'looker', role: 'viewer' });
  const viewer = await open(await context(BASE_URL, { extraHTTPHeaders: { authorization: `Bearer ${token.secret}` } }));
  await viewer.goto(BASE_URL + '/hosts');
  await viewer.getByRole('article', { name: 'far', exact: true }).waitFor();
  for (const name of ['Add host', 'Test far', 'Actions for far', 'Scan now'])
    assert.equal(await viewer.getByRole('button', { name, exact: true }).count(), 0, name);
  await viewer.context().close();
});

test('nothing was asked of anybody else, and nothing broke the security policy', () => {
  assert.deepEqual(open.complaints, []);
});
