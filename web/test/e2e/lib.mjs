// The browser, and what flows need of it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { chromium } from 'playwright-core';

const { BROWSER, ENGINE, SCREENSHOTS, WAY } = process.env;

let launched;
export const browser = () =>
  (launched ??= chromium.launch({
    executablePath: BROWSER,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  }));

/** A browser of somebody else: no cookies, and everything that it asks of another host is held against the page. */
export async function context(base, options = {}) {
  const made = await (await browser()).newContext({ viewport: { width: 1360, height: 850 }, baseURL: base, ...options });
  made.setDefaultTimeout(45_000);
  made.on('request', (r) => {
    if (![base, ...ways].some((ours) => r.url().startsWith(ours)) && !/^(data|blob):/.test(r.url()))
      open.complaints.push(`asked ${r.url()}`);
  });
  return made;
}

export async function open(made) {
  const page = await made.newPage();
  page.on('pageerror', (e) => {
    // A page that is left lets go of what it was loading; a part that is missing is missed by the story.
    if (!/dynamically imported module/.test(e.message)) open.complaints.push(`page error: ${e.message}`);
  });
  page.on('console', (m) => {
    if (/Content Security Policy|Trusted Type/i.test(m.text())) open.complaints.push(m.text());
  });
  return page;
}
/** The page of anna, who is made the first admin by a link. */
export async function firstAdmin(base, link, options) {
  const page = await open(await context(base, options));
  await page.goto(link);
  await page.getByLabel('Name').fill('anna');
  await page.getByLabel('Password', { exact: true }).fill('a very secret password');
  await page.getByRole('button', { name: 'Make admin and sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  return page;
}
/** What the page did that it must never do. */
open.complaints = [];

export const docker = (...args) => execFileSync('docker', args, { env: { ...process.env, DOCKER_HOST: ENGINE }, encoding: 'utf8' });

/** The containers that are there. */
export const names = () =>
  docker('ps', '--all', '--filter', 'label=docker-watcher.project=page', '--format', '{{.Names}}').split('\n').filter(Boolean);

/** Tries until it holds, or tells why it did not in time. */
export async function eventually(holds, within = 60_000) {
  const end = Date.now() + within;
  for (;;) {
    try {
      return await holds();
    } catch (e) {
      if (Date.now() > end) throw e;
      await new Promise((again) => setTimeout(again, 250));
    }
  }
}

/** Keeps a picture where SCREENSHOTS names a folder. */
export async function shot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, animations: 'disabled' });
}

/** The other addresses by which the daemon is reached. */
const ways = [];

/** An address, beside the daemon's, that a browser may be sent to. */
export const known = (address) => ways.push(address);

/** A way to the daemon that can be cut, as a network is: there is one at a time, at an address that nobody else is given while it is cut. */
export async function wayTo(base) {
  const { hostname, port } = new URL(base);
  const url = `http://${WAY}`;
  const open = new Set();
  const way = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [end, other] of [
      [near, far],
      [far, near],
    ]) {
      open.add(end);
      end.on('error', () => other.destroy()).on('close', () => (open.delete(end), other.destroySoon()));
    }
    near.pipe(far).pipe(near);
  });
  const mend = () =>
    new Promise((ready, taken) => {
      const [host, at] = WAY.split(':');
      way.once('error', taken);
      way.listen(Number(at), host, () => (way.off('error', taken), ready()));
    });
  await mend();
  ways.push(url);
  return {
    url,
    cut: () =>
      new Promise((cut) => {
        way.close(cut);
        for (const end of open) end.destroy();
      }),
    mend,
  };
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** axe-core in the page's own frame, by the rules of WCAG 2.2 AA. */
export class AxeBuilder {
  constructor(page) {
    this.page = page;
  }
  async analyze() {
    await this.page.evaluate(axe);
    return this.page.evaluate(async () => {
      // It tells colours by where things stand: what is still being loaded would move them under its hands.
      const frame = () => new Promise((next) => requestAnimationFrame(next));
      const looks = () => document.querySelector('[class*=shimmer]') ?? document.documentElement.scrollHeight;
      for (let still = 0, last, until = Date.now() + 10_000; still < 3 && Date.now() < until; await frame()) {
        const now = looks();
        still = now === last && typeof now === 'number' ? still + 1 : 0;
        last = now;
      }
      const { violations } = await window.axe.run(document, {
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      });
      return { violations: violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`) };
    });
  }
}
