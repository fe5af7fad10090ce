// Taking over what somebody else made, in a real browser, on the real daemon and a real engine that is not its own: other
// containers come and go on it meanwhile. adopt_test.go prepares the ground and runs it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder, browser, context, docker, eventually, open, shot } from './lib.mjs';

const { BASE_URL, TOKEN, IMAGE, COMPOSE } = process.env;
const [web, db, task] = [`${COMPOSE}-web-1`, `${COMPOSE}-db-1`, `${COMPOSE}-task-1`];

/** @type {import('playwright-core').Page} */
let page;

const as = async (token) => open(await context(BASE_URL, { extraHTTPHeaders: { authorization: `Bearer ${token}` } }));
const api = async (method, path, body) => {
  const answer = await fetch(BASE_URL + path, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : answer.json();
};
const button = (name, where = page) => where.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const row = (name) => page.getByRole('listitem').filter({ hasText: name });
const facts = (name) => docker('inspect', '--format', '{{json .State}} {{.RestartCount}} {{json .Config.Labels}} {{.Id}}', name);

let untouched;
before(async () => {
  const run = (name, service, ...more) =>
    docker(
      'run', '--detach', '--name', name, '--label', `com.docker.compose.project=${COMPOSE}`, '--label', `com.docker.compose.service=${service}`,
      ...more, IMAGE,
    ); // prettier-ignore
  run(web, 'web', '--env', 'PASSWORD=swordfish', '--memory', '64m', '--hostname', 'front', '--restart', 'unless-stopped');
  run(db, 'db');
  run(task, 'task', '--label', 'com.docker.swarm.task.id=t1');
  docker('stop', '--time', '1', db);
  untouched = [facts(web), facts(db)];
  page = await as(TOKEN);
});
after(async () => {
  docker('rm', '--force', web, db, task);
  await (await browser()).close();
  assert.deepEqual(open.complaints, []);
});

test('where nothing is yet, what runs already is one step away', async () => {
  await page.goto(BASE_URL + '/');
  await page.getByRole('heading', { name: 'No project yet' }).waitFor();
  await shot(page, 'adopt-empty');
  await page.getByRole('link', { name: 'Take over what runs already' }).click();
  await page.getByRole('heading', { name: 'Foreign containers', level: 1 }).waitFor();
  await page.goto(BASE_URL + '/projects');
  await page.getByRole('link', { name: 'Take over what runs already' }).waitFor();
  await page.goto(BASE_URL + '/hosts');
  await page.getByRole('link', { name: 'Foreign containers' }).click();
  await page.getByRole('heading', { name: 'Foreign containers', level: 1 }).waitFor();
});

test('foreign containers are listed by compose project, with what is known of their age', async () => {
  await page.getByRole('searchbox', { name: 'Filter containers' }).fill(COMPOSE);
  await row(web).getByText('Running').waitFor();
  await row(db)
    .getByText(/Exited|Failed/)
    .waitFor();
  await row(db)
    .getByText(/last alive/)
    .waitFor();
  await row(web).getByText(`would go to ${COMPOSE}-web/production`).waitFor();
  await eventually(async () => assert.match(page.url(), new RegExp(`q=${COMPOSE}`), 'the address holds the filter'));
  assert.equal(await page.getByText('swordfish').count(), 0);
});

test('a host that cannot be asked is named, and is not taken for an empty one', async () => {
  const away = await api('POST', '/api/hosts', { name: 'away', endpoint: 'tcp://127.0.0.1:1', plain: true, untested: true });
  await button('Look again').click();
  await page.getByText(/away was not asked, so nothing is known of what is on it/).waitFor();
  await shot(page, 'adopt-away');
  await api('DELETE', `/api/hosts/${away.id}`);
});

test('all of a compose project: where to, what it means, and only then it is done', async () => {
  await page.goto(`${BASE_URL}/hosts/foreign`);
  await row(web).waitFor();
  await button(`Adopt all 2… of ${COMPOSE}`).click();
  const one = dialog().getByRole('group', { name: db });
  await one.getByLabel('Stage', { exact: true }).fill('Not A Stage');
  await button('Show what that means').click();
  await one.getByText(/must be 1 to 63 of a-z/).waitFor();
  await dialog()
    .getByRole('alert')
    .getByText(/nothing was done/)
    .waitFor();
  await one.getByLabel('Stage', { exact: true }).fill('staging');
  await one.getByLabel('Kind, if the stage is new').selectOption({ label: 'Staging' });
  await shot(page, 'adopt-where');
  await button('Show what that means').click();
  await dialog().getByRole('heading', { name: 'What adopting means' }).waitFor();
  await dialog().getByText('Nothing on the engine is changed', { exact: false }).first().waitFor();
  await dialog().getByText('the host name "front"').waitFor();
  await dialog().getByText(`${task} is left out: it is a task of Docker Swarm`, { exact: false }).waitFor();
  await shot(page, 'adopt-left-out');
  assert.equal((await api('GET', '/api/projects')).items.length, 0, 'to look must make nothing');
  await button('Adopt 2 containers').click();
  await dialog().getByRole('heading', { name: '2 containers adopted' }).waitFor();
  await dialog().getByText(`${task} is left out`, { exact: false }).waitFor();
  await shot(page, 'adopt-done');
  assert.deepEqual([facts(web), facts(db)], untouched, 'nothing on the engine is changed');
  await dialog()
    .getByRole('link', { name: `Open ${web}` })
    .click();
  await page.getByRole('heading', { name: web, level: 1 }).waitFor();
  await page.getByText('adopted', { exact: true }).waitFor();
});

test('it is given back from its page, and is foreign again, untouched', async () => {
  await button(`Actions for ${web}`).click();
  await page.getByRole('menuitem', { name: 'Give back…' }).click();
  await dialog()
    .getByText(/forgets this container and does not touch it/)
    .waitFor();
  await eventually(async () => assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Cancel'));
  await shot(page, 'adopt-give');
  await button('Give back').click();
  await page.getByText(`${web} was given back, untouched`).waitFor();
  await page.goto(`${BASE_URL}/hosts/foreign?q=${COMPOSE}`);
  await row(web).waitFor();
  await eventually(async () => assert.equal(await row(db).count(), 0, 'the other one is still ours'));
  assert.deepEqual([facts(web), facts(db)], untouched);
});

test('a viewer sees the list and can take nothing over', async () => {
  const { secret } = await api('POST', '/api/tokens', { name: 'looker', role: 'viewer' });
  const viewer = await as(secret);
  await viewer.goto(`${BASE_URL}/hosts/foreign?q=${COMPOSE}`);
  await viewer.getByText(web).waitFor();
  await viewer.getByText('An admin can adopt containers.').waitFor();
  assert.equal(await viewer.getByRole('button', { name: /^Adopt/ }).count(), 0);
  await viewer.context().close();
});

for (const theme of ['light', 'dark']) {
  test(`no barrier, ${theme}, also on a phone`, async () => {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    const clean = async (what) => assert.deepEqual((await new AxeBuilder(page).analyze()).violations, [], what);
    const sizes = { desktop: [1360, 850], phone: [390, 844], ...(theme === 'light' && { zoomed: [320, 640] }) };
    for (const [size, [width, height]] of Object.entries(sizes)) {
      await page.setViewportSize({ width, height });
      await page.goto(`${BASE_URL}/hosts/foreign?q=${COMPOSE}`);
      await row(web).waitFor();
      await clean(`the list, ${size}`);
      await shot(page, `adopt-list-${theme}-${size}`);
      await button(`Adopt… ${web}`).click();
      await dialog().getByLabel('Project').waitFor();
      await clean(`where to, ${size}`);
      await shot(page, `adopt-wizard-${theme}-${size}`);
      await button('Show what that means').press('Enter');
      await dialog().getByRole('heading', { name: 'What adopting means' }).waitFor();
      await clean(`what it means, ${size}`);
      await shot(page, `adopt-plan-${theme}-${size}`);
      await eventually(async () => {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${wide} px wide at ${width}`);
      });
      await page.keyboard.press('Escape');
      await dialog().waitFor({ state: 'detached' });
    }
  });
}
