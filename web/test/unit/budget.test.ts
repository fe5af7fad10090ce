import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

// The size of what a first visit fetches, by the manifest of the built page. `make web` builds it.
const dist = join(process.cwd(), 'dist');
const kb = 1000;

type Chunk = { file: string; imports?: string[]; isEntry?: boolean };
const manifest = (): Record<string, Chunk> => JSON.parse(readFileSync(join(dist, '.vite/manifest.json'), 'utf8'));
const size = (file: string) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;

function scripts(chunks: Record<string, Chunk>, ...keys: string[]): number {
  const seen = new Set<string>();
  const visit = (key: string) => {
    if (seen.has(key)) return;
    seen.add(key);
    chunks[key]?.imports?.forEach(visit);
  };
  keys.forEach(visit);
  return [...seen].reduce((sum, key) => sum + size(chunks[key]!.file), 0);
}

describe('the budget', () => {
  it('knows the built page', () => expect(existsSync(join(dist, 'index.html')), 'run make web first').toBe(true));

  const pages =
    existsSync(dist) && existsSync(join(dist, '.vite/manifest.json'))
      ? Object.keys(manifest()).filter((k) => /^src\/pages\/\w+\.svelte$/.test(k))
      : [];
  it.each(pages)('%s is within 70 kB of script', (page) => expect(scripts(manifest(), 'index.html', page)).toBeLessThan(70 * kb));

  it('the overview is within 60 kB', () => expect(scripts(manifest(), 'index.html', 'src/pages/Overview.svelte')).toBeLessThan(60 * kb));

  it('styles are within 12.5 kB and fonts within 55', () => {
    const files = readdirSync(join(dist, 'assets'));
    const sum = (ending: string) =>
      files
        .filter((f) => f.endsWith(ending))
        .reduce((n, f) => n + (ending === '.css' ? size(join('assets', f)) : readFileSync(join(dist, 'assets', f)).length), 0);
    expect(sum('.css')).toBeLessThan(12.5 * kb);
    expect(sum('.woff2')).toBeLessThan(55 * kb);
  });
});
