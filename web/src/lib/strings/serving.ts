export const serving = {
  registries: 'Registries',
  poll: 'Ask registries every',
  pollHelp:
    'How often they are asked for the tags of stages that follow one, where the stage does not say it itself. From 30s to 7d, such as 5m.',
  routes: 'Routes',
  trusted: 'Trusted proxies',
  trustedHelp:
    'Only who comes from these addresses and networks, one a line, is believed when it says for which client it asks (X-Forwarded-For). Name the proxies before this one, and nobody else.',
  refused: 'Refused targets',
  refusedHelp:
    'Addresses and networks, one a line, that no route may lead to, such as 10.0.0.0/8. Link-local and metadata addresses are refused in any case.',
};
