// What the page says of a proxy that is a program of its own, in a real browser: in step, changed by somebody else, down, and back.
// drivers_test.go prepares the ground and runs it. The flows are one story, told in order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TURN, TARGET, TRAEFIK_URL, TRAEFIK_LINK, TRAEFIK_TOKEN } = process.env;

/** @type {import('playwright-core').Page} */
let page;
before(() => firstComesTo(BASE_URL, SETUP_LINK));
async function firstComesTo(base, link) {
  page = await firstAdmin(base, link);
  await page.goto(base + '/routes');
}
after(async () => {
  await (await browser()).close();
});

const turn = (how) => fetch(`${TURN}?caddy=${how}`);
const says = (text) => page.getByText(text).first().waitFor({ timeout: 60_000 });
/** No barrier in either theme, and no width that a phone does not have. */
async function clean(what) {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await shot(page, `${what}-${colorScheme}`);
    assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], `${what}, ${colorScheme}`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await eventually(async () => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${what}: ${wide} px wide on a phone`);
  });
  await shot(page, `${what}-phone`);
  await page.setViewportSize({ width: 1360, height: 850 });
}

async function addProxy(domain) {
  await page.getByRole('button', { name: 'Add proxy' }).click();
  const sheet = page.getByRole('dialog', { name: 'Add a standalone proxy' });
  await sheet.getByLabel('Domains').fill(domain);
  await sheet.getByLabel('Targets').fill(TARGET);
  await sheet.getByRole('button', { name: 'Add proxy' }).click();
  await sheet.waitFor({ state: 'detached' });
}

test('a proxy that serves what is asked for', async () => {
  await addProxy('wiki.example.com');
  await says('1 route served at');
  await says(/^[0-9a-f]{16}, as it is asked for$/);
  await says('Its requests are not counted');
  await clean('driver-in-step');
});

test('somebody else changes what it answers by', async () => {
  await turn('change');
  await says('Somebody else changed what Caddy answers by: in our part /idle_timeout was changed. It is left so until a route changes');
  await clean('driver-drift');
});

test('it goes down, and comes back with what is theirs alone', async () => {
  await turn('stop');
  await says('Caddy cannot be told of routes. It goes on by what it has.');
  await clean('driver-lost');
  await turn('start');
  await says('our part (@id docker-watcher) is gone');
  assert.deepEqual(open.complaints, []);
});

test('a Traefik fetches what it serves, and has the certificates', async () => {
  await firstComesTo(TRAEFIK_URL, TRAEFIK_LINK);
  await says('Traefik has not asked for its configuration');
  const ask = () => fetch(`${TRAEFIK_URL}/api/proxy/traefik`, { headers: { authorization: `Bearer ${TRAEFIK_TOKEN}` } });
  await ask();
  const asks = setInterval(() => void ask().catch(() => {}), 1000).unref();
  await addProxy('wiki.example.com');
  await says('1 route served at the entry points of Traefik');
  await says(/, 127\.0\.0\.1 /);
  await says('None is kept here while Traefik serves.');
  assert.equal(await page.getByRole('button', { name: 'Upload a certificate' }).count(), 0);
  await clean('driver-traefik');
  clearInterval(asks);
  assert.deepEqual(open.complaints, []);
});
