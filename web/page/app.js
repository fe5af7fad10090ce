// The front door: set-up, sign-in, what is stale and how we know, and the last events.

const $ = (selector, root = document) => root.querySelector(selector);
const main = $('#main');

async function api(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  const data = text === '' ? {} : JSON.parse(text);
  if (!answer.ok) {
    const fields = (data.errors ?? []).map((e) => `${e.location ?? ''} ${e.message ?? ''}`.trim()).join('; ');
    throw new Error([data.detail || data.title || answer.statusText, fields].filter(Boolean).join(': '));
  }
  return data;
}

function show(template) {
  main.replaceChildren($(template).content.cloneNode(true));
  main.focus();
}

function fail(root, err) {
  const line = $('.error', root);
  line.textContent = err.message;
  line.hidden = false;
}

// onSubmit sends a form's fields; the button says that it works meanwhile.
function onSubmit(form, send) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = $('button', form);
    button.disabled = true;
    try {
      await send(Object.fromEntries(new FormData(form)));
      await start();
    } catch (err) {
      fail(form, err);
    } finally {
      button.disabled = false;
    }
  });
}

function setup() {
  show('#setup-view');
  const form = $('form', main);
  form.elements.code.value = new URLSearchParams(location.hash.slice(1)).get('code') ?? '';
  onSubmit(form, async (fields) => {
    await api('POST', '/api/setup', fields);
    history.replaceState(null, '', '/');
  });
}

function login() {
  show('#login-view');
  onSubmit($('form', main), (fields) => api('POST', '/api/session', fields));
}

const units = [['year', 31536e6], ['month', 2592e6], ['week', 6048e5], ['day', 864e5], ['hour', 36e5], ['minute', 6e4], ['second', 1e3]];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

function ago(iso) {
  const delta = new Date(iso) - Date.now();
  const [unit, ms] = units.find(([, size]) => Math.abs(delta) >= size) ?? units.at(-1);
  return relative.format(Math.round(delta / ms), unit);
}

function timeOf(iso) {
  const el = document.createElement('time');
  if (!iso) {
    el.textContent = 'never';
    return el;
  }
  el.dateTime = iso;
  el.title = new Date(iso).toString();
  el.textContent = ago(iso);
  return el;
}

function cell(content, className = '') {
  const td = document.createElement('td');
  td.className = className;
  td.append(content);
  return td;
}

function chip(text) {
  const span = document.createElement('span');
  span.className = 'chip';
  span.textContent = text.replaceAll('_', ' ');
  return span;
}

function staleRow(item, role) {
  const tr = document.createElement('tr');
  const bound = item.upper_bound ? ' (at the latest)' : '';
  const kept = item.protection ? ` Kept: ${item.protection.kind.replaceAll('_', ' ')}.` : '';
  tr.append(
    cell(item.name),
    cell(`${item.project} / ${item.stage}`),
    cell(item.image_tag, 'tag'),
    cell(timeOf(item.last_alive_at)),
    cell(String(item.days_stale), 'num'),
    cell(chip(item.class)),
    cell(`${item.reason}${bound}${kept}`, 'why'),
  );
  if (role !== 'viewer' && !item.protection) {
    const button = document.createElement('button');
    button.textContent = 'Clean up…';
    button.addEventListener('click', () => planCleanup(item).catch((err) => fail(main, err)));
    tr.append(cell(button));
  } else {
    tr.append(cell(''));
  }
  return tr;
}

function facts(list, pairs) {
  list.replaceChildren();
  for (const [name, value] of pairs) {
    const dt = document.createElement('dt');
    dt.textContent = name;
    const dd = document.createElement('dd');
    dd.append(value);
    list.append(dt, dd);
  }
}

function bytes(n) {
  if (n === null || n === undefined || n < 0) return 'not known';
  const i = n === 0 ? 0 : Math.min(4, Math.floor(Math.log2(n) / 10));
  return `${(n / 1024 ** i).toFixed(i ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][i]}`;
}

async function planCleanup(item) {
  const path = `/api/containers/stale/${encodeURIComponent(item.id)}/cleanup`;
  const plan = await api('POST', path, { dry_run: true });
  const planned = plan.items[0];
  const dialog = $('#cleanup');
  $('h2', dialog).textContent = `Clean up ${item.name}`;
  facts($('dl', dialog), [
    ['Why', planned.reason],
    ['Last alive', timeOf(planned.last_alive_at)],
    ['Writable layer', bytes(planned.bytes)],
    ['Volumes that stay', (planned.volumes ?? []).join(', ') || 'none'],
    ['Routes that go', (planned.routes ?? []).join(', ') || 'none'],
  ]);
  $('.warnings', dialog).replaceChildren(...(planned.warnings ?? []).map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  $('.error', dialog).hidden = true;
  const [cancel, apply] = dialog.querySelectorAll('.buttons button');
  apply.textContent = 'Remove 1 container';
  apply.disabled = false;
  cancel.onclick = () => dialog.close();
  apply.onclick = async () => {
    apply.disabled = true;
    try {
      const done = await api('POST', path, { plan_id: plan.id });
      const result = done.items[0];
      if (result.result !== 'removed' && result.result !== 'already_gone') {
        throw new Error(`Left alone: ${result.result}. ${result.result_detail ?? ''}`);
      }
      dialog.close();
      await refresh();
    } catch (err) {
      fail(dialog, err);
    }
  };
  dialog.showModal();
}

function eventLine(event) {
  const li = document.createElement('li');
  li.className = event.severity === 'error' ? 'error-line' : event.severity;
  const severity = document.createElement('span');
  severity.className = 'severity';
  severity.textContent = event.severity;
  const text = document.createElement('span');
  text.textContent = event.message;
  li.append(timeOf(event.time), severity, text);
  return li;
}

let session;

async function refresh() {
  const [stale, events, settings] = await Promise.all([
    api('GET', '/api/containers/stale?limit=100'),
    api('GET', '/api/events?limit=20'),
    api('GET', '/api/settings'),
  ]);
  $('tbody', main).replaceChildren(...stale.items.map((item) => staleRow(item, session.role)));
  $('table', main).hidden = stale.items.length === 0;
  $('.empty', main).hidden = stale.items.length > 0;
  $('#summary').textContent = `Managed containers not alive for more than ${settings.stale_threshold_days} days, or the threshold of their stage. ${stale.total ?? stale.items.length} found.`;
  $('#events').replaceChildren(...events.items.map(eventLine));
}

async function health() {
  const answer = await fetch('/readyz');
  const data = await answer.json().catch(() => ({}));
  const reasons = (data.checks ?? []).filter((c) => !c.ok).map((c) => [c.name, c.detail, c.hint].filter(Boolean).join(': '));
  const banner = $('#banner');
  banner.hidden = answer.ok;
  banner.textContent = reasons.length ? reasons.join(' · ') : 'Not ready.';
}

async function overview() {
  show('#stale-view');
  $('#who').textContent = `${session.name} · ${session.role}`;
  const signout = $('#signout');
  signout.hidden = false;
  signout.onclick = async () => {
    await api('DELETE', '/api/session');
    location.assign('/');
  };
  const scan = $('#scan');
  scan.hidden = session.role === 'viewer';
  scan.onclick = async () => {
    scan.disabled = true;
    $('.error', main).hidden = true;
    try {
      await api('POST', '/api/containers/stale/scan');
    } catch (err) {
      fail(main, err);
    } finally {
      scan.disabled = false;
      await refresh();
    }
  };
  await refresh();
  follow();
}

// follow reads the live stream; a burst of events is one refresh.
function follow() {
  let due;
  const stream = new EventSource('/api/events/stream');
  const soon = () => {
    clearTimeout(due);
    due = setTimeout(() => refresh().catch((err) => fail(main, err)), 300);
  };
  stream.addEventListener('event', soon);
  stream.onmessage = soon;
}

async function start() {
  health().catch(() => {});
  session = await api('GET', '/api/session');
  if (session.state === 'setup') return setup();
  if (session.state === 'anonymous') return login();
  return overview();
}

setInterval(() => health().catch(() => {}), 15000);
start().catch((err) => {
  main.replaceChildren(Object.assign(document.createElement('p'), { className: 'error', textContent: `${err.message}. Reload the page to try again.` }));
});
