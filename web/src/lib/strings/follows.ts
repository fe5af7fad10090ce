/** What a stage follows, in one line. */
export const follows = {
  follows: (kind: string, pattern: string) => (kind === 'moving' ? `follows ${pattern}` : `follows ${kind} ${pattern}`),
  readyTag: (tag: string) => `${tag} is ready`,
  blind: 'registry could not be asked',
};
