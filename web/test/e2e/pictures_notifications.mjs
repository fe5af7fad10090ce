// Pictures of channels, rules and the outbox.
import { createServer } from 'node:http';
import { chosen, get, post, until } from './pictures_lib.mjs';

export const names = [
  'notifications',
  'notification-channel',
  'notification-rules',
  'notification-rule',
  'notification-preview',
  'notification-outbox',
  'notification-message',
];

export async function screens() {
  const inbox = await channels();
  return {
    notifications: ['/notifications'],
    'notification-channel': ['/notifications', (page) => drafted(page, inbox)],
    'notification-rules': ['/notifications/rules'],
    'notification-rule': ['/notifications/rules', chosen('nights', 'Edit')],
    'notification-preview': ['/notifications/rules', chosen('troubles', 'Preview')],
    'notification-outbox': ['/notifications/outbox'],
    'notification-message': [
      '/notifications/outbox',
      async (page) => {
        await page.getByRole('row').filter({ hasText: 'Given up' }).first().getByRole('button').click();
        await page.getByRole('dialog').getByText('It was given up').waitFor();
      },
    ],
  };
}

/** A webhook that answers always the same. */
const answering = (status, words) =>
  new Promise((ready) => {
    const server = createServer((asked, answer) => asked.resume().on('end', () => answer.writeHead(status).end(words))).unref();
    server.listen(0, '127.0.0.1', () => ready(`http://127.0.0.1:${server.address().port}/hooks/of-the-team`));
  });

async function channels() {
  const [inbox, refusing] = [await answering(200, 'thanks'), await answering(400, 'no such channel')];
  const templated = {
    title: 'acme: {{.Count}} to look at',
    body: '{{range .Events}}{{.Severity}}{{with .Project}} {{.}}{{end}}: {{.Message}}\n{{end}}',
  };
  const made = [];
  for (const channel of [
    { name: 'ops', url: inbox, ...templated },
    { name: 'pager', url: refusing },
    { name: 'phone', url: 'ntfy://127.0.0.1:1/acme-alerts?scheme=http' },
    { name: 'weekly', url: 'smtp://watcher:secret@mail.acme.dev:587/?from=watcher@acme.dev&to=team@acme.dev', enabled: false },
  ])
    made.push(await post('POST', '/api/notifications/channels', channel));
  for (const rule of [
    { name: 'troubles', channels: ['ops', 'pager'], severities: ['warn', 'error'], kinds: ['deploy.*', 'instance.*'], gather_minutes: 0 },
    {
      name: 'nights',
      channels: ['phone'],
      severities: ['error'],
      kinds: ['deploy.*', 'instance.stale'],
      projects: ['checkout-api', 'storefront'],
      gather_minutes: 15,
      quiet: { from: '22:00', to: '07:00', zone: 'Europe/Berlin' },
    },
    { name: 'weekly', channels: ['weekly'], severities: [], gather_minutes: 10080, gather_errors: true },
  ])
    await post('POST', '/api/notifications/rules', rule);
  await post('POST', `/api/notifications/channels/${made[0].id}/test`);
  await post('POST', `/api/notifications/channels/${made[2].id}/test`);
  for (const project of ['storefront', 'checkout-api']) {
    const stages = (await get(`/api/stages?project=${project}`)).items;
    await post('POST', `/api/stages/${stages.find((s) => s.name === 'staging').id}/deploys`, { tag: 'not-pushed-yet' });
  }
  await until('/api/notifications/outbox', ({ items }) => ['sent', 'dead'].every((s) => items.some((m) => m.state === s)));
  await until('/api/notifications/channels', ({ items }) => items.find((c) => c.name === 'phone').failing_since);
  return inbox;
}

async function drafted(page, inbox) {
  await page.getByRole('button', { name: 'Add channel' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Kind').selectOption({ label: 'Webhook' });
  await dialog.getByLabel('Name').fill('dashboard');
  await dialog.getByLabel('URL').fill(inbox);
  await dialog.getByText('Templates', { exact: true }).click();
  await dialog.getByLabel('Title').fill('acme: {{.Count}} to look at');
  await dialog.getByRole('button', { name: 'Preview' }).click();
  await dialog.getByRole('region', { name: 'Preview of the message' }).waitFor();
  await dialog.getByRole('button', { name: 'Send a test message' }).click();
  await dialog.getByText('It took the message').waitFor();
}
