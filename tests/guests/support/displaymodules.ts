import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModules } from './kernelmodules.ts';
import { moduleInitramfs } from './moduleinitramfs.ts';

const modules = ['virtio_pci', 'virtio-gpu'];
const load = `#!/bin/sh\n${loadModules('display', 'exit 1')}echo DISPLAY LOADED\n`;
const source = fileURLToPath(new URL('../programs/follower.c', import.meta.url));
const flags = ['-O2', '-ffreestanding', '-fno-stack-protector', '-nostdlib', '-static', '-fno-pic', '-no-pie'];

/** The amd64 initramfs with `/display/load`, which loads the kernel's driver of VirtIO displays, and `/display/follower` (programs/follower.c). */
export const displayInitramfs = (): string =>
  moduleInitramfs({
    arch: 'amd64',
    folder: 'display',
    modules,
    scripts: { load },
    more: {
      recipe: [readFileSync(source, 'utf8'), ...flags],
      make: (folder) => execFileSync('gcc', [...flags, '-o', path.join(folder, 'follower'), source]),
    },
  });
