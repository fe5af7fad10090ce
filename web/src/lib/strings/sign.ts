export const sign = {
  title: 'Sign in to docker-watcher',
  again: 'Your session has ended. Sign in to go on; nothing you typed is lost.',
  name: 'Name',
  password: 'Password',
  show: 'Show the password',
  hide: 'Hide the password',
  submit: 'Sign in',
  by: (label: string) => `Sign in with ${label}`,
  or: 'or',
  code: 'Code of your second factor',
  codeHelp: 'Six digits of your authenticator, or a recovery code.',
  lost: 'Password lost? An admin can make you a link; on the machine itself: server user reset NAME',
};

export const newPassword = {
  tooShort: (n: number) => `${n} more ${n === 1 ? 'character' : 'characters'}.`,
};

export const setup = {
  title: 'Set up docker-watcher',
  heading: 'Create the admin account',
  intro:
    'This page opens once. No default password exists. The setup link, with its code, is in the log of the daemon; it proves that you run it.',
  code: 'Setup code',
  codeFilled: 'Taken from the link that you opened.',
  name: 'Name',
  password: 'Password',
  passwordHelp: '12 characters or more. Password managers and pasting are welcome.',
  submit: 'Make admin and sign in',
  done: 'Somebody has set it up already.',
};
