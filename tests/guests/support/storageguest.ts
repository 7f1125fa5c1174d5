import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GuestArch, initramfs, kernelPackage } from './images.ts';
import { loadModules, putModules } from './kernelmodules.ts';
import { run } from './packages.ts';

/** Drivers of virtio disks and AHCI, and ext4. */
const storageModules = ['virtio_pci', 'virtio_blk', 'ahci', 'crc32c_generic', 'ext4'];

/**
 * The initramfs of the other guests with storage drivers and `/load`, which loads them: the kernel unpacks one archive after the other. `after` are lines
 * of shell that run once when the guest is ready, instead of somebody typing. `programs` lie in the root.
 */
export function storageInitrd(arch: GuestArch, target: string, after?: string, programs: readonly string[] = []): void {
  const root = mkdtempSync(path.join(tmpdir(), 'hypervue-storage-'));
  try {
    putModules(kernelPackage(arch), storageModules, path.join(root, 'modules/storage'));
    const load = `#!/bin/sh\n${loadModules('modules/storage', 'echo "NO $m"')}echo LOADED\n`;
    writeFileSync(path.join(root, 'load'), load, { mode: 0o755 });
    if (after) {
      mkdirSync(path.join(root, 'etc'));
      writeFileSync(path.join(root, 'etc/inittab'), '::sysinit:/etc/rc\n::once:/after\n');
      writeFileSync(path.join(root, 'after'), `#!/bin/sh\nexec >/dev/ttyS0 2>&1\n/load\n${after}\n`, { mode: 0o755 });
    }
    for (const program of programs) {
      copyFileSync(program, path.join(root, path.basename(program)));
      chmodSync(path.join(root, path.basename(program)), 0o755);
    }
    run('sh', ['-c', `cd '${root}' && find . | cpio --quiet -o -H newc | gzip -1 > '${target}.part'`]);
    writeFileSync(target, Buffer.concat([readFileSync(initramfs(arch)), readFileSync(`${target}.part`)]));
  } finally {
    rmSync(root, { recursive: true, force: true });
    rmSync(`${target}.part`, { force: true });
  }
}
