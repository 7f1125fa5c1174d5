import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'core',
          include: ['core/**/*.test.ts', 'electron/**/*.test.ts', 'scripts/**/*.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['tests/conformance/**/*.test.ts', 'tests/fuzz/**/*.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
        },
      },
      {
        test: { name: 'guests', include: ['tests/guests/**/*.test.ts'], environment: 'node', testTimeout: 600_000 },
      },
      { test: { name: 'long', include: ['tests/long/**/*.test.ts'], environment: 'node', testTimeout: 3_600_000, fileParallelism: false } },
      { test: { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], environment: 'node', testTimeout: 300_000, fileParallelism: false } },
      { plugins: [vue()], test: { name: 'renderer', include: ['renderer/**/*.test.ts'], environment: 'happy-dom' } },
    ],
  },
});
