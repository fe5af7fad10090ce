export const parts = {
  missing: 'A part of this page could not be loaded',
  missingWhy: 'docker-watcher was updated meanwhile, or cannot be reached.',
};
