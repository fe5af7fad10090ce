// Users, accounts and second factors in a real browser, on the real daemon. One story, told in order; people_test.go runs it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, context, eventually, firstAdmin, known, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, IDP } = process.env;
const password = 'a very secret password';
const bertsPassword = 'another secret password';

/** @type {import('playwright-core').Page} */
let page, bert;
let recovery;
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = (where = page) => where.getByRole('dialog');
const closed = (where = page) => dialog(where).waitFor({ state: 'detached' });
const row = (name) => page.getByRole('listitem').filter({ hasText: name });
const call = (path, body, method = 'POST') =>
  fetch(BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** What is wrong stands at its field. */
const fault = async (text, field) => {
  await page.getByRole('alert').filter({ hasText: text }).waitFor();
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.match(await page.locator(`#${await field.getAttribute('aria-describedby')}`).textContent(), text);
};

/** What an authenticator shows now. */
function codeOf(secret) {
  let bits = '';
  for (const c of secret) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** No barrier in both themes, and it fits a phone; what is open stays open. */
async function looks(name, where = page) {
  for (const theme of ['light', 'dark']) {
    await where.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    assert.deepEqual((await new AxeBuilder(where).analyze()).violations, [], `${name}, ${theme}`);
    await shot(where, `${name}-${theme}`);
  }
  await where.setViewportSize({ width: 390, height: 844 });
  await eventually(async () => {
    const wide = await where.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${name}: ${wide} px wide on a phone`);
  });
  await shot(where, `${name}-phone`);
  await where.setViewportSize({ width: 1360, height: 850 });
}

before(async () => {
  for (const name of ['shop', 'bank']) await call('/api/projects', { name, image: `ghcr.io/acme/${name}` });
  page = await firstAdmin(BASE_URL, SETUP_LINK);
});

after(async () => {
  await (await browser()).close();
  assert.deepEqual(open.complaints, []);
});

test('an admin adds a user, who sets a password by a link and comes in', async () => {
  await page.goto('/settings/users');
  await row('anna').getByText('Admin', { exact: true }).waitFor();
  await button('Add a user').click();
  await dialog().getByLabel('Name').fill('an na');
  await button('Add user', dialog()).click();
  await fault(/a name is 1 to 63/, dialog().getByLabel('Name'));
  await dialog().getByLabel('Name').fill('bert');
  await dialog().getByLabel('In all projects').selectOption('none');
  await dialog().getByLabel('In shop').selectOption('operator');
  await looks('users-add');
  await button('Add user', dialog()).click();
  await page.getByRole('heading', { name: 'Link for bert' }).waitFor();
  const link = await dialog().locator('code').textContent();
  await looks('users-link');
  await button('I have copied it').click();
  await closed();
  await row('bert').getByText('Invited').waitFor();
  await row('bert').getByText('No project but shop: Operator').waitFor();
  await looks('users');

  bert = await open(await context(BASE_URL));
  await bert.goto(link);
  await bert.getByLabel('Password', { exact: true }).fill('short');
  await bert.getByText('7 more characters.').waitFor();
  await bert.getByLabel('Password', { exact: true }).fill(bertsPassword);
  await looks('password-link', bert);
  await button('Set password', bert).click();
  await bert.getByText('The password of bert is set').waitFor();
  assert.ok(!bert.url().includes('code='), 'the code stays in the address');
  await bert.getByLabel('Password', { exact: true }).fill(bertsPassword);
  await button('Sign in', bert).click();
  await bert.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('who has one project sees that one, and no door to the others', async () => {
  await bert.goto('/projects');
  await bert.getByRole('link', { name: 'shop' }).first().waitFor();
  assert.equal(await bert.getByText('bank').count(), 0);
  assert.equal(await bert.getByRole('link', { name: 'Hosts' }).count(), 0);
  await bert.goto('/projects/bank');
  await bert.getByRole('heading', { name: 'This page does not exist' }).waitFor();
  await bert.goto('/');
  await bert.getByRole('heading', { name: 'Overview' }).waitFor();
  await looks('overview-of-one-project', bert);
  await bert.goto('/settings');
  assert.equal(await bert.getByRole('link', { name: 'Policies' }).count(), 0);
});

test('an event that is opened says what was changed, before and after, and nothing secret', async () => {
  const { id } = await (await call('/api/projects', { name: 'ledger', image: 'ghcr.io/acme/ledger' })).json();
  await call(`/api/projects/${id}`, { image: 'ghcr.io/acme/accounts', stale_after: '3d' }, 'PATCH');
  const depot = await (await call('/api/registries', { name: 'depot', host: 'depot.example' })).json();
  await call(`/api/registries/${depot.id}`, { username: 'anna', password: 'a secret of the depot' }, 'PATCH');
  const before = page.url();
  await page.goto(BASE_URL + '/events');
  const opened = () => page.getByRole('article').filter({ has: page.getByRole('table', { name: 'What was changed' }) });
  await button(/project ledger was changed/).click();
  assert.deepEqual(await opened().getByRole('row').allInnerTexts(), [
    'Field\tBefore\tAfter',
    'image\tghcr.io/acme/ledger\tghcr.io/acme/accounts',
    'stale_after\tnothing\t3d',
  ]);
  await looks('event-difference');
  await page.setViewportSize({ width: 390, height: 844 });
  await opened().getByRole('table').scrollIntoViewIfNeeded();
  await shot(page, 'event-difference-table-phone');
  await page.setViewportSize({ width: 1360, height: 850 });
  await button(/project ledger was changed/).click();
  await opened().waitFor({ state: 'detached' });
  await button(/registry depot was changed/).click();
  assert.match(await opened().innerText(), /password\s+changed; its values are not told/);
  assert.doesNotMatch(await opened().innerText(), /a secret of the depot/);
  await page.goto(before);
});

test('everybody makes tokens of their own, and sees no others', async () => {
  await bert.goto('/settings/tokens');
  await bert.getByText('No token yet').waitFor();
  await button('Make a token', bert).first().click();
  await eventually(async () => assert.equal(await dialog(bert).getByLabel('Role').locator('option').count(), 2));
  await dialog(bert).getByLabel('Name').fill('berts');
  await button('Make token', dialog(bert)).click();
  await button('I have copied it', bert).click();
  await closed(bert);
  await bert.getByText('by bert').waitFor();
  await page.goto('/settings/tokens');
  await row('berts').getByText('by bert').waitFor();
});

test('everybody sees where they are signed in, and ends what they do not know', async () => {
  const elsewhere = await open(await context(BASE_URL));
  await elsewhere.goto('/');
  await elsewhere.getByLabel('Name').fill('bert');
  await elsewhere.getByLabel('Password', { exact: true }).fill(bertsPassword);
  await button('Sign in', elsewhere).click();
  await elsewhere.getByRole('heading', { name: 'Overview' }).waitFor();
  await bert.goto('/settings/account');
  const mine = bert.getByRole('region', { name: 'Where you are signed in' }).getByRole('listitem');
  await eventually(async () => assert.equal(await mine.count(), 2));
  assert.equal(await mine.filter({ hasText: 'This one' }).getByRole('button').count(), 0, 'the one that asks is not ended here');
  await mine.getByRole('button', { name: /^Sign out: Chrome on Linux/ }).click();
  await eventually(async () => assert.equal(await mine.count(), 1));
  await elsewhere.goto('/settings/account');
  await elsewhere.getByRole('heading', { name: 'Sign in to docker-watcher' }).waitFor();
  await elsewhere.close();
});

test('a second factor is set up, asked for, and replaced by a recovery code', async () => {
  await page.goto('/settings/account');
  await page.getByText('Off. Your password alone lets you in.').waitFor();
  await looks('account');
  await button('Set up').click();
  await dialog().getByLabel('Password').fill('not the password');
  await button('Next').click();
  await fault(/not your password/, dialog().getByLabel('Password'));
  await dialog().getByLabel('Password').fill(password);
  await button('Next').click();
  const secret = await dialog().locator('code').textContent();
  assert.ok(
    (await dialog()
      .getByRole('img')
      .evaluate((i) => i.naturalWidth)) > 0,
    'the picture is not shown',
  );
  await looks('account-second-factor');
  await dialog().getByLabel('Code that it shows').fill('000000');
  await button('Turn it on').click();
  await fault(/wrong/, dialog().getByLabel('Code that it shows'));
  await dialog().getByLabel('Code that it shows').fill(codeOf(secret));
  await button('Turn it on').click();
  await dialog().getByText('Your recovery codes').waitFor();
  recovery = await dialog().getByRole('listitem').allTextContents();
  assert.equal(recovery.length, 10);
  await looks('account-recovery-codes');
  await button('I have kept them').click();
  await closed();
  await page.getByText('On. 10 recovery codes left.').waitFor();

  await button(/anna Admin/).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in to docker-watcher' }).waitFor();
  await page.getByLabel('Name').fill('anna');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in').click();
  await page.getByLabel('Code of your second factor').fill('000000');
  await looks('sign-in-code');
  await button('Sign in').click();
  await page.getByRole('alert').getByText(/wrong/).waitFor();
  await page.getByLabel('Code of your second factor').fill(recovery[0]);
  await button('Sign in').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.goto('/settings/account');
  await page.getByText('On. 9 recovery codes left.').waitFor();
});

test('recovery codes are made anew, the password is changed, and a token is revoked', async () => {
  await button('New recovery codes').click();
  await dialog().getByText('The ones that you have are worth nothing then.').waitFor();
  await dialog().getByLabel('Code that it shows').fill(recovery[1]);
  await button('New recovery codes', dialog()).click();
  await dialog().getByText('Your recovery codes').waitFor();
  assert.ok(!(await dialog().getByRole('listitem').allTextContents()).includes(recovery[2]), 'an old code is left');
  await looks('account-new-codes');
  await button('I have kept them').click();
  await closed();
  await page.getByText('On. 10 recovery codes left.').waitFor();

  await page.getByLabel('New password').fill('yet another secret password');
  await page.getByLabel('Current password').fill('not the password');
  await button('Change password').click();
  await fault(/not your password/, page.getByLabel('Current password'));
  await page.getByLabel('Current password').fill(password);
  await button('Change password').click();
  await page.getByText('Password changed').waitFor();

  await page.goto('/settings/tokens');
  await button('Revoke', row('berts')).click();
  await dialog().getByText('Whoever uses it is refused from now on').waitFor();
  await button('Revoke', dialog()).click();
  await closed();
  await row('berts').waitFor({ state: 'detached' });
});

test('an identity provider is set up; down, it leaves the password', async () => {
  await page.goto('/settings/provider');
  await page.getByLabel('Issuer').fill('http://example.org');
  await page.getByLabel('Client id').fill('docker-watcher');
  await page.getByLabel('Client secret').fill('canary-of-a-provider');
  await page.getByLabel('Button').fill('Acme');
  await button('Add a rule').click();
  await page.getByLabel('Group', { exact: true }).fill('ops');
  await button('Save').click();
  await fault(/must be an address that starts with/, page.getByLabel('Issuer'));
  await looks('identity-provider-wrong');
  await page.getByLabel('Issuer').fill('http://127.0.0.1:1');
  await looks('identity-provider');
  await button('Save').click();
  await page.getByText('There is one. Leave this empty to keep it.').waitFor();
  await eventually(async () => assert.equal(await page.getByLabel('Issuer').inputValue(), 'http://127.0.0.1:1', 'what was saved stays'));
  assert.equal(await page.getByLabel('Group', { exact: true }).inputValue(), 'ops');
  assert.ok(!(await page.content()).includes('canary-of-a-provider'));
  await button('Test', page).click();
  await page.getByText('The provider does not answer as it must').waitFor();

  const stranger = await open(await context(BASE_URL));
  await stranger.goto('/');
  await button('Sign in with Acme', stranger).waitFor();
  await looks('sign-in-provider', stranger);
  await button('Sign in with Acme', stranger).click();
  await stranger.getByRole('alert').getByText('The identity provider does not answer.').waitFor();
  await looks('sign-in-provider-down', stranger);
  await stranger.close();
});

test('who is in a group of the identity provider comes in by it, with the role of the group', async () => {
  known(IDP);
  await page.getByLabel('Issuer').fill(IDP);
  await page.getByRole('switch', { name: 'Make a user of whoever' }).check();
  await page.getByRole('combobox', { name: 'Role' }).selectOption({ label: 'Operator' });
  await button('Save').click();
  await page.getByText('Saved', { exact: true }).last().waitFor();
  await button('Test', page).click();
  await page.getByText('The provider answers', { exact: true }).waitFor();

  const otto = await open(await context(BASE_URL));
  await otto.goto('/');
  await button('Sign in with Acme', otto).click();
  await otto.getByRole('heading', { name: 'Overview' }).waitFor();
  await button(/otto Operator/, otto).waitFor();
  await otto.goto('/settings/account');
  await otto.getByText('You have no password here: you sign in by your identity provider.').waitFor();
  await otto.close();

  await fetch(IDP + '/leave', { method: 'POST' });
  const refused = await open(await context(BASE_URL));
  await refused.goto('/');
  await button('Sign in with Acme', refused).click();
  await refused.getByRole('alert').getByText('The identity provider did not let you in.').waitFor();
  await refused.close();
});

test('an admin requires a second factor of everybody', async () => {
  await page.goto('/settings/users');
  await page.getByRole('switch', { name: 'Require a second factor' }).check();
  await page.getByText('Saved', { exact: true }).waitFor();
  await bert.goto('/');
  await bert.getByRole('heading', { name: 'One more step' }).waitFor();
  await looks('enrol', bert);
  await bert.getByLabel('Password').fill(bertsPassword);
  await button('Next', bert).click();
  await bert.getByLabel('Code that it shows').fill(codeOf(await bert.locator('code').textContent()));
  await button('Turn it on', bert).click();
  await button('I have kept them', bert).click();
  await bert.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('sessions are seen and ended, and a disabled user is out', async () => {
  await row('bert').getByText('Second factor', { exact: true }).waitFor();
  await button('Actions for bert').click();
  await page.getByRole('menuitem', { name: 'Sessions' }).click();
  await dialog().getByText('127.0.0.1').first().waitFor();
  await looks('users-sessions');
  await button('Close', dialog()).last().click();
  await closed();
  await button('Actions for bert').click();
  await page.getByRole('menuitem', { name: 'Disable' }).click();
  await dialog().getByText('signed out everywhere').waitFor();
  await looks('users-disable');
  await button('Disable', dialog()).click();
  await closed();
  await row('bert').getByText('Disabled').waitFor();
  await bert.goto('/');
  await bert.getByRole('heading', { name: 'Sign in to docker-watcher' }).waitFor();
  await button('Actions for anna').click();
  await page.getByRole('menuitem', { name: 'Remove' }).click();
  await button('Remove', dialog()).click();
  await dialog()
    .getByRole('alert')
    .getByText(/last admin/)
    .waitFor();
});
