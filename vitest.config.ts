import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take longest, the longest first. Where the cache of a run before tells nothing, vitest would begin with the largest files, and wait for one of these at the end. */
const LONGEST = [
  'guests/debian',
  'guests/installer',
  'guests/determinism',
  'simd/simd',
  'cli/cli',
  'cli/disk',
  'manager/lifecycle',
  'cli/device',
  'vmprocess/main',
  'x86/disassemble',
  'e2e/library',
  'e2e/hardware',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONGEST.findIndex((name) => moduleId.endsWith(`${name}.test.ts`));
      return place < 0 ? LONGEST.length : place;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
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
      { test: { name: 'e2e', include: ['tests/e2e/**/*.test.ts'], environment: 'node', testTimeout: 300_000 } },
      { plugins: [vue()], test: { name: 'renderer', include: ['renderer/**/*.test.ts'], environment: 'happy-dom', testTimeout: 60_000 } },
    ],
  },
});
