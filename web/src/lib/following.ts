import type { Stage, TagRule } from './api/client';

/** How a stage follows its registry, as a form has it. */
export type Following = {
  kind: '' | TagRule['kind'];
  pattern: string;
  pre: boolean;
  order: '' | NonNullable<TagRule['order']>;
  ignore: string;
  minAge: string;
  poll: string;
  mode: Stage['mode'];
};

/** What a form shows of a stage; of none, what a new one begins with. */
export function followingOf(s: Stage | undefined): Following {
  return {
    kind: s?.tag_rule?.kind ?? '',
    pattern: s?.tag_rule?.pattern ?? '',
    pre: s?.tag_rule?.pre_releases ?? false,
    order: s?.tag_rule?.order ?? '',
    ignore: (s?.tag_rule?.ignore ?? []).join(' '),
    minAge: s && s.min_image_age !== '0s' ? s.min_image_age : '',
    poll: s?.poll_interval ?? '',
    mode: s?.mode ?? 'manual',
  };
}

/** The rule that a form says; null: the stage follows no tags. */
export function ruleOf(f: Following): TagRule | null {
  if (!f.kind) return null;
  const ordered = f.kind === 'glob' || f.kind === 'regex';
  const ignore = f.ignore.split(/[\s,]+/).filter(Boolean);
  return {
    kind: f.kind,
    pattern: f.pattern.trim(),
    ...(f.kind === 'semver' && f.pre ? { pre_releases: true } : {}),
    ...(ordered && f.order ? { order: f.order } : {}),
    ...(ignore.length ? { ignore } : {}),
  };
}

/** What a form says, for a change of a stage. */
export function followingChange(f: Following) {
  const tag_rule = ruleOf(f);
  return {
    tag_rule,
    mode: tag_rule ? f.mode : ('manual' as const),
    min_image_age: f.minAge.trim() || '0s',
    poll_interval: f.poll.trim() || null,
  };
}

/** What a form says, for a new stage. */
export function newFollowing(f: Following) {
  const { tag_rule, mode, min_image_age, poll_interval } = followingChange(f);
  return { tag_rule: tag_rule ?? undefined, mode, min_image_age, poll_interval: poll_interval ?? undefined };
}
