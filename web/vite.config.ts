import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vitest/config';
import { compressed } from './compress.ts';

export default defineConfig({
  plugins: [svelte(), tailwindcss(), svelteTesting(), compressed()],
  resolve: { alias: { $lib: fileURLToPath(new URL('./src/lib', import.meta.url)) } },
  build: {
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox125', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the policy of the page allows no font from a data: URL
    manifest: true,
  },
  server: { port: 5173, proxy: { '/api': 'http://127.0.0.1:8080', '/readyz': 'http://127.0.0.1:8080' } },
  test: { environment: 'happy-dom', setupFiles: ['./test/setup.ts'], include: ['test/unit/**/*.test.ts'] },
});
