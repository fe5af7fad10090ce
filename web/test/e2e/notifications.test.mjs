// Notifications in a real browser, on the real daemon, an engine and a webhook that can refuse. One story, told in order.
// notifications_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, INBOX, STALE } = process.env;
const canary = 'canary-of-a-webhook';

/** @type {import('playwright-core').Page} */
let page;
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const closed = () => dialog().waitFor({ state: 'detached' });
const card = (name = 'ops') => page.getByRole('article', { name });
const tab = (name) => page.getByRole('navigation', { name: 'Parts of the notifications' }).getByRole('link', { name });
const inbox = async (path) => (await fetch(INBOX + path, { method: 'POST' })).ok;
const got = async () => (await fetch(INBOX + '/got')).json();
const api = async (path) => (await fetch(BASE_URL + path, { headers: { authorization: `Bearer ${TOKEN}` } })).text();

/** No barrier in both themes, and it fits a phone; what is open stays open. */
async function looks(name) {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${name}, ${theme}`);
    await shot(page, `${name}-${theme}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await eventually(async () => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${name}: ${wide} px wide on a phone`);
  });
  await shot(page, `${name}-phone`);
  await page.setViewportSize({ width: 1360, height: 850 });
}

before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
});
after(async () => {
  await (await browser()).close();
});

test('a channel is set up: it is tried first, what is wrong is said at its field, and its secret is shown once', async () => {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Notifications' }).click();
  await page.getByText('No channel is set up').waitFor();
  await looks('notify-empty');
  await button('Add channel').first().click();
  await dialog().getByLabel('Kind').selectOption({ label: 'ntfy' });
  await dialog().getByText('Written as ntfy://HOST/TOPIC').waitFor();
  await dialog().getByLabel('Kind').selectOption({ label: 'Webhook' });
  await dialog().getByLabel('Name').fill('ops');
  await dialog().getByLabel('URL').fill('ftp://nowhere');
  await button('Add channel', dialog()).click();
  await dialog().getByText('there is no such kind of channel').waitFor();
  await dialog().getByLabel('URL').fill(`${INBOX}/${canary}`);
  assert.ok(await inbox('/refuse'));
  await button('Send a test message', dialog()).click();
  await dialog().getByText('It answered 400 Bad Request: not today').waitFor();
  assert.ok(await inbox('/take'));
  await button('Send a test message', dialog()).click();
  await dialog().getByText('It took the message').waitFor();
  assert.equal((await got()).length, 1);
  await dialog().getByText('Templates', { exact: true }).click();
  await dialog().getByLabel('Text', { exact: true }).fill('{{.Nothing}}');
  await button('Preview', dialog()).click();
  await dialog()
    .getByText(/there is no \.Nothing in/)
    .waitFor();
  await dialog().getByLabel('Text', { exact: true }).fill('{{range .Events}}{{.Project}}: {{.Kind}} {{end}}');
  await button('Preview', dialog()).click();
  await dialog().getByRole('region', { name: 'Preview of the message' }).getByText('channel.tested').waitFor();
  await looks('notify-channel');
  await button('Add channel', dialog()).click();
  await dialog().getByText('which is shown this once').waitFor();
  await shot(page, 'notify-secret');
  await button('Close', dialog()).click();
  await closed();
  await card().getByText('Not tried yet').waitFor();
  await card().getByText('no rule leads here').waitFor();
  assert.ok(!(await page.content()).includes(canary) && !(await api('/api/notifications/channels')).includes(canary));
});

test('a test from its card says what the target answered', async () => {
  await button('Test', card()).click();
  await card().getByText('It took the message').waitFor();
  await card().getByText('Works', { exact: true }).waitFor();
  assert.equal((await got()).length, 2);
});

test('a rule is made', async () => {
  await tab('Rules').click();
  await page.getByText('No rule is made').waitFor();
  await button('Add rule').first().click();
  assert.ok(await dialog().getByRole('checkbox', { name: 'ops' }).isChecked(), 'the only channel is chosen');
  await dialog().getByLabel('Name').fill('warnings');
  await dialog().getByLabel('Kinds of events').fill('Not A Kind');
  await dialog().getByRole('switch', { name: 'Quiet hours' }).click();
  await dialog().getByLabel('Time zone').fill('Mars/Olympus');
  await button('Add rule', dialog()).click();
  await dialog().getByText('a kind such as instance.stale').waitFor();
  await dialog().getByText('there is no such time zone').waitFor();
  await looks('notify-rule');
  await dialog().getByLabel('Kinds of events').fill('instance.stale, deploy.*');
  await dialog().getByRole('switch', { name: 'Quiet hours' }).click();
  await dialog().getByLabel('Gather for').fill('0');
  await button('Add rule', dialog()).click();
  await closed();
  await card('warnings').getByText('Warnings, errors; instance.stale, deploy.*').waitFor();
  await card('warnings').getByText('At once').waitFor();
  await looks('notify-rules');
  await button('Actions for warnings').click();
  await page.getByRole('menuitem', { name: 'Preview' }).click();
  await dialog().getByText('As ops writes it.').waitFor();
  await dialog().getByRole('region', { name: 'Preview of the message' }).waitFor();
  const before = (await got()).length;
  await looks('notify-rule-preview');
  assert.equal((await got()).length, before, 'looking sends nothing');
  await button('Send a test message to ops', dialog()).click();
  await dialog().getByText('It took the message').waitFor();
  assert.equal((await got()).length, before + 1);
  await button('Close', dialog()).last().click();
  await closed();
});

test('something becomes stale, and the warning arrives', async () => {
  const done = await fetch(STALE, { method: 'POST' });
  assert.ok(done.ok, await done.text());
  await eventually(async () => {
    const last = (await got()).at(-1);
    assert.equal(last.events[0].kind, 'instance.stale');
    assert.equal(last.text, 'shop: instance.stale');
  });
  await tab('Outbox').click();
  await page.getByRole('row').getByText('Sent', { exact: true }).waitFor();
});

test('what was refused for good is shown, and can be sent again', async () => {
  assert.ok(await inbox('/refuse'));
  await fetch(`${BASE_URL}/api/stages/${JSON.parse(await api('/api/stages')).items[0].id}/deploys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: '{"tag":"none"}',
  });
  await page.getByRole('row').getByText('Given up', { exact: true }).waitFor({ timeout: 60_000 });
  await looks('notify-outbox');
  await page.getByRole('row').filter({ hasText: 'Given up' }).getByRole('button').click();
  await dialog().getByText('It was given up: it answered 400 Bad Request: not today').waitFor();
  await dialog().getByText('deploy.failed', { exact: true }).waitFor();
  await looks('notify-message');
  const before = (await got()).length;
  assert.ok(await inbox('/take'));
  await button('Send again', dialog()).click();
  await closed();
  await eventually(async () => assert.equal((await got()).length, before + 1));
  await page.getByRole('row').getByText('Given up', { exact: true }).waitFor({ state: 'detached' });
  await page.getByLabel('State').selectOption({ label: 'Given up' });
  await page.getByText('No message is in this state').waitFor();
});

test('a channel that is off says so, and removing it says what goes with it', async () => {
  await tab('Channels').click();
  await button('Actions for ops').click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  assert.equal(await dialog().getByLabel('URL').inputValue(), '');
  await dialog().getByRole('switch', { name: 'Send' }).click();
  await button('Save', dialog()).click();
  await closed();
  await card().getByText('It is off').waitFor();
  await looks('notify-channels');
  await button('Actions for ops').click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await dialog().getByText('Its URL goes').waitFor();
  await button('Remove', dialog()).click();
  await closed();
  await page.getByText('No channel is set up').waitFor();
});

test('nothing was asked of anybody else, and nothing broke the security policy', () => {
  assert.deepEqual(open.complaints, []);
});
