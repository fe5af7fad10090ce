import { describe, expect, it } from 'vitest';
import type { Channel, NotifyRule } from '$lib/api/notifications';
import { topicsOf } from '$lib/live/topics';
import { listed, stateOf, wantsOf, whenOf } from '$lib/notifications';

describe('how a channel does', () => {
  const channel = (edit: Partial<Channel>) =>
    stateOf({ enabled: true, failing_since: null, last_test: null, last_sent_at: null, ...edit } as Channel);
  const test = (minute: number, ok: boolean) => ({ at: `2026-11-29T12:0${minute}:00Z`, ok }) as Channel['last_test'];
  it('is not known before anything was sent', () => expect(channel({})).toBe('untried'));
  it('is well after a test or a message', () => {
    expect(channel({ last_test: test(1, true) })).toBe('ok');
    expect(channel({ last_sent_at: '2026-11-29T12:00:00Z' })).toBe('ok');
  });
  it('is not well after a test that failed, unless something was sent since', () => {
    expect(channel({ last_test: test(1, false) })).toBe('refused');
    expect(channel({ last_test: test(1, false), last_sent_at: '2026-11-29T12:02:00Z' })).toBe('ok');
    expect(channel({ last_test: test(3, false), last_sent_at: '2026-11-29T12:02:00Z' })).toBe('refused');
  });
  it('is no good sign that a message was given up', () => {
    expect(channel({ dead: 2 })).toBe('lost');
    expect(channel({ dead: 2, last_sent_at: '2026-11-29T12:00:00Z' })).toBe('lost');
    expect(channel({ dead: 2, failing_since: '2026-11-29T12:00:00Z' })).toBe('failing');
    expect(channel({ dead: 0, last_sent_at: '2026-11-29T12:00:00Z' })).toBe('ok');
  });
  it('is bad while nothing gets through, and off when it is off', () => {
    expect(channel({ failing_since: '2026-11-29T12:00:00Z', last_test: test(1, true) })).toBe('failing');
    expect(channel({ failing_since: '2026-11-29T12:00:00Z', enabled: false })).toBe('off');
  });
});

describe('a rule in words', () => {
  const rule = (edit: Partial<NotifyRule>) =>
    ({
      severities: [],
      kinds: [],
      sources: [],
      projects: [],
      gather_minutes: 0,
      gather_errors: false,
      quiet: null,
      ...edit,
    }) as unknown as NotifyRule;
  it('wants everything where nothing is said', () => expect(wantsOf(rule({}))).toBe('everything'));
  it('says what it wants', () =>
    expect(
      wantsOf(
        rule({
          severities: ['warn', 'error'],
          kinds: ['deploy.*'],
          sources: ['poller'],
          projects: [
            { id: 'p', name: 'shop' },
            { id: 'q', name: '' },
          ],
        }),
      ),
    ).toBe('warnings, errors; deploy.*; from poller; of shop, one that is gone'));
  it('says when', () => {
    expect(whenOf(rule({}))).toBe('at once');
    expect(whenOf(rule({ gather_minutes: 10_080, gather_errors: true }))).toBe('gathered for 7 days');
    expect(whenOf(rule({ gather_minutes: 120, gather_errors: true }))).toBe('gathered for 2 hours');
    expect(whenOf(rule({ gather_minutes: 90, gather_errors: true }))).toBe('gathered for 90 minutes');
    expect(whenOf(rule({ gather_minutes: 5 }))).toBe('gathered for 5 minutes, errors at once');
    expect(whenOf(rule({ gather_minutes: 1, gather_errors: true, quiet: { from: '22:00', to: '07:00' } }))).toBe(
      'gathered for 1 minute; quiet from 22:00 to 07:00 (UTC) but for errors',
    );
  });
  it('has lists that are typed in any way', () => {
    expect(listed(' deploy.*,  instance.stale\n')).toEqual(['deploy.*', 'instance.stale']);
    expect(listed('')).toEqual([]);
  });
  it('is out of date after a change of channels, rules or messages', () => {
    for (const kind of ['channel.failing', 'rule.updated', 'message.dead']) expect(topicsOf(kind)).toEqual(['notifications']);
  });
});
