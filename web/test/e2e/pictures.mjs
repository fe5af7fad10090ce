// The pictures of docs/images: every screen in both themes and on a phone. With ALL_PICTURES also 4k, narrow, and as it prints.
import { execFileSync } from 'node:child_process';
import { browser, context, open } from './lib.mjs';
import * as access from './pictures_access.mjs';
import { chosen, firstAdmin, get, post } from './pictures_lib.mjs';
import * as notifications from './pictures_notifications.mjs';
import * as routing from './pictures_routing.mjs';

const { BASE_URL, FIRST_LINK, FRESH_URL, SETUP_LINK, SCREENSHOTS, ALL_PICTURES, ONLY } = process.env;

const idOf = async (query) => (await get(`/api/instances?${query}`)).items[0].id;
const alive = await idOf('project=checkout-api&stage=production&status=running');
const dead = (await get('/api/containers/stale?sort=-bytes&limit=1')).items[0];

const stageOf = async (project, name) => (await get(`/api/stages?project=${project}`)).items.find((s) => s.name === name).id;
const [dev, production, preview] = [
  await stageOf('checkout-api', 'dev'),
  await stageOf('checkout-api', 'production'),
  await stageOf('storefront', 'preview'),
];
const deployOf = async (stage, state) => (await get(`/api/stages/${stage}/deploys`)).items.find((d) => d.state === state).id;

// What somebody has set up by hand.
const depot = (await get('/api/projects')).items[0].image.split('/')[0];
await post('POST', '/api/registries', { name: 'depot', host: depot, plain_http: true });
await post('PATCH', `/api/stages/${await stageOf('checkout-api', 'staging')}`, {
  tag_rule: { kind: 'semver', pattern: '^4' },
  mode: 'notify',
});
const compose = `services:
  web:
    image: \${REGISTRY:-ghcr.io/acme}/wiki:1.4
    environment:
      DATABASE_URL: \${DATABASE_URL:?}
      LOG_LEVEL: info
    ports: ["8080:8080"]
    depends_on: [db]
    deploy:
      resources: { limits: { memory: 512M } }
  db:
    image: postgres:16
`;

const key = (k) => (page) => page.keyboard.press(k);
const select = async (page) => {
  for (const n of [0, 1, 2])
    await page
      .getByRole('checkbox', { name: /^Select (?!all)/ })
      .nth(n)
      .click();
};
const screens = {
  overview: ['/'],
  stale: ['/stale'],
  'stale-bulk': ['/stale', select],
  'stale-plan': [
    '/stale',
    async (page) => {
      await select(page);
      await page
        .getByRole('button', { name: /^Preview cleanup/ })
        .last()
        .click();
      await page.getByText('Nothing has been removed yet').first().waitFor();
    },
  ],
  'stale-details': ['/stale', (page) => page.keyboard.press('j').then(() => page.keyboard.press('Enter'))],
  kept: ['/stale?view=kept'],
  removed: ['/stale?view=removed'],
  events: ['/events'],
  projects: ['/projects'],
  project: ['/projects/checkout-api'],
  previews: ['/projects/storefront'],
  'deploy-dialog': [
    `/projects/checkout-api?deploy=${production}&tag=4.13.0`,
    (page) => page.getByRole('list', { name: 'Tags of the registry' }).waitFor(),
  ],
  'deploy-preview': [
    `/projects/storefront?deploy=${preview}&tag=pr-219`,
    (page) => page.getByRole('list', { name: 'Tags of the registry' }).waitFor(),
  ],
  rollback: [`/projects/checkout-api?rollback=${production}`, (page) => page.getByRole('radio').first().waitFor()],
  deploys: ['/projects/checkout-api?tab=deploys'],
  deploy: [`/deploys/${await deployOf(production, 'done')}`],
  'deploy-failed': [`/deploys/${await deployOf(dev, 'failed')}`],
  'deploy-diff': ['/projects/checkout-api', chosen('production', 'Compare with what runs')],
  'tag-rule': [
    '/projects/checkout-api',
    async (page) => {
      await chosen('staging', 'Edit')(page);
      await page.getByText('For this stage now:').waitFor();
      await page.getByLabel('Range').scrollIntoViewIfNeeded();
    },
  ],
  'compose-import': [
    '/projects/checkout-api',
    async (page) => {
      await chosen('checkout-api', 'Import from compose')(page);
      await page.getByRole('textbox', { name: 'Compose file' }).fill(compose);
      await page.getByRole('button', { name: 'Look at it' }).click();
      await page.getByText('has no value').first().waitFor();
    },
  ],
  logs: [`/instances/${alive}?tab=logs`],
  registries: ['/registries'],
  foreign: ['/hosts/foreign'],
  adopt: [
    '/hosts/foreign',
    async (page) => {
      await page.getByRole('button', { name: 'Adopt all 2… of wiki' }).click();
      await page.getByRole('button', { name: 'Show what that means' }).click();
      await page.getByRole('heading', { name: 'What adopting means' }).waitFor();
    },
  ],
  policies: ['/projects/storefront?tab=policies'],
  instance: [`/instances/${alive}`, (page) => page.waitForTimeout(ALL_PICTURES === 'quick' ? 100 : 20_000)],
  'instance-stale': [`/instances/${dead.id}`],
  reclaim: ['/reclaim'],
  hosts: ['/hosts'],
  'settings-general': ['/settings'],
  settings: ['/settings/stale'],
  palette: ['/', key('Control+k')],
  help: ['/', key('?')],
  operations: ['/operations'],
  'operations-backups': ['/operations/backups'],
  'operations-doctor': [
    '/operations/doctor',
    async (page) => {
      await page.getByRole('button', { name: 'Examine everything' }).click();
      await page.getByRole('button', { name: 'Examine again' }).waitFor();
    },
  ],
};
// What has run by itself on a machine that was not started this minute.
if (['operations', 'operations-backups', 'operations-doctor'].some((name) => !ONLY || ONLY.split(',').includes(name)))
  for (const job of ['backup', 'tag-check', 'archive-expiry', 'event-retention']) await post('POST', `/api/jobs/${job}/run`);

const strangers = { setup: SETUP_LINK, 'sign-in': BASE_URL + '/' };
const sizes = {
  desktop: { width: 1360, height: 850 },
  phone: { width: 390, height: 844 },
  huge: { width: 3840, height: 2160 },
};

const wanted = (name) => !ONLY || ONLY.split(',').includes(name);

async function settle(page) {
  await page.locator('main').first().waitFor();
  await page.locator('[aria-busy=true]').first().waitFor({ state: 'detached' });
  await page.waitForTimeout(400);
}

async function take(made, name, address, act, size, theme) {
  const page = await open(made);
  await page.setViewportSize(sizes[size]);
  await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
  await page.goto(address);
  await settle(page);
  await act?.(page);
  await page.waitForTimeout(400);
  const end = size === 'desktop' ? theme : size === 'phone' ? 'phone' : `4k-${theme}`;
  await page.screenshot({ path: `${SCREENSHOTS}/${name}-${end}.png`, animations: 'disabled' });
  return page;
}

/** Takes screens: each a path or an address, what is done there before, and the browser of who looks. */
async function takeAll(screens) {
  for (const [name, [path, act, who = known]] of Object.entries(screens).filter(([n]) => wanted(n))) {
    const address = new URL(path, BASE_URL).href;
    for (const theme of ['light', 'dark']) {
      const page = await take(who, name, address, act, 'desktop', theme);
      if (ALL_PICTURES && theme === 'light' && /^(overview|stale|events|instance|instance-stale|removed|project|reclaim)$/.test(name)) {
        await page.emulateMedia({ media: 'print' });
        await page.pdf({ path: `${SCREENSHOTS}/${name}.pdf`, format: 'A4' });
      }
      await page.close();
      if (ALL_PICTURES) await (await take(who, name, address, act, 'huge', theme)).close();
    }
    if (!['palette', 'help'].includes(name)) await (await take(who, name, address, act, 'phone', 'light')).close();
  }
}

const known = await firstAdmin(BASE_URL, FIRST_LINK);
await takeAll(screens);
// What needs more than the world has is set up once the others are taken, and only where it is wanted.
for (const more of [notifications, routing, access]) if (more.names.some(wanted)) await takeAll(await more.screens(known));
for (const [name, address] of Object.entries(strangers).filter(([n]) => wanted(n))) {
  const made = await context(name === 'setup' ? FRESH_URL : BASE_URL);
  for (const [size, theme] of [
    ['desktop', 'light'],
    ['desktop', 'dark'],
    ['phone', 'light'],
  ])
    await (await take(made, name, address, null, size, theme)).close();
}
await (await browser()).close();
if (open.complaints.length) {
  console.error(open.complaints.join('\n'));
  process.exit(1);
}
if (ALL_PICTURES)
  execFileSync('sh', [
    '-c',
    `cd "${SCREENSHOTS}" && for f in *.pdf; do command -v pdftoppm >/dev/null && pdftoppm -r 60 -png "$f" "print-\${f%.pdf}" || true; done`,
  ]);
process.exit(); // health checks hold connections open
