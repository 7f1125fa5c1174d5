import { fileURLToPath } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { recognizerFiles } from './recognizerfiles.ts';
import { defineConfig } from 'vite';

/** The renderer alone, for browsers and for Electron's window. Relative base: Electron loads it from a file or custom scheme. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [vue(), recognizerFiles()],
  define: {
    // vue-i18n: no legacy API, no devtools hooks, messages interpreted (JIT) instead of compiled with `new Function`, which CSP forbids.
    __VUE_I18N_LEGACY_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
    __INTLIFY_JIT_COMPILATION__: 'true',
    __VUE_OPTIONS_API__: 'true',
    __VUE_PROD_DEVTOOLS__: 'false',
  },
  build: {
    outDir: fileURLToPath(new URL('../out/renderer', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 900,
    rollupOptions: { input: fileURLToPath(new URL('index.html', import.meta.url)) },
  },
});
