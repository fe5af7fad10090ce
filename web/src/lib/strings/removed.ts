import { count, plural } from '../format';

export const removed = {
  list: 'Removed containers',
  search: 'Filter by name, tag or image',
  holds: (n: number, bytes: string) => `${plural(n, 'container')} can be restored; their copies hold ${bytes}.`,
  none: 'Nothing was removed',
  noneBody: (days: number) => `What a cleanup removes is listed here for ${plural(days, 'day')}, and can be restored as it was.`,
  noMatch: 'No removed container matches',
  by: (who: string) => `by ${who.replace(/^(user|token):/, '').replace('system:auto', 'automatic cleanup')}`,
  removed: 'removed',
  left: (span: string) => `${span} left`,
  restored: 'restored',
  restoring: 'being restored',
  expired: 'undo has expired',
  withFiles: 'with its files',
  withoutFiles: 'without its own files',
  restore: 'Restore…',
  forget: 'Delete the copy…',
  forgetTitle: (name: string) => `Delete the copy of ${name}`,
  forgetBody: 'It can then not be restored any more. Its volumes stay.',
  forgetAction: 'Delete the copy',
  forgotten: (name: string) => `The copy of ${name} was deleted`,
  more: (n: number) => `Show ${count(n)} more`,
  page: 'Its events',
};

export const restore = {
  title: (name: string) => `Restore ${name}`,
  checking: 'Looking at what is there. Nothing is made yet.',
  dryRun: 'This is what comes back. Nothing has been made yet.',
  brings: 'Comes back',
  lacks: 'Does not come back',
  conflicts: 'In the way',
  noWay: 'Nothing here settles this. Mend it on the host first.',
  newName: 'Another name',
  choices: {
    any_port: 'Let the engine choose the host ports',
    make_networks: 'Make the networks that are gone anew, as plain bridges',
    skip_networks: 'Leave out the networks that are gone',
    empty_volumes: 'Go on with new, empty volumes where the old ones are gone',
    pull_image: 'Pull the image by its digest',
    skip_routes: 'Leave out the routes whose address is taken',
  } as Record<string, string>,
  start: 'Start it afterwards',
  submit: 'Restore',
  failed: 'It could not be restored',
  checkFailed: 'It could not be looked at',
  done: (name: string) => `${name} is back`,
  open: 'Open',
};

export const undo = {
  action: 'Undo',
  done: (n: number) => `${plural(n, 'container')} restored`,
  some: (n: number, all: number) => `${n} of ${all} restored`,
  someBody: 'The others are under Removed, where you can settle what is in the way.',
  failed: 'It could not be undone',
};
