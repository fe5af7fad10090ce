/** How well `query` is found in `text`, letter by letter in order; 0: not at all. Letters in a row and short texts count more. */
export function score(text: string, query: string): number {
  let found = 0;
  let run = 0;
  let points = 0;
  for (const letter of text.toLowerCase()) {
    if (letter !== query[found]) {
      run = 0;
      continue;
    }
    found++;
    run++;
    points += run * 2;
    if (found === query.length) return points + 20 - Math.min(10, text.length / 10);
  }
  return 0;
}

/** Those of a list in which the query is found, best first. */
export function rank<T>(list: T[], query: string, text: (x: T) => string): T[] {
  const q = query.toLowerCase().replace(/\s+/g, '');
  return list
    .map((x) => ({ x, points: score(text(x), q) }))
    .filter((s) => s.points > 0)
    .sort((a, b) => b.points - a.points)
    .map((s) => s.x);
}
