import { shell } from './strings/common';
import { parts as words } from './strings/parts';
import { toast } from './toast.svelte';

// In the words of Chromium, Firefox and WebKit.
const missing = /dynamically imported module|importing a module script/i;

// Tells of a part of the page that could not be loaded: a newer docker-watcher has other files, and one that is away has none.
addEventListener('unhandledrejection', (e) => {
  if (!(e.reason instanceof TypeError && missing.test(e.reason.message))) return;
  e.preventDefault();
  toast({ tone: 'bad', title: words.missing, body: words.missingWhy, action: { label: shell.reload, run: () => location.reload() } });
});
