const browsers: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrom(e|ium)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];
const systems: [RegExp, string][] = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
];
const first = (list: [RegExp, string][], text: string) => list.find(([is]) => is.test(text))?.[1];

/** What people call a device by what its browser says of itself; what is no browser stays as it is. */
export function deviceOf(agent: string): string {
  const browser = first(browsers, agent);
  const system = first(systems, agent);
  return browser ? (system ? `${browser} on ${system}` : browser) : agent;
}
