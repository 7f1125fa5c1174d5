// `npm test`: set up, build, then every check. The last line reads `N passed, N failed`.
// `npm test -- types lint unit` runs only the named stages.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { build } from './build.mjs';
import { childEnv, node24, root, setUp } from './setup.mjs';

const started = Date.now();
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('-'));
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const bin = (name, file) => path.join(root, 'node_modules', name, file);

/** Runs beside other checks; what it says is printed when it ends. */
function check(name, command, args) {
  const at = Date.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env: childEnv() });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
  return new Promise((resolve) => {
    let over = false;
    const end = (ok) => {
      if (over) return;
      over = true;
      counts[ok ? 'passed' : 'failed']++;
      if (!ok) failures.push(name);
      process.stdout.write(Buffer.concat(said));
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - at) / 1000).toFixed(1)} s)`);
      resolve();
    };
    child.on('error', (error) => {
      said.push(Buffer.from(`${error.message}\n`));
      end(false);
    });
    child.on('close', (status) => end(status === 0));
  });
}

/**
 * Runs projects, or only `paths` of them without those `left` out, with more environment, as many files at once as there are `workers`. Left to itself vitest
 * leaves one processor alone, which of two is half of them.
 */
function vitest(projects, { name = projects[0], paths = [], left = [], env = {}, workers = availableParallelism() } = {}) {
  const report = path.join(root, 'out', `vitest-${name}.json`);
  mkdirSync(path.dirname(report), { recursive: true });
  rmSync(report, { force: true });
  spawnSync(
    node24(),
    [
      bin('vitest', 'vitest.mjs'),
      'run',
      ...paths,
      ...left.map((pattern) => `--exclude=${pattern}`),
      ...projects.flatMap((project) => ['--project', project]),
      `--maxWorkers=${workers}`,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    // Tests start some hundred processes of the program from its source: what Node made of a file is kept for the next of them.
    { cwd: root, stdio: 'inherit', env: childEnv({ CI: 'true', NODE_COMPILE_CACHE: path.join(root, 'out', 'compile-cache'), ...env }) },
  );
  if (!existsSync(report)) {
    counts.failed++;
    failures.push(`vitest ${projects.join(' ')} wrote no report`);
    return;
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  counts.passed += result.numPassedTests;
  counts.failed += result.numFailedTests;
  counts.skipped += result.numPendingTests + (result.numTodoTests ?? 0);
  for (const file of result.testResults) {
    if (file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')) {
      counts.failed++;
      failures.push(`${path.relative(root, file.name)}: ${String(file.message).split('\n')[0]}`);
    }
    for (const test of file.assertionResults)
      if (test.status === 'failed')
        failures.push(
          `${path.relative(root, file.name)}: ${test.fullName}\n  ${String(test.failureMessages[0]).split('\n').slice(0, 12).join('\n  ')}`,
        );
  }
}

const tsc = (config) => check(`types: ${config}`, node24(), [bin('typescript', 'bin/tsc'), '-p', config]);
const stages = {
  types: () => [
    tsc('tsconfig.node.json'),
    check('types: tsconfig.renderer.json', node24(), [bin('vue-tsc', 'bin/vue-tsc.js'), '-p', 'tsconfig.renderer.json', '--noEmit']),
    tsc('tsconfig.core.json'),
  ],
  lint: () => [
    check('lint and format', node24(), [bin('@biomejs/biome', 'bin/biome'), 'check', '--error-on-warnings', '.']),
    check('layer lint', node24(), ['scripts/layers.mjs']),
  ],
  unit: () => vitest(['core', 'renderer']),
  conformance: () => vitest(['conformance']),
  /**
   * The same on the recompiler, which compiles everything as soon as it runs; without what has no processor or chooses its own. fp.test.ts writes an instruction over
   * the last one for each of its cases, which only ever throws regions away: fp/regions.test.ts has its cases for compiled code.
   */
  recompiler: () =>
    vitest(['conformance', 'core'], {
      name: 'recompiler',
      paths: ['tests/conformance', 'core/cpu'],
      left: [
        'tests/conformance/disk/**',
        'tests/conformance/fuzz/**',
        'tests/conformance/fp/fp.test.ts',
        'tests/conformance/*/regions.test.ts',
        'tests/conformance/x86/disassemble.test.ts',
        'core/cpu/jit/**',
      ],
      env: { HYPERVUE_ACCEL: 'jit' },
    }),
  /** Those that compare a guest's time with the host's have the computer to themselves. */
  guests() {
    const alone = ['chipset', 'clocks', 'linux', 'sample', 'savestate', 'snapshots'].map((name) => `tests/guests/${name}.test.ts`);
    vitest(['guests'], { left: alone });
    vitest(['guests'], { name: 'guests-alone', paths: alone, workers: 1 });
  },
  /** Those that type and draw against a clock have the computer to themselves. */
  e2e() {
    const alone = ['linux', 'sample', 'snapshots'].map((name) => `tests/e2e/${name}.test.ts`);
    vitest(['e2e'], { left: alone });
    vitest(['e2e'], { name: 'e2e-alone', paths: alone, workers: 1 });
  },
};

try {
  setUp('test');
  build();
} catch (error) {
  console.error(error.message);
  console.log('0 passed, 1 failed');
  process.exit(1);
}
// Types and lint beside each other, before the tests, which have the computer to themselves.
const chosen = Object.keys(stages).filter((name) => !wanted.length || wanted.includes(name));
await Promise.all(chosen.filter((name) => name === 'types' || name === 'lint').flatMap((name) => stages[name]()));
for (const name of chosen) if (name !== 'types' && name !== 'lint') stages[name]();
for (const failure of failures) console.log(`failed: ${failure}`);
if (counts.skipped) console.log(`skipped with a printed reason: ${counts.skipped}`);
console.log(`took ${((Date.now() - started) / 60000).toFixed(1)} minutes`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed || !counts.passed ? 1 : 0;
