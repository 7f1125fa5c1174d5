import { fileURLToPath } from 'node:url';
import { defineConfig } from 'electron-vite';
import renderer from './renderer/vite.config.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/**
 * One build makes the desktop app and headless mode. Node entries share chunks in out/main, so that `import.meta.url` of every one of them lies
 * in the same folder as the entry points it starts (vmprocess.js, netprocess.js, machinethread.js).
 */
export default defineConfig({
  main: {
    build: {
      externalizeDeps: { exclude: ['zod', 'ws', 'commander', 'pngjs', 'sax', '@peculiar/x509', 'reflect-metadata'] },
      outDir: 'out/main',
      target: 'node24',
      rollupOptions: {
        input: {
          index: at('electron/main/index.ts'),
          cli: at('core/cli/main.ts'),
          vmprocess: at('core/vmprocess/main.ts'),
          netprocess: at('core/netprocess/main.ts'),
          machinethread: at('core/vmprocess/machinethread.ts'),
          compilethread: at('core/vmprocess/compilethread.ts'),
        },
        external: ['electron', 'koffi'],
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  },
  preload: {
    build: {
      outDir: 'out/preload',
      rollupOptions: { input: { index: at('electron/preload/index.ts') }, output: { format: 'cjs', entryFileNames: '[name].cjs' } },
    },
  },
  renderer,
});
