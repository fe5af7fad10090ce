// What containers are made with: written, compared with what runs, and imported from a compose file. One story, told in order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, eventually, firstAdmin, open, shot } from './lib.mjs';

const { BASE_URL, SETUP_LINK, TOKEN } = process.env;
/** @type {import('playwright-core').Page} */
let page;

const api = async (method, path, body) => {
  const answer = await fetch(BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
};
const stageOf = async (project, name) => (await api('GET', `/api/stages?project=${project}`)).items.find((s) => s.name === name);
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const menu = async (of, item) => {
  await button(`Actions for ${of}`).click();
  await page.getByRole('menuitem', { name: item }).click();
  await dialog().waitFor();
};
const gone = () => dialog().waitFor({ state: 'detached' });

/** An open dialog on a desktop and a phone, in both themes: without a sideways scroll, and without a finding of axe on each device and in each theme. */
async function look(name) {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    for (const [device, width, height] of [
      ['desktop', 1360, 900],
      ['phone', 390, 844],
    ]) {
      await page.setViewportSize({ width, height });
      await eventually(async () => {
        const wide = await page.evaluate(() =>
          Math.max(
            document.documentElement.scrollWidth,
            ...[...document.querySelectorAll('dialog *')].map((e) =>
              e.scrollWidth > e.clientWidth && getComputedStyle(e).overflowX === 'auto' ? e.scrollWidth : 0,
            ),
          ),
        );
        assert.ok(wide <= width, `${name}: ${wide} px wide on a ${device}`);
      });
      if ((theme === 'light') === (device === 'desktop')) {
        const { violations } = await new AxeBuilder(page).analyze();
        assert.deepEqual(violations, [], `${name}, ${theme}, ${device}`);
      }
      await shot(page, `${name}-${device}-${theme}`);
    }
  }
  await page.setViewportSize({ width: 1360, height: 900 });
}

before(async () => {
  page = await firstAdmin(BASE_URL, SETUP_LINK);
  await api('POST', '/api/projects', { name: 'shop', image: 'registry.test/shop' });
  await page.goto(BASE_URL + '/projects/shop');
});
after(async () => {
  await (await browser()).close();
});

test('a stage is made with variables of two kinds, networks, limits and power over the host', async () => {
  await button('Add stage').first().click();
  const form = dialog();
  await form.getByLabel('Name', { exact: true }).fill('preview');
  await button('Add variable', form).click();
  await eventually(async () =>
    assert.ok(await form.getByLabel('Name of variable 1').evaluate((e) => e === document.activeElement), 'the new one has the focus'),
  );
  await form.getByLabel('Name of variable 1').fill('PASSWORD');
  await form.getByLabel('Value of PASSWORD').fill('s3cret');
  await button('Add variable', form).click();
  await form.getByLabel('Name of variable 2').fill('MOTD');
  await form.getByLabel('Value of MOTD').fill('one\ntwo');
  await form.getByRole('checkbox', { name: 'MOTD is secret' }).uncheck();
  await button('Add variable', form).click();
  await button('Remove the new variable', form).click();
  await shot(page, 'spec-env-desktop');
  await page.setViewportSize({ width: 390, height: 844 });
  await form.getByLabel('Name of variable 1').scrollIntoViewIfNeeded();
  await shot(page, 'spec-env-phone');
  await page.setViewportSize({ width: 1360, height: 900 });
  await form.getByText('Networks and limits').click();
  await form.getByLabel('Networks', { exact: true }).fill('front: web, www');
  await form.getByLabel('Memory', { exact: true }).fill('lots');
  await button('Add stage', form).click();
  await form.getByRole('alert').getByText('lots').waitFor();
  // What the server refuses is told at its field, which is brought up, also where it was folded away.
  await form.getByLabel('Memory', { exact: true }).fill('1k');
  await form.getByText('Networks and limits').click();
  await button('Add variable', form).click();
  await form.getByLabel('Name of variable 3').fill('MOTD');
  await button('Add stage', form).click();
  await form.getByRole('alert').getByText('nothing was done').waitFor();
  assert.equal(await form.getByLabel('Memory', { exact: true }).getAttribute('aria-invalid'), 'true');
  await form.getByText('at least 6 MiB').waitFor();
  await form.getByText('env MOTD: given twice').waitFor();
  await eventually(async () =>
    assert.ok(
      await form.getByLabel('Name of variable 3').evaluate((e) => e === document.activeElement),
      'the first wrong one has the focus',
    ),
  );
  await look('spec-mistakes');
  await button('Remove MOTD', form).last().click();
  await form.getByLabel('Memory', { exact: true }).fill('64m');
  await form.getByText('Power over the host').click();
  await form.getByLabel('Capabilities added').fill('net_admin');
  await look('spec-form');
  await button('Add stage', form).click();
  await gone();
  const { spec } = await stageOf('shop', 'preview');
  assert.deepEqual(spec.env, [
    { name: 'PASSWORD', secret: true },
    { name: 'MOTD', secret: false, value: 'one\ntwo' },
  ]);
  assert.deepEqual(spec.networks, [{ name: 'front', aliases: ['web', 'www'] }]);
  assert.deepEqual([spec.resources, spec.power], [{ memory: 64 << 20 }, { cap_add: ['NET_ADMIN'] }]);
});

test('a secret keeps its value while it is not written, and is never shown', async () => {
  const { id } = await stageOf('shop', 'preview');
  await api('POST', `/api/stages/${id}/deploys`, { tag: '1.4' });
  await eventually(async () => assert.equal((await api('GET', `/api/stages/${id}/deploys`)).items[0].state, 'done'));
  await menu('preview', 'Compare with what runs');
  await dialog().getByText('Runs as wanted.').waitFor();
  await page.keyboard.press('Escape');
  await gone();

  await menu('preview', 'Edit');
  assert.equal(await dialog().getByLabel('Value of PASSWORD').inputValue(), '');
  assert.equal(await dialog().getByLabel('Value of MOTD').inputValue(), 'one\ntwo');
  await dialog().getByRole('checkbox', { name: 'PASSWORD is secret' }).uncheck();
  await button('Save', dialog()).click();
  await dialog().getByRole('alert').getByText('write its value anew').waitFor();
  await dialog().getByRole('checkbox', { name: 'PASSWORD is secret' }).check();
  await dialog().getByLabel('Value of MOTD').fill('three');
  await dialog().getByLabel('Memory', { exact: true }).fill('128m');
  await button('Save', dialog()).click();
  await gone();
  await menu('preview', 'Compare with what runs');
  const rows = dialog().getByRole('row');
  await rows.filter({ hasText: 'MOTD' }).filter({ hasText: 'three' }).waitFor();
  await rows.filter({ hasText: 'Memory' }).filter({ hasText: '64 MiB' }).filter({ hasText: '128 MiB' }).waitFor();
  assert.equal(await rows.filter({ hasText: 'PASSWORD' }).count(), 0, 'it has the value that it had');
  await look('diff');
  await page.keyboard.press('Escape');
  await gone();
  assert.ok(!(await page.content()).includes('s3cret'));
});

const file = `name: acme
services:
  web:
    image: registry.test/shop:1.4
    ports: ["8080:80"]
    environment: { PASSWORD: "\${PASSWORD}", MODE: "\${MODE:-demo}" }
    volumes: [data:/data]
    mem_limit: 64m
    build: .
    depends_on: [db]
  db:
    image: postgres:17
    privileged: true
    volumes: [./data:/var/lib/postgresql/data]
volumes:
  data: {}
`;

test('a compose file is told line by line, and a service of it imported', async () => {
  await menu('shop', 'Import from compose');
  await dialog().getByLabel('Compose file').fill('services: [');
  await button('Look at it', dialog()).click();
  await dialog().getByRole('alert').getByText('it is no YAML').waitFor();
  await dialog()
    .getByLabel('Choose a file')
    .setInputFiles({ name: 'huge.yaml', mimeType: 'text/yaml', buffer: Buffer.alloc(10 << 20, '#') });
  await dialog().getByRole('alert').getByText('larger than 1 MiB').waitFor();
  await dialog()
    .getByLabel('Choose a file')
    .setInputFiles({ name: 'compose.yaml', mimeType: 'text/yaml', buffer: Buffer.from(file) });
  await eventually(async () => assert.equal(await dialog().getByLabel('Compose file').inputValue(), file));
  await look('compose-text');
  await button('Look at it', dialog()).click();
  await dialog().getByText('the variable PASSWORD has no value').waitFor();
  assert.ok(await button('Import web', dialog()).isDisabled(), 'what is in the way must be mended first');
  await dialog().getByLabel('PASSWORD', { exact: true }).fill('s3cret');
  await dialog().getByLabel('PASSWORD', { exact: true }).blur();
  await dialog().getByText('nothing is built here').waitFor();
  await dialog().getByText('the volume data is called acme_data').waitFor();
  await eventually(async () => assert.equal(await dialog().getByText('the variable PASSWORD has no value').count(), 0));
  assert.ok(await button('Import web', dialog()).isDisabled(), 'nothing is lost without a yes');
  await dialog().getByRole('checkbox', { name: 'Import without the 2 lines that do not come along' }).check();
  await look('compose-notes');
  await dialog().getByLabel('Stage', { exact: true }).fill('staging');
  await button('Import web', dialog()).click();
  await gone();
  await page.getByRole('heading', { name: 'staging' }).waitFor();
  const { spec } = await stageOf('shop', 'staging');
  assert.deepEqual(spec.ports, [{ container: 80, host: 8080, host_ip: '0.0.0.0', protocol: 'tcp' }]);
  assert.equal(spec.env.find((e) => e.name === 'PASSWORD').value, undefined);
});

test('a service that cannot be imported says why, and that it would rule the host', async () => {
  await menu('shop', 'Import from compose');
  await dialog().getByLabel('Compose file').fill(file);
  await button('Look at it', dialog()).click();
  await dialog().getByLabel('Service').selectOption('db');
  await dialog().getByText('is a path beside the compose file').waitFor();
  await dialog().getByText('it is privileged').waitFor();
  assert.ok(await button('Import db', dialog()).isDisabled());
  await page.keyboard.press('Escape');
  await gone();
});

test('nothing was asked of anybody else, and nothing broke the security policy', () => {
  assert.deepEqual(open.complaints, []);
});
