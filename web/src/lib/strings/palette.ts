export const palette = {
  label: 'Command palette',
  placeholder: 'Search projects, containers and actions',
  results: 'Results',
  noMatch: (q: string) => `No match for “${q}”.`,
  actions: 'Actions',
  projects: 'Projects',
  instances: 'Instances',
  scan: 'Scan for stale containers now',
  reviewStale: 'Review stale containers',
  newProject: 'Add a project',
  days: (n: number) => `${n} d`,
};
