// Registries, tag rules and webhooks in a real browser, on the real daemon and a real registry. One story, told in order.
// registries_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, REGISTRY } = process.env;
const canary = 'canary-of-a-registry';

/** @type {import('playwright-core').Page} */
let page;
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const closed = () => dialog().waitFor({ state: 'detached' });
const card = () => page.getByRole('article', { name: 'depot' });
const registry = (path) => fetch(`http://${REGISTRY}${path}`, { method: 'POST' });
const api = async (path) => (await fetch(BASE_URL + path, { headers: { authorization: `Bearer ${TOKEN}` } })).text();

/** No barrier in both themes, and it fits a phone; what is open stays open. */
async function looks(name) {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${name}, ${theme}`);
    await shot(page, `${name}-${theme}`);
  }
  await fits(name);
}

async function fits(name) {
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

test('a registry is set up: what is wrong is said at its field', async () => {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Registries' }).click();
  await page.getByRole('heading', { name: 'Registries' }).waitFor();
  await page.getByText('No registry is set up').waitFor();
  await fits('registries-empty');
  await button('Add registry').first().click();
  await dialog().getByLabel('Kind').selectOption({ label: 'GitHub Container Registry' });
  assert.equal(await dialog().getByLabel('Host').inputValue(), 'ghcr.io', 'a kind says its host');
  await dialog().getByText('read:packages').waitFor();
  await looks('registry-add');
  await dialog().getByLabel('Kind').selectOption({ label: 'Another registry' });
  assert.equal(await dialog().getByLabel('Host').inputValue(), '', 'and takes it back');
  await dialog().getByLabel('Name', { exact: true }).fill('depot');
  await dialog()
    .getByLabel('Host')
    .fill('https://' + REGISTRY);
  await button('Add registry', dialog()).click();
  await dialog().getByText('write the host without https://').waitFor();
  await dialog().getByLabel('Host').fill(REGISTRY);
  await dialog().getByLabel('User name').fill('anna');
  await button('Add registry', dialog()).click();
  await dialog().getByText('a user name needs a password beside it').waitFor();
  await dialog().getByLabel('Password or token').fill(canary);
  await dialog().getByRole('switch', { name: 'Plain http' }).click();
  await button('Add registry', dialog()).click();
  await closed();
  await card().getByText('password sealed, never shown').waitFor();
});

test('its password is shown to nobody, and stays where nothing is typed', async () => {
  await button('Actions for depot').click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  assert.equal(await dialog().getByLabel('Password or token').inputValue(), '');
  await dialog().getByText('Leave this empty to keep it').waitFor();
  await button('Save', dialog()).click();
  await closed();
  await card().getByText('password sealed, never shown').waitFor();
  assert.ok(!(await page.content()).includes(canary) && !(await api('/api/registries')).includes(canary));
});

test('a test says what it sees, what it may be asked and how long it took', async () => {
  await button('Test', card()).click();
  await dialog().getByLabel('Repository').fill('acme/nothing');
  await button('Run the test', dialog()).click();
  await dialog().getByText('Not found').first().waitFor();
  await dialog().getByLabel('Repository').fill('acme/shop');
  await button('Run the test', dialog()).click();
  await dialog().getByText('It answers, acme/shop has 7 tags').waitFor();
  await dialog()
    .getByText(/ ms$|\d s$/)
    .first()
    .waitFor();
  await dialog().getByText('76 of 100 left in 6 h').waitFor();
  await looks('registry-test');
  await button('Close', dialog()).last().click();
  await closed();
  await card().getByText('acme/shop has 7 tags').waitFor();
  await card().getByText('Counted as 203.0.113.7').waitFor();
});

test('a rule is tried while it is typed, before there is a stage', async () => {
  await page.goto(BASE_URL + '/projects');
  await button('Add project').first().click();
  await dialog().getByLabel('Name').fill('shop');
  await dialog().getByLabel('Image').fill(`${REGISTRY}/acme/shop`);
  await button('Add project', dialog()).click();
  await page.getByRole('heading', { name: 'shop' }).waitFor();
  await button('Add stage').first().click();
  await dialog().getByLabel('Name', { exact: true }).fill('staging');
  const tried = dialog().getByRole('region', { name: 'What the registry has now' });
  assert.equal(await tried.count(), 0, 'without a rule nothing is asked');
  await dialog().getByLabel('Follows').selectOption({ label: 'Versions in a range' });
  await tried.getByText('see here which match').waitFor();
  const asked = [];
  page.on('request', (r) => r.url().endsWith('/rule/try') && asked.push(r.url()));
  // Typed by the page's own clock: on a busy machine keys from outside come as far apart as if somebody had paused.
  await dialog()
    .getByLabel('Range')
    .evaluate(async (field) => {
      for (const typed of ['^', '^1', '^1.', '^1.0']) {
        field.value = typed;
        field.dispatchEvent(new Event('input', { bubbles: true }));
        await new Promise((next) => setTimeout(next));
      }
    });
  await tried.getByText('1.1.0 would be deployed').waitFor();
  assert.equal(asked.length, 1, 'it is not asked at each key');
  await tried.getByText(/It is the newest of 2 tags that match\. 2 of 7 tags match/).waitFor();
  const order = await tried.getByRole('list', { name: 'Tags that match' }).getByRole('listitem').allInnerTexts();
  assert.deepEqual(
    order.map((t) => t.split(/\s/)[0]),
    ['1.1.0', '1.0.0'],
  );
  await tried.getByText('5 tags that do not match').click();
  await tried.getByText('it is no full version').first().waitFor();
  await looks('tag-rule');

  await dialog().getByLabel('Range').fill('newest');
  await dialog().getByText('no range of versions').waitFor();
  assert.equal(await dialog().getByLabel('Range').getAttribute('aria-invalid'), 'true');
  await dialog().getByLabel('Follows').selectOption({ label: 'Tags by a regular expression' });
  await dialog().getByLabel('Expression').fill('main-(');
  await dialog()
    .getByText(/missing closing|no regular expression/)
    .waitFor();
  await fits('tag-rule-wrong');
  await dialog().getByLabel('Expression').fill('main-(\\d+)');
  await tried.getByText('main-10 would be deployed').waitFor();
  await dialog().getByLabel('Ignore').fill('*-10');
  await tried.getByText('main-9 would be deployed').waitFor();
  await dialog().getByLabel('Minimum age').fill('soon');
  await dialog().getByText('must be a duration').waitFor();
  await dialog().getByLabel('Minimum age').fill('');

  await dialog().getByLabel('Follows').selectOption({ label: 'Versions in a range' });
  await dialog().getByLabel('Ignore').fill('*-debug');
  await dialog().getByLabel('Range').fill('^1');
  await dialog().getByLabel('When one is ready').selectOption({ label: 'Tell of it by an event' });
  await dialog().getByLabel('Asked every').fill('7d');
  await tried.getByText('1.1.0 would be deployed').waitFor();
  await button('Add stage', dialog()).click();
  await closed();
  await page.getByText('follows semver ^1, 1.1.0 is ready').waitFor({ timeout: 60_000 });
  await fits('stage-follows');
});

test('a rule is changed, with what the stage would make of it now', async () => {
  await button('Actions for staging').click();
  await page.getByRole('menuitem', { name: 'Edit' }).click();
  assert.equal(await dialog().getByLabel('Range').inputValue(), '^1');
  assert.equal(await dialog().getByLabel('Ignore').inputValue(), '*-debug');
  await dialog().getByText('For this stage now:').waitFor();
  await dialog().getByLabel('Take pre-releases').click();
  await dialog().getByLabel('Range').fill('>=1');
  await dialog().getByText('2.0.0-rc.1 would be deployed').waitFor();
  await dialog().getByLabel('Range').fill('^1');
  await dialog().getByLabel('Take pre-releases').click();
  await dialog().getByText('1.1.0 would be deployed').waitFor();
  await button('Save', dialog()).click();
  await closed();
});

let address;
test('a webhook is made; its secret is shown once, and has the registry asked', async () => {
  await page.goto(BASE_URL + '/registries');
  await card().getByText('1 stage, 1 follows its tags').waitFor();
  await button('Actions for depot').click();
  await page.getByRole('menuitem', { name: 'Webhook' }).click();
  await button('Make a webhook', dialog()).click();
  await dialog().getByText('shown this once').waitFor();
  await looks('webhook');
  address = await dialog().locator('code').last().innerText();
  assert.match(address, new RegExp(`^${BASE_URL}/api/hooks/.+/dwh_`));
  await button('Close', dialog()).click();
  await closed();
  await button('Actions for depot').click();
  await page.getByRole('menuitem', { name: 'Webhook' }).click();
  await dialog().getByText('never heard').waitFor();
  assert.ok(!(await page.content()).includes('dwh_'), 'the secret is shown once');
  await button('Cancel', dialog()).click();
  await closed();

  assert.ok((await registry('/push/1.2.0')).ok);
  const told = await fetch(address, { method: 'POST', body: '{"repository":"acme/shop"}' });
  assert.equal(told.status, 202);
  await card().getByText('last heard').waitFor();
  await page.goto(BASE_URL + '/projects/shop');
  await page.getByText('follows semver ^1, 1.2.0 is ready').waitFor({ timeout: 60_000 });
});

test('that it could not be asked is shown, with since when, and what was known stays', async () => {
  await registry('/break');
  assert.equal((await fetch(address, { method: 'POST', body: '{"repository":"acme/shop"}' })).status, 202);
  await page.goto(BASE_URL + '/registries');
  await card().getByText('nothing new is noticed for 1 stage').waitFor({ timeout: 60_000 });
  await card()
    .getByText(/it answered 500/)
    .first()
    .waitFor();
  await fits('registry-blind');
  await page.goto(BASE_URL + '/events?source=poller');
  await page.getByLabel('Source').locator('option:checked').getByText('poller').waitFor({ state: 'attached' });
  await page
    .getByText(/cannot be asked for, nothing new is noticed/)
    .first()
    .waitFor();
  await registry('/mend');
  assert.equal((await fetch(address, { method: 'POST', body: '{"repository":"acme/shop"}' })).status, 202);
  await page.goto(BASE_URL + '/registries');
  await card().getByText('Answers', { exact: true }).waitFor({ timeout: 60_000 });
  await card()
    .getByText(/\d+ with nothing new \(304\)/)
    .waitFor();
  await card().getByText('Next check').waitFor();
  await looks('registries');
});

test('removing says who has images from there, and what becomes of them', async () => {
  await button('Actions for depot').click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await dialog().getByText('follows its tags').waitFor();
  await dialog().getByText(`${REGISTRY} is asked without a login from then on`, { exact: false }).waitFor();
  await looks('registry-remove');
  await button('Remove', dialog()).click();
  await closed();
  await page.getByText(`Also in use, asked without a login: ${REGISTRY}`).waitFor();
  assert.equal((await fetch(address, { method: 'POST', body: '{}' })).status, 404);
  await button(`Set up ${REGISTRY}`).click();
  assert.equal(await dialog().getByLabel('Host').inputValue(), REGISTRY);
  await page.keyboard.press('Escape');
  await closed();
});

test('nothing was asked of anybody else, and nothing broke the security policy', () => {
  assert.deepEqual(open.complaints, []);
});
