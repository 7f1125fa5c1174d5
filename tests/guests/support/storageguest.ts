import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GuestArch, initramfs, kernelPackage } from './images.ts';
import { findFile, run } from './packages.ts';

/** Drivers of virtio disks and AHCI, and ext4, in the order in which they are loaded. */
const storageModules = [
  'virtio',
  'virtio_ring',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
  'libahci',
  'ahci',
  'crc16',
  'crc32c_generic',
  'mbcache',
  'jbd2',
  'ext4',
];

/**
 * The initramfs of the other guests with storage drivers and `/load`, which loads them: the kernel unpacks one archive after the other. `after` are lines
 * of shell that run once when the guest is ready, instead of somebody typing. `programs` lie in the root.
 */
export function storageInitrd(arch: GuestArch, target: string, after?: string, programs: readonly string[] = []): void {
  const root = mkdtempSync(path.join(tmpdir(), 'hypervue-storage-'));
  try {
    mkdirSync(path.join(root, 'modules'));
    const kernel = kernelPackage(arch);
    const found = storageModules.filter((name) => {
      try {
        copyFileSync(findFile(kernel, new RegExp(`/${name}\\.ko$`)), path.join(root, 'modules', `${name}.ko`));
        return true;
      } catch {
        // Built in.
        return false;
      }
    });
    const load = `#!/bin/sh\nfor m in ${found.join(' ')}; do insmod /modules/$m.ko || echo "NO $m"; done\necho LOADED\n`;
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
