/** That no container is stale, or none is kept. */
export const nothing = {
  title: 'Nothing is stale',
  body: 'Every managed container has been alive within its threshold.',
  scanned: 'Scanned',
  next: 'next scan',
  neverScanned: 'No scan has been made yet.',
  kept: 'Nothing is kept',
  keptBody: 'Containers that are stale but pinned, or needed for a rollback, are listed here. No cleanup touches them.',
};
