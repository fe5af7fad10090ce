// Certificates in a real browser, on the real daemon. One story, told in order. certificates_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN, PAIRS } = process.env;

/** @type {import('playwright-core').Page} */
let page;
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const closed = () => dialog().waitFor({ state: 'detached' });
const section = () => page.getByRole('region', { name: 'Certificates' });
const row = (name) => section().getByRole('listitem').filter({ hasText: name });
const api = async (path) => (await fetch(BASE_URL + path, { headers: { authorization: `Bearer ${TOKEN}` } })).text();
const act = async (name, what) => {
  await button(`Actions for ${name}`, section()).click();
  await page.getByRole('menuitem', { name: what }).click();
};

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
  await page.setViewportSize({ width: 1360, height: 1000 });
}

before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
});
after(async () => {
  await (await browser()).close();
});

test('a certificate is uploaded: what is wrong is said at its field, and its key is never given back', async () => {
  await page.goto(BASE_URL + '/routes');
  await section().getByText('No route is served over TLS').waitFor();
  await button('Upload a certificate', section()).click();
  await dialog().getByLabel('Name').fill('Wiki!');
  const file = async (label, name) => {
    await dialog().getByLabel(`Choose a file: ${label}`).setInputFiles(`${PAIRS}/${name}`);
    const whole = await readFile(`${PAIRS}/${name}`, 'utf8');
    await eventually(async () => assert.equal(await dialog().getByLabel(label, { exact: true }).inputValue(), whole));
  };
  await file('Certificate and chain', 'good.pem');
  await file('Private key', 'other.key');
  await button('Upload', dialog()).click();
  await dialog().getByText('small letters').first().waitFor();
  await dialog().getByLabel('Name').fill('wiki');
  await button('Upload', dialog()).click();
  await dialog().getByText('it is not the key of the first certificate').waitFor();
  await looks('certificate-upload');
  await file('Private key', 'good.key');
  await button('Upload', dialog()).click();
  await closed();
  await row('wiki').getByText('Ends soon').waitFor();
  await row('wiki').getByText('No route asks for it').waitFor();
  assert.ok(!(await api('/api/certificates')).includes('PRIVATE'));
});

test('routes are served over TLS by an uploaded one, by our own authority, and by one that cannot be had', async () => {
  const add = async (domain, tls, more = async () => {}) => {
    await button('Add proxy').click();
    await dialog().getByLabel('Domains').fill(domain);
    await dialog().getByLabel('Targets').fill('http://10.0.0.5:3000');
    await dialog().getByLabel('TLS', { exact: true }).selectOption({ label: tls });
    await more();
    await button('Add proxy', dialog()).click();
  };
  await add('other.example.com', 'Uploaded certificate', async () => {
    await dialog().getByLabel('Uploaded certificate').selectOption({ label: 'wiki: wiki.example.com' });
    await dialog().getByLabel('Send who comes over http to https').check();
  });
  await dialog().getByText('it does not cover other.example.com').waitFor();
  await looks('route-tls');
  await dialog().getByLabel('Domains').fill('wiki.example.com');
  await button('Add proxy', dialog()).click();
  await closed();
  await row('wiki').getByText('Serves wiki.example.com').waitFor();
  await add('app.localhost', 'Certificate of our own authority');
  await closed();
  await eventually(async () => {
    await page.reload();
    await row('app.localhost').getByText('Valid').waitFor({ timeout: 15_000 });
  });
  await row('app.localhost').getByRole('meter').waitFor();
  assert.match(await api('/api/certificates/ca.pem'), /BEGIN CERTIFICATE/);
});

test('who is asked for certificates is changed, and what goes wrong there says what to do', async () => {
  await button('Authority', section()).click();
  await dialog().getByLabel('E-mail').fill('ops@example.com');
  await dialog().getByLabel('ACME directory').fill('https://127.0.0.1:1/directory');
  await looks('certificate-authority');
  await button('Save', dialog()).click();
  await closed();
  await button('Add proxy').click();
  await dialog().getByLabel('Domains').fill('shop.internal');
  await dialog().getByLabel('Targets').fill('http://10.0.0.6:3000');
  await dialog().getByLabel('TLS', { exact: true }).selectOption({ label: 'Certificate of an authority (ACME)' });
  await button('Add proxy', dialog()).click();
  await closed();
  await eventually(async () => {
    await page.reload();
    await row('shop.internal').getByText('check its directory URL').waitFor({ timeout: 15_000 });
  });
  await row('shop.internal').getByText('Failed', { exact: true }).waitFor();
  await section().scrollIntoViewIfNeeded();
  await looks('certificates');
});

test('one is renewed now, and the uploaded one is removed when no route asks for it', async () => {
  await act('app.localhost', 'Renew now');
  await page.getByText('A new certificate is asked for').waitFor();
  await act('wiki', 'Remove');
  await button('Remove', dialog()).click();
  await dialog().getByText('it serves wiki.example.com').waitFor();
  await button('Cancel', dialog()).click();
  await closed();
  const list = JSON.parse(await api('/api/proxies')).items;
  const wiki = list.find((r) => r.domains[0] === 'wiki.example.com');
  await fetch(`${BASE_URL}/api/proxies/${wiki.id}`, { method: 'DELETE', headers: { authorization: `Bearer ${TOKEN}` } });
  await act('wiki', 'Remove');
  await button('Remove', dialog()).click();
  await closed();
  await row('wiki').waitFor({ state: 'detached' });
});
