// Pictures of users, accounts, tokens and the identity provider.
import { createHmac } from 'node:crypto';
import { context } from './lib.mjs';
import { chosen, get, password, post } from './pictures_lib.mjs';

const { BASE_URL } = process.env;

export const names = [
  'users',
  'user-invite',
  'user-link',
  'user-sessions',
  'user-disable',
  'tokens',
  'token-made',
  'account',
  'second-factor',
  'recovery-codes',
  'identity-provider',
  'identity-provider-rules',
  'password-link',
  'sign-in-code',
];

const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/604.1';
const laptop = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0';

/** What an authenticator shows now. */
export function codeOf(secret) {
  let bits = '';
  for (const c of secret) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** The browser of somebody who has signed in. */
async function signedIn(name, userAgent, code) {
  const made = await context(BASE_URL, userAgent ? { userAgent } : {});
  const answer = await made.request.post('/api/session', { data: { name, password, code } });
  if (!answer.ok()) throw new Error(await answer.text());
  return made;
}

export async function screens(anna) {
  const { bert, link } = await people();
  let codes = await withFactor(anna);
  await signedIn('anna', phone, codes.shift());
  await signedIn('anna', laptop, codes.shift());
  const asked = async (page) => {
    await page.goto(`${BASE_URL}/settings/account`);
    await page.getByRole('button', { name: 'New recovery codes' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Code that it shows').fill(codes[0]);
    await dialog.getByRole('button', { name: 'New recovery codes' }).click();
    await dialog.getByText('Your recovery codes').waitFor();
    codes = await dialog.getByRole('listitem').allTextContents();
  };
  const stranger = () => context(BASE_URL);
  return {
    users: ['/settings/users'],
    'user-invite': ['/settings/users', invited],
    'user-link': ['/settings/users', chosen('dora', 'Make a password link')],
    'user-sessions': ['/settings/users', chosen('bert', 'Sessions')],
    'user-disable': ['/settings/users', chosen('bert', 'Disable')],
    tokens: ['/settings/tokens'],
    'token-made': ['/settings/tokens', makeToken],
    account: ['/settings/account'],
    'second-factor': ['/settings/account', factor, bert],
    'recovery-codes': ['/settings/account', asked],
    'identity-provider': ['/settings/provider', (page) => page.getByLabel('Issuer').waitFor()],
    'identity-provider-rules': [
      '/settings/provider',
      (page) =>
        page
          .getByText('Who may come in')
          .last()
          .evaluate((e) => e.scrollIntoView()),
    ],
    'password-link': [link, undefined, await stranger()],
    'sign-in-code': ['/', passed, await stranger()],
  };
}

async function people() {
  const projects = (await get('/api/projects')).items;
  const id = (name) => projects.find((p) => p.name === name).id;
  await post('PUT', '/api/identity-provider', {
    enabled: true,
    label: 'Acme',
    issuer: 'https://id.acme.dev/realms/staff',
    client_id: 'docker-watcher',
    client_secret: 'of a provider that is not there',
    external_url: 'https://watcher.acme.dev',
    scopes: ['groups'],
    allowed_groups: ['ops', 'developers'],
    auto_create: true,
    rules: [
      { group: 'ops', role: 'admin' },
      { group: 'developers', role: 'viewer' },
      { group: 'checkout-team', role: 'operator', project_id: id('checkout-api') },
    ],
  });
  const grants = [
    { project_id: id('storefront'), role: 'operator' },
    { project_id: id('docs-site'), role: 'viewer' },
  ];
  await post('POST', '/api/users', { name: 'bert', role: 'operator', password });
  await post('POST', '/api/users', { name: 'carla', role: 'none', grants, password });
  const dora = await post('POST', '/api/users', { name: 'dora', role: 'viewer' });
  const emil = await post('POST', '/api/users', { name: 'emil', role: 'viewer', password });
  await post('POST', '/api/users', { name: 'frida', role: 'viewer', by_provider: true });
  await post('POST', `/api/users/${emil.id}/disable`);
  const day = 86_400_000;
  await post('POST', '/api/tokens', { name: 'ci', role: 'operator', expires_at: new Date(Date.now() + 90 * day).toISOString() });
  const grafana = await post('POST', '/api/tokens', { name: 'grafana', role: 'viewer' });
  await fetch(`${BASE_URL}/api/projects`, { headers: { authorization: `Bearer ${grafana.secret}` } });
  await signedIn('carla', laptop);
  await signedIn('bert', phone);
  return { bert: await signedIn('bert'), link: `${BASE_URL}/password#code=${dora.link_code}` };
}

/** Sets the second factor of a browser's user up; its recovery codes. */
async function withFactor(who) {
  const offer = await (await who.request.post('/api/me/second-factor', { data: { current_password: password } })).json();
  const answer = await who.request.post('/api/me/second-factor/confirm', { data: { code: codeOf(offer.secret) } });
  if (!answer.ok()) throw new Error(await answer.text());
  return (await answer.json()).codes;
}

async function invited(page) {
  await page.getByRole('button', { name: 'Add a user' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('Gustav K');
  await dialog.getByLabel('In all projects').selectOption('none');
  await dialog.getByLabel('In checkout-api').selectOption('operator');
  await dialog.getByRole('button', { name: 'Add user' }).click();
  await dialog.getByText(/a name is 1 to 63/).waitFor();
}

async function makeToken(page) {
  await page.getByRole('button', { name: 'Make a token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill(`backup-${Math.floor(performance.now())}`);
  await dialog.getByRole('button', { name: 'Make token' }).click();
  await page.getByText('This is shown once').waitFor();
}

async function factor(page) {
  await page.getByRole('button', { name: 'Set up' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Password').fill(password);
  await dialog.getByRole('button', { name: 'Next' }).click();
  await dialog.getByRole('img').waitFor();
}

async function passed(page) {
  await page.getByLabel('Name').fill('anna');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByLabel('Code of your second factor').waitFor();
}
