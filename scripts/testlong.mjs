// `npm run test:long`: what takes too long for every change. More random cases of the tests of the processor and of disks, and the guests of tests/long.
// `npm run test:long -- cpu`, `-- guests` or `-- more` runs one part. test386 takes part when HYPERVUE_TEST386 names its ROM (tests/conformance).
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { build } from './build.mjs';
import { childEnv, node24, root, setUp } from './setup.mjs';

/** How much more than `npm test`; a number on the command line (`-- cpu 100`) takes their place. */
const number = Number(process.argv.find((arg) => /^\d+$/.test(arg)) ?? 0);
const factors = {
  HYPERVUE_CPU_ROUNDS: String(number || 25),
  HYPERVUE_SIMD_CASES: String((number || 10) * 400),
  HYPERVUE_FP_CASES: String((number || 10) * 2000),
  HYPERVUE_FUZZ_CASES: String((number || 25) * 40_000),
  HYPERVUE_DISK_SEEDS: '5',
};
const parts = {
  cpu: { projects: ['conformance'], env: factors },
  guests: { projects: ['long'], env: {} },
  // Files of tests/guests with more in them than a change should have to wait for.
  more: {
    projects: ['guests'],
    env: { HYPERVUE_LONG: '1' },
    paths: ['determinism', 'vectors', 'uefi', 'netboot'].map((name) => `tests/guests/${name}.test.ts`),
  },
};

const wanted = process.argv.slice(2).filter((arg) => /^[a-z]/.test(arg));
const unknown = wanted.filter((name) => !(name in parts));
if (unknown.length) {
  console.error(`there is no ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
setUp('test');
build();
for (const [name, { projects, env, paths = [] }] of Object.entries(parts)) {
  if (wanted.length && !wanted.includes(name)) continue;
  const result = spawnSync(
    node24(),
    [
      path.join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      ...projects.flatMap((project) => ['--project', project]),
      '--testTimeout=3600000',
      ...paths,
    ],
    { cwd: root, stdio: 'inherit', env: childEnv(env) },
  );
  if (result.status !== 0) process.exitCode = 1;
}
