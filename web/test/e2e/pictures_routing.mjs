// Pictures of routes, certificates and the proxies of others.
import { createServer, request } from 'node:http';
import { readFileSync } from 'node:fs';
import { chosen, firstAdmin, get, post, until } from './pictures_lib.mjs';

const { PAIRS, CADDY_URL, CADDY_LINK, CADDY_TARGET, TRAEFIK_URL, TRAEFIK_LINK, TRAEFIK_TOKEN } = process.env;

export const names = [
  'routes',
  'routes-leftovers',
  'routes-import',
  'route-sheet',
  'route-test',
  'certificates',
  'certificate-upload',
  'certificate-authority',
  'driver-caddy',
  'driver-traefik',
];

export async function screens() {
  await routes();
  const [caddy, traefik] = [await byCaddy(), await byTraefik()];
  const section = (page) => page.getByRole('region', { name: 'Certificates' });
  return {
    routes: ['/routes'],
    'routes-leftovers': ['/routes', (page) => page.getByRole('button', { name: 'Show them' }).click()],
    'routes-import': ['/routes', importing],
    'route-sheet': ['/routes', mistaken],
    'route-test': ['/routes', tested],
    certificates: ['/routes', (page) => section(page).evaluate((s) => s.scrollIntoView({ block: 'start' }))],
    'certificate-upload': ['/routes', upload],
    'certificate-authority': [
      '/routes',
      async (page) => {
        await section(page).getByRole('button', { name: 'Authority' }).click();
        await page.getByRole('dialog').getByLabel('E-mail').waitFor();
      },
    ],
    'driver-caddy': [`${CADDY_URL}/routes`, (page) => page.getByText('Somebody else changed').waitFor({ timeout: 40_000 }), caddy],
    'driver-traefik': [`${TRAEFIK_URL}/routes`, (page) => page.getByText('Fetched').waitFor(), traefik],
  };
}

/** A server that says who it is, as something that somebody runs beside docker-watcher does. */
const something = () =>
  new Promise((ready) => {
    const server = createServer((_, answer) => answer.end('here\n')).unref();
    server.listen(0, '127.0.0.1', () => ready(`http://127.0.0.1:${server.address().port}`));
  });

async function routes() {
  const target = await something();
  await post('PUT', '/api/certificates/own/wiki', {
    chain: readFileSync(`${PAIRS}/wiki.pem`, 'utf8'),
    key: readFileSync(`${PAIRS}/wiki.key`, 'utf8'),
  });
  await post('PUT', '/api/certificate-authorities/acme', {
    email: 'ops@acme.dev',
    directory: 'https://127.0.0.1:1/directory',
    roots: '',
    eab_key_id: '',
  });
  const health = { path: '/', interval: '1s' };
  for (const proxy of [
    { domains: ['grafana.acme.internal'], targets: [target], tls: 'internal', health_check: health },
    { domains: ['nas.acme.internal'], targets: [target, 'http://127.0.0.1:1'], health_check: health },
    { domains: ['shop.acme.dev'], targets: [target], tls: 'auto' },
    { domains: ['status.acme.dev'], targets: ['http://10.0.0.7:3000'], enabled: false },
    {
      domains: ['wiki.example.com'],
      targets: [target],
      tls: 'own',
      certificate: 'wiki',
      redirect_https: true,
      notes: 'until it is adopted',
    },
  ])
    await post('POST', '/api/proxies', proxy);
  const stages = await get('/api/stages?project=storefront');
  const production = stages.items.find((s) => s.name === 'production').id;
  await post('POST', '/api/routes', { stage_id: production, port: 8080, domains: ['storefront.acme.internal'], tls: 'internal' });
  const [stale] = (await get('/api/containers/stale?project=checkout-api&sort=-bytes&limit=1')).items;
  const old = { stage_id: stale.stage_id, instance_id: stale.id, port: 8080, domains: ['fair.checkout.acme.dev'], notes: 'the fair' };
  await post('POST', '/api/routes', old);
  for (const [host, times] of [
    ['grafana.acme.internal', 7],
    ['nas.acme.internal', 3],
    ['fair.checkout.acme.dev', 1],
  ])
    for (let n = 0; n < times; n++) await through(host);
  await until('/api/certificates', ({ items }) => items.some((c) => c.trouble) && items.filter((c) => c.state === 'valid').length > 1);
  await until('/api/proxies', ({ items }) => items.some((p) => p.health?.targets.some((t) => t.state === 'down')));
}

/** One request to a domain. */
async function through(host) {
  const [hostname, port] = (await get('/api/routing')).listen.split(':');
  await new Promise((done, failed) => {
    request({ hostname, port, headers: { host } }, (answer) => answer.resume().on('end', done))
      .on('error', failed)
      .end();
  });
}

async function mistaken(page) {
  await page.getByRole('button', { name: 'Add proxy' }).click();
  const sheet = page.getByRole('dialog');
  await sheet.getByLabel('Domains').fill('*.acme.dev');
  await sheet.getByLabel('Targets').fill('http://169.254.169.254/latest');
  await sheet.getByRole('button', { name: 'Add proxy' }).click();
  await sheet.getByRole('alert').first().waitFor();
}

async function tested(page) {
  await chosen('nas.acme.internal', 'Edit')(page);
  await page.getByRole('button', { name: 'Test' }).click();
  await page.getByText('Not all targets answer').waitFor();
}

async function importing(page) {
  const doc = await get('/api/proxies/export');
  doc.proxies.find((p) => p.domains[0] === 'wiki.example.com').notes = 'moves to the new cluster';
  doc.proxies.push(
    { domains: ['tickets.acme.dev'], targets: ['http://10.0.0.9:8080'] },
    { domains: ['meta.acme.dev'], targets: ['http://169.254.169.254'] },
  );
  await page.getByRole('button', { name: 'Import' }).click();
  await page.getByLabel('Document').fill(JSON.stringify(doc, null, 2));
  await page.getByRole('button', { name: 'Look at it' }).click();
  await page.getByText('Nothing is imported while').waitFor();
}

async function upload(page) {
  await page.getByRole('button', { name: 'Upload a certificate' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('tickets');
  await dialog.getByLabel('Choose a file: Certificate and chain').setInputFiles(`${PAIRS}/wiki.pem`);
  await dialog.getByLabel('Choose a file: Private key').setInputFiles(`${PAIRS}/other.key`);
  await dialog.getByRole('button', { name: 'Upload' }).click();
  await dialog.getByText('not the key').waitFor();
}

/** A daemon whose routes a Caddy serves, which somebody else has changed. */
async function byCaddy() {
  const anna = await firstAdmin(CADDY_URL, CADDY_LINK);
  const proxy = { domains: ['wiki.acme.dev'], targets: [`http://${CADDY_TARGET}`] };
  await post('POST', '/api/proxies', proxy, CADDY_URL);
  await until('/api/routing', (r) => r.state === 'in_step', CADDY_URL);
  await fetch(process.env.CADDY_TURN, { method: 'POST' });
  return anna;
}

/** A daemon from which a Traefik fetches. */
async function byTraefik() {
  const anna = await firstAdmin(TRAEFIK_URL, TRAEFIK_LINK);
  const ask = () =>
    fetch(`${TRAEFIK_URL}/api/proxy/traefik`, {
      headers: { authorization: `Bearer ${TRAEFIK_TOKEN}`, 'user-agent': 'Go-http-client/1.1' },
    });
  await ask();
  setInterval(() => void ask().catch(() => {}), 2000).unref();
  const proxy = { domains: ['wiki.acme.dev'], targets: ['http://10.0.0.7:3000'], notes: 'until it is adopted' };
  await post('POST', '/api/proxies', proxy, TRAEFIK_URL);
  await until('/api/routing', (r) => r.state === 'in_step', TRAEFIK_URL);
  return anna;
}
