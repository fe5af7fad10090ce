import { scanNow } from './api/stale';
import { scanWords } from './strings/scan';
import { scans, summary } from './summary.svelte';
import { attempt, toast } from './toast.svelte';

/** Looks at the hosts now, and says what came of it. */
export async function scan(): Promise<void> {
  await attempt(scanWords.scanFailed, async () => {
    const { items } = await scanNow();
    const blind = items.filter((s) => s.outcome === 'blind');
    const fresh = items.reduce((n, s) => n + s.newly_stale, 0);
    const total = items.reduce((n, s) => n + s.stale, 0);
    void scans.reload();
    void summary.reload();
    if (blind.length) toast({ tone: 'warn', title: scanWords.scanBlind, body: blind[0]!.error });
    else toast({ tone: 'ok', title: scanWords.scanDone, body: scanWords.scanResult(total, fresh) });
  });
}
