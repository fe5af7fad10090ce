/** That there is no project yet. */
export const noProject = {
  title: 'No project yet',
  body: 'A project follows one image through its stages. Add the first one; what it deploys is watched from then on.',
  add: 'Add a project',
  adopt: 'Take over what runs already',
  viewer: 'An admin can add the first one.',
};
