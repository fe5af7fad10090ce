export const deploys = {
  label: 'Deploys',
  stage: 'Stage',
  allStages: 'All stages',
  state: 'State',
  anyState: 'Any state',
  states: { open: 'Under way', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', superseded: 'Superseded' } as Record<string, string>,
  columns: { state: 'State', tag: 'Image tag', stage: 'Stage', by: 'Asked for by', when: 'When', took: 'Took' },
  rollback: 'rollback',
  more: 'Show older ones',
  none: 'Nothing has been deployed yet.',
  noMatch: 'No deploy is in this state.',
  newest: (n: number) => `The newest ${n} of each stage. Choose a stage to see older ones.`,
};
