/**
 * kvm-unit-tests, the x86 tests of Linux's hypervisor developers: small kernels that check what a processor does and end by isa-debug-exit. They
 * are not part of this repository and nothing fetches them: where their images (x86/*.flat) lie in the folders i386 and x86_64 of
 * .cache/kvm-unit-tests they run; or name the folder that has those two in HYPERVUE_KVM_UNIT_TESTS. docs/conformance.md says which tests
 * don't apply and why.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Guest } from '../guests/support/guest.ts';
import { kvmUnitTests, type KvmUnitTest } from './support/kvmunittests.ts';

const folder = process.env.HYPERVUE_KVM_UNIT_TESTS ?? fileURLToPath(new URL('../../.cache/kvm-unit-tests', import.meta.url));
const MINUTE = 60_000;
/** isa-debug-exit gives (code << 1) | 1; the tests end with 0 when every check passed. */
const PASSED = 1;
let guest: Guest | undefined;
/** The tests read their environment from the first module. */
const environment = path.join(mkdtempSync(path.join(tmpdir(), 'hypervue-kvmunittests-')), 'environment');
writeFileSync(environment, 'TEST_DEVICE=0\n');
afterAll(() => rmSync(path.dirname(environment), { recursive: true, force: true }));

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});

async function passes(file: string, { args = '', hpet = false, noTestDevice = false, minutes = 4 }: KvmUnitTest): Promise<void> {
  const kernel = { path: file, cmdline: args, ...(noTestDevice ? { initrd: environment } : {}) };
  guest = new Guest({ memoryMiB: 256, cpu: 'x86-64-v3', hpet, kernel });
  const ends: string[] = [];
  guest.vm.onDebugExit.on((code) => ends.push(code === PASSED ? 'passed' : `exit code ${code}`));
  guest.vm.onTripleFault.on(() => ends.push('triple fault'));
  await guest.start();
  await guest.until('the end of the test', () => ends.length > 0, minutes * MINUTE);
  // What failed says more than the code.
  const failures = guest.serial.split('\n').filter((line) => /^FAIL|^Unhandled/.test(line));
  expect([...failures, ends[0]]).toEqual(['passed']);
}

for (const architecture of ['i386', 'x86_64'] as const)
  for (const unitTest of kvmUnitTests.filter(({ on }) => on.includes(architecture)))
    test(
      `${architecture}: ${unitTest.file} ${unitTest.args ?? ''}`.trim(),
      async (context) => {
        const file = path.join(folder, architecture, `${unitTest.file}.flat`);
        if (!existsSync(file)) {
          console.log(`skipped: no ${file}`);
          context.skip();
          return;
        }
        await passes(file, unitTest);
      },
      20 * MINUTE,
    );
