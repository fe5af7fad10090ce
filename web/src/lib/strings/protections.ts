/** Why no cleanup touches a container. */
export const protections: Record<string, string> = {
  pinned: 'Pinned',
  snoozed: 'Snoozed',
  keep_label: 'Keep label',
  rollback: 'Kept for rollback',
  tag_gone: 'Tag gone from its registry',
};
