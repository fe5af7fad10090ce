/** Which policy decided. */
export const decided = {
  level: { default: 'the built-in default', global: 'the general policy', project: 'its project', stage: 'the stage itself' } as Record<
    string,
    string
  >,
  from: (level: string) => `Decided by ${level}`,
};
