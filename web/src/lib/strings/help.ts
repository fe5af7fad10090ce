export const help = {
  singleKeys: 'Single-key shortcuts',
  singleKeysHelp: 'Turn off if you use speech input or a screen reader.',
};
