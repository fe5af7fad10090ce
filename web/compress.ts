import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const worthIt = /\.(js|css|svg|html|json)$/;

/** Writes a .br and a .gz beside every text file that was built, so that the daemon only has to pick one. */
export function compressed(): Plugin {
  let out = '';
  return {
    name: 'compressed',
    apply: 'build',
    configResolved: (config) => {
      out = join(config.root, config.build.outDir);
    },
    closeBundle: () => {
      for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' })) {
        const file = join(out, name);
        // index.html stays as it is: the daemon writes the preloads of each page into it.
        if (!worthIt.test(name) || name === 'index.html' || name.startsWith('.') || statSync(file).size < 1024) continue;
        const text = readFileSync(file);
        writeFileSync(file + '.gz', gzipSync(text, { level: 9 }));
        writeFileSync(file + '.br', brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
      }
      // Vite empties the folder; the placeholder lets `go build` work in a checkout without a built page.
      writeFileSync(join(out, '.keep'), '');
    },
  };
}
