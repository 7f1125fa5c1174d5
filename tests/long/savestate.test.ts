import { test } from 'vitest';
import type { GuestOptions } from '../guests/support/guest.ts';
import { FAST_BOOT, initramfs, linuxKernel } from '../guests/support/images.ts';
import { expectSame, runAndRestore, testFolder } from '../guests/support/savedruns.ts';

const { fresh } = testFolder();

test.each([1e9, 2.5e9])(
  '64-bit Linux goes on as it would have, to the last bit, saved after %d instructions of its boot',
  async (instructions) => {
    const options: GuestOptions = {
      memoryMiB: 160,
      cpu: 'x86-64-v2',
      kernel: { path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: `console=ttyS0,115200 ${FAST_BOOT}` },
      counted: {},
    };
    const when = async ({ vm }: { vm: { instructions(): number } }) => {
      while (vm.instructions() < instructions) await new Promise((resolve) => setTimeout(resolve, 100));
    };
    expectSame(...(await runAndRestore(fresh(), 35e9, options, when)));
  },
  1_800_000,
);
