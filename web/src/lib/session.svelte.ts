import { getSession, onSignedOut, signOut, type Role, type Session } from './api/client';
import { stream } from './live/stream.svelte';

const rank: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Who looks at the page. */
class Who {
  now = $state.raw<Session | null>(null);
  /** The session ended while the page was in use: it stays, with a sign-in over it. */
  lost = $state(false);

  get name() {
    return this.now?.name ?? '';
  }

  get role(): Role {
    return this.now?.role ?? 'viewer';
  }

  /** Whether a role is enough for what needs another. */
  can(needed: Role): boolean {
    return rank[this.role] >= rank[needed];
  }

  async load() {
    this.take(await getSession());
  }

  take(s: Session) {
    this.now = s;
    if (s.state === 'user') {
      this.lost = false;
      stream.start(s.version);
    } else stream.stop();
  }

  async leave() {
    await signOut();
    location.assign('/');
  }
}

export const who = new Who();

onSignedOut(() => {
  if (who.now?.state !== 'user' || who.lost) return;
  who.lost = true;
  stream.stop();
});
