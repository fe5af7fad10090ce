import { shell } from './strings/common';
import { toast } from './toast.svelte';

// In the words of Chromium, Firefox and WebKit.
const unloaded = /dynamically imported module|importing a module script/i;

/** Tells of a part of the page that could not be loaded: a newer docker-watcher has other files, and one that is away has none. */
export function tellUnloaded() {
  addEventListener('unhandledrejection', (e) => {
    if (!(e.reason instanceof TypeError && unloaded.test(e.reason.message))) return;
    e.preventDefault();
    toast({ tone: 'bad', title: shell.unloaded, body: shell.unloadedWhy, action: { label: shell.reload, run: () => location.reload() } });
  });
}
