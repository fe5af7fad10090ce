import { getSession, onSignedOut, signOut, type Role, type Session } from './api/client';
import { stream } from './live/stream.svelte';

const rank: Record<Role, number> = { none: -1, viewer: 0, operator: 1, admin: 2 };

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

  /** Sees all projects, and what belongs to none. */
  get wide(): boolean {
    return this.role !== 'none';
  }

  /** Whether the role, be it in one project only, is enough for what needs another. The server asks anew for each project. */
  can(needed: Role): boolean {
    return Math.max(rank[this.role], rank[this.now?.most ?? 'none']) >= rank[needed];
  }

  async load() {
    this.take(await getSession());
  }

  take(s: Session) {
    this.now = s;
    if (s.state === 'user' && !s.must_enrol) {
      this.lost = false;
      stream.start(s.version, s.last_event_id ?? '');
    } else stream.stop();
  }

  async leave() {
    const { go_on } = await signOut();
    location.assign(go_on || '/');
  }
}

export const who = new Who();

onSignedOut(() => {
  if (who.now?.state !== 'user' || who.lost) return;
  who.lost = true;
  stream.stop();
});
