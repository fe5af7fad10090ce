export const notFound = {
  title: 'This page does not exist',
  body: 'The link may be old, or what it led to was removed.',
  action: 'Go to the overview',
};
