import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ApiError, type Settings, type SettingsChange } from '$lib/api/client';
import { carried } from '../../src/pages/settings/carried';
import { changed, formOf, ranges } from '../../src/pages/settings/form';
import { servingChange, servingMistakes, servingOf } from '../../src/pages/settings/serving';

/** The page that has each setting: one that the API gains needs one. */
const pages: Record<keyof SettingsChange, 'stale' | 'serving' | 'users'> = {
  stale_threshold_days: 'stale',
  scan_interval: 'stale',
  event_retention_days: 'stale',
  archive_retention_days: 'stale',
  plan_max_items: 'stale',
  mass_change_percent: 'stale',
  auto_cleanup: 'stale',
  auto_warm_up: 'stale',
  archive_layer_max_bytes: 'stale',
  poll_interval: 'serving',
  trusted_proxies: 'serving',
  refused_targets: 'serving',
  require_second_factor: 'users',
};
const schema = JSON.parse(readFileSync(join(process.cwd(), '../docs/openapi.json'), 'utf8')).components.schemas.SettingsChange;
const on = (page: string) => Object.entries(pages).flatMap(([name, at]) => (at === page ? [name] : []));

const now = {
  stale_threshold_days: 7,
  scan_interval: 'auto',
  event_retention_days: 90,
  archive_retention_days: 14,
  plan_max_items: 50,
  mass_change_percent: 50,
  auto_cleanup: false,
  auto_warm_up: '1h',
  archive_layer_max_bytes: 1 << 30,
  poll_interval: '5m',
  trusted_proxies: '10.0.0.0/8, 192.168.1.7/32',
  refused_targets: '',
} as Settings;

describe('every setting', () => {
  it('is on a page', () => {
    expect(Object.keys(pages).sort()).toEqual(
      Object.keys(schema.properties)
        .filter((n) => n !== '$schema')
        .sort(),
    );
  });
  it('of a page is sent by it when it differs, and by no other', () => {
    const other = { days: 1, interval: '1h', mass: 1, auto: true, warmUp: '2h', planMax: 1, archive: 1, layerMib: 1, events: 1 };
    expect(Object.keys(changed(now, other)).sort()).toEqual(on('stale').sort());
    expect(changed(now, formOf(now))).toEqual({});
    const serving = { poll_interval: '1h', trusted_proxies: '', refused_targets: '10.0.0.1' };
    expect(Object.keys(servingChange(now, serving)).sort()).toEqual(on('serving').sort());
    expect(servingChange(now, servingOf(now))).toEqual({});
  });
});

describe('a number', () => {
  it.each(Object.keys(ranges) as (keyof typeof ranges)[])('of %s may be what the API takes, and nothing beside', (k) => {
    for (const v of [ranges[k].min, ranges[k].max]) {
      const form = { ...formOf(now), [k]: v };
      const [[name, sent] = []] = Object.entries(changed(now, form));
      const { minimum, maximum } = schema.properties[name!];
      expect(sent).toBe(v === ranges[k].min ? minimum : maximum);
    }
  });
});

describe('lists of networks', () => {
  it('are one a line, and sent with commas', () => {
    expect(servingOf(now).trusted_proxies).toBe('10.0.0.0/8\n192.168.1.7/32');
    const form = { ...servingOf(now), trusted_proxies: '10.0.0.0/8\n\n  fd00::/8 , ::1\n' };
    expect(servingChange(now, form)).toEqual({ trusted_proxies: '10.0.0.0/8, fd00::/8, ::1' });
  });
  it('do not differ by how they are written', () => {
    expect(servingChange(now, { ...servingOf(now), trusted_proxies: '10.0.0.0/8 192.168.1.7/32' })).toEqual({});
  });
  it('have their mistakes beside them, and others above', () => {
    const told = (...at: string[]) =>
      servingMistakes(
        new ApiError(
          422,
          'invalid',
          'nothing was done',
          '',
          at.map((location) => ({ location, message: 'wrong' })),
        ),
      );
    expect(told('body.refused_targets', 'body.refused_targets', 'body.poll_interval')).toEqual({
      of: { refused_targets: 'wrong; wrong', poll_interval: 'wrong' },
      rest: '',
    });
    expect(told('body.colour').rest).toContain('nothing was done');
    expect(told().rest).toContain('nothing was done');
  });
});

describe('what somebody else changes meanwhile', () => {
  const serving = { of: servingOf, change: servingChange };
  const stale = { of: formOf, change: changed };

  it('is not sent back with what was typed here', () => {
    const typed = { ...servingOf(now), refused_targets: '10.9.0.0/16' };
    const theirs = { ...now, trusted_proxies: '172.16.0.0/12' };
    const form = carried(serving, now, theirs, typed);
    expect(form).toEqual({ ...servingOf(theirs), refused_targets: '10.9.0.0/16' });
    expect(servingChange(theirs, form)).toEqual({ refused_targets: '10.9.0.0/16' });
  });
  it('does not turn automatic cleanup on again', () => {
    const was = { ...now, auto_cleanup: true };
    const form = carried(stale, was, now, { ...formOf(was), days: 30 });
    expect(changed(now, form)).toEqual({ stale_threshold_days: 30 });
  });
  it('does not matter once for each of several changes', () => {
    const second = { ...now, auto_cleanup: true };
    const third = { ...second, plan_max_items: 9 };
    const form = carried(stale, second, third, carried(stale, now, second, { ...formOf(now), events: 30 }));
    expect(form).toEqual({ ...formOf(third), events: 30 });
  });
  it('shows where nothing was typed, and where only blanks were', () => {
    const theirs = { ...now, trusted_proxies: '172.16.0.0/12', auto_warm_up: '2h' };
    expect(carried(serving, now, theirs, { ...servingOf(now), trusted_proxies: '10.0.0.0/8\n192.168.1.7/32\n' })).toEqual(
      servingOf(theirs),
    );
    expect(carried(stale, now, theirs, { ...formOf(now), warmUp: '1h ' })).toEqual(formOf(theirs));
  });
  it('leaves alone what was typed over the same field, and a line that was just begun', () => {
    const theirs = { ...now, refused_targets: '10.1.0.0/16' };
    const typed = { ...servingOf(now), refused_targets: '10.2.0.0/16', trusted_proxies: '10.0.0.0/8\n192.168.1.7/32\n' };
    expect(carried(serving, now, theirs, typed)).toEqual(typed);
  });
  it('is no change any more when both wanted the same', () => {
    const theirs = { ...now, auto_cleanup: true };
    expect(changed(theirs, carried(stale, now, theirs, { ...formOf(now), auto: true }))).toEqual({});
  });
});
