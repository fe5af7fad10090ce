// A log and what its container uses, in a real browser on the real daemon. logs_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, context, eventually, open, shot, wayTo } from './lib.mjs';

const { BASE_URL, SETUP_LINK, CONTROL, INSTANCE } = process.env;

/** @type {import('playwright-core').Page} */
let page;
let way;

before(async () => {
  way = await wayTo(BASE_URL);
  page = await open(await context(way.url, { acceptDownloads: true }));
});
after(async () => {
  await (await browser()).close();
  await way.cut();
});

const engine = async (what, args = {}) => {
  const answer = await fetch(`${CONTROL}/${what}?${new URLSearchParams(args)}`, { method: 'POST' });
  assert.ok(answer.ok, `${what}: ${answer.status}`);
};
const write = (text, stream = 'stdout') => engine('log', { text, stream });
const button = (name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const log = () => page.getByRole('region', { name: 'Log', exact: true });
const line = (text) => log().getByText(text);
const top = () => log().evaluate((el) => [el.scrollTop, el.scrollHeight - el.clientHeight]);

test('a log is followed as it is written, in its colours', async () => {
  await page.goto(SETUP_LINK.replace(BASE_URL, way.url));
  await page.getByLabel('Name').fill('anna');
  await page.getByLabel('Password', { exact: true }).fill('a very secret password');
  await button('Make admin and sign in').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await write('the first line');
  await page.goto(`${way.url}/instances/${INSTANCE}?tab=logs`);
  await line('the first line').waitFor();
  await page.getByText('Following').waitFor();
  await write('\x1b[31mred\x1b[0m and \x1b]0;title\x07plain');
  await line('red').waitFor();
  assert.match(
    await line('red')
      .first()
      .evaluate((el) => getComputedStyle(el).color),
    /rgb\(1[5-9]\d|rgb\(2\d\d/,
  );
  assert.equal(await log().getByText('title').count(), 0);
  await write('GET /cart status=503 upstream timed out', 'stderr');
  await write('a'.repeat(400));
  await line('upstream timed out').waitFor();
  await button('Times').click();
  await log().locator('time').first().waitFor();
});

test('what is looked for is marked, and jumped to', async () => {
  for (let i = 0; i < 5; i++) await write(`\x1b[32mINFO\x1b[0m  order ${4711 + i} paid in \x1b[36m${20 + i} ms\x1b[0m`);
  await page.getByLabel('Find in the log').fill('ORDER');
  await page.getByText('– of 5 lines').waitFor();
  assert.equal(await log().locator('mark').count(), 5);
  await page.keyboard.press('Enter');
  await page.getByText('1 of 5 lines').waitFor();
  await page.keyboard.press('Shift+Enter');
  await page.getByText('5 of 5 lines').waitFor();
  await page.waitForURL(/[?&]q=ORDER/);
  await page.reload();
  await page.getByText('– of 5 lines').waitFor(); // it came back from the address
  await button('Match case').click();
  await page.getByText('No hit').waitFor();
  await button('Match case').click();
  await page.getByLabel('Find in the log').fill('47(11|13)');
  await page.getByText('No hit').waitFor();
  await button('Regular expression').click();
  await page.getByText('– of 2 lines').waitFor();
  await button('Only hits').click();
  await page.getByText(/^2 of \d+ lines match$/).waitFor();
  assert.equal(await line('the first line').count(), 0);
  await write('order 4711 again');
  await page.getByText(/^3 of \d+ lines match$/).waitFor();
  await button('Only hits').click();
  await button('Regular expression').click();
  await page.getByLabel('Find in the log').fill('');
  await line('the first line').waitFor();
});

for (const theme of ['light', 'dark']) {
  for (const [size, width, height] of [
    ['desktop', 1360, 850],
    ['phone', 390, 844],
  ]) {
    test(`anyone can read it, ${theme}, ${size}`, async () => {
      await page.setViewportSize({ width, height });
      await page.evaluate((t) => localStorage.setItem('dw.theme', t), theme);
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.reload();
      await line('upstream timed out').waitFor();
      await page.getByLabel('Find in the log').fill('paid');
      await page.getByText('– of 5 lines').waitFor();
      assert.deepEqual((await new AxeBuilder(page).analyze()).violations, []);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page is wider than its window');
      await shot(page, `logs-${theme}-${size}`);
    });
  }
}

test('one output, a pause, and the way to the end', async () => {
  await page.setViewportSize({ width: 1360, height: 850 });
  await page.reload();
  await line('the first line').waitFor();
  await page.getByLabel('Output').selectOption({ label: 'Standard error' });
  await line('upstream timed out').waitFor();
  assert.equal(await line('the first line').count(), 0);
  await page.getByLabel('Output').selectOption({ label: 'Both outputs' });
  await line('the first line').waitFor();
  await button('Pause').click();
  await write('while it is paused');
  await page.getByText('Paused, 1 new line').waitFor();
  assert.equal(await line('while it is paused').count(), 0);
  await button('Go on').click();
  await line('while it is paused').waitFor();
});

test('a hundred thousand lines scroll, and few of them are in the page', async () => {
  await page.getByLabel('How far back').selectOption({ label: 'Everything' });
  await line('the first line').waitFor();
  await engine('flood', { n: 120_000 });
  await page.getByText('100,000 lines', { exact: true }).waitFor({ timeout: 120_000 });
  await eventually(async () => assert.equal(await line('flood 120000 ').count(), 1)).catch(async (e) => {
    await shot(page, 'logs-failed');
    throw new Error(`at ${await top()}: ${(await log().innerText()).slice(-200)}`, { cause: e });
  });
  assert.ok((await log().locator('div').count()) < 200, 'all lines are in the page');
  const [at, end] = await top();
  assert.ok(end - at < 40, `it stands at ${at} of ${end}`);
  await log().evaluate((el) => (el.scrollTop = el.scrollHeight / 2));
  await button('To the end').waitFor();
  const middle = await log().locator('div').nth(30).textContent();
  assert.match(middle, /flood/);
  await write('one that moves nothing');
  await eventually(async () => assert.ok((await top())[0] < end / 1.5));
  await button('To the end').click();
  await line('one that moves nothing').waitFor();
});

test('the whole log is had as a file', async () => {
  for (const [name, read] of [
    ['The whole log as text', (b) => b],
    ['The whole log, compressed', gunzipSync],
  ]) {
    await button('Download').click();
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name }).click()]);
    assert.match(file.suggestedFilename(), /^shop-production-a1b2c3_20.*Z\.log(\.gz)?$/);
    const text = read(readFileSync(await file.path())).toString();
    assert.ok(text.includes('the first line') && text.includes('flood 1 ') && text.includes('one that moves nothing'), 'it is not whole');
  }
});

test('a connection that breaks is resumed without a gap or a double', async () => {
  await page.getByLabel('How far back').selectOption({ label: 'Last 2,000 lines' });
  await line('one that moves nothing').waitFor();
  await write('before the break');
  await line('before the break').waitFor();
  await way.cut();
  await page.getByText('The connection broke off. It is tried again.').first().waitFor();
  await write('while it was broken');
  await way.mend();
  await line('while it was broken').waitFor();
  await write('after the break');
  await line('after the break').waitFor();
  for (const text of ['before the break', 'while it was broken', 'after the break']) assert.equal(await line(text).count(), 1, text);
});

test('the end is told with how it came, and a start goes on', async () => {
  await engine('oom');
  await line('it ended with code 137: out of memory').waitFor();
  await page.getByText('The log ended: it ended with code 137: out of memory.').waitFor();
  await shot(page, 'logs-ended');
  await page.goto(`${way.url}/instances/${INSTANCE}`);
  await page.getByText('137, out of memory').waitFor();
  await engine('start');
  await page.getByRole('heading', { name: /What it uses/ }).waitFor();
  await page.goto(`${way.url}/instances/${INSTANCE}?tab=logs`);
  await line('after the break').waitFor();
  await page.getByText('Following').waitFor();
});

test('what it uses is plotted live, and over the last hour', async () => {
  await engine('uses');
  for (const theme of ['light', 'dark']) {
    for (const [size, width, height] of [
      ['desktop', 1360, 850],
      ['phone', 390, 844],
    ]) {
      await page.setViewportSize({ width, height });
      await page.evaluate((t) => localStorage.setItem('dw.theme', t), theme);
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.goto(`${way.url}/instances/${INSTANCE}`);
      await page.getByRole('img', { name: /CPU: 42 %/ }).waitFor();
      await page.getByRole('img', { name: /Memory: 96\.0 MiB/ }).waitFor();
      await page.getByRole('img', { name: /^Network: .*\/s in .*\/s out/ }).waitFor();
      await page.getByText(/Measured since/).waitFor();
      await button('Last minutes').click();
      await page.waitForURL(/[?&]use=minutes/);
      await page.getByText('live', { exact: true }).waitFor();
      assert.deepEqual((await new AxeBuilder(page).analyze()).violations, []);
      await button('Last hour').click();
      await shot(page, `usage-${theme}-${size}`);
    }
  }
});

test('nothing was asked of anybody else, and nothing broke the security policy', () => {
  assert.deepEqual(open.complaints, []);
});
