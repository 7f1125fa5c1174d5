import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { initramfs, kernelPackage, recipe } from './images.ts';
import { built, findFile, run } from './packages.ts';

/** In the order in which they can be loaded. */
const modules = [
  'virtio_ring',
  'virtio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_dma_buf',
  'drm',
  'drm_kms_helper',
  'drm_shmem_helper',
  'virtio-gpu',
];
const script = `#!/bin/sh\nfor m in ${modules.join(' ')}; do insmod /display/$m.ko || exit 1; done\necho DISPLAY LOADED\n`;
const source = fileURLToPath(new URL('../programs/follower.c', import.meta.url));
const flags = ['-O2', '-ffreestanding', '-fno-stack-protector', '-nostdlib', '-static', '-fno-pic', '-no-pie'];

/** The amd64 initramfs with `/display/load`, which loads the kernel's driver of VirtIO displays, and `/display/follower` (programs/follower.c). */
export function displayInitramfs(): string {
  return built(`display-amd64-${recipe(script, readFileSync(source, 'utf8'), flags.join(' '), initramfs('amd64'))}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-display-'));
    try {
      mkdirSync(path.join(root, 'display'));
      for (const name of modules)
        cpSync(findFile(kernelPackage('amd64'), new RegExp(`/${name}\\.ko$`)), path.join(root, 'display', `${name}.ko`));
      writeFileSync(path.join(root, 'display/load'), script, { mode: 0o755 });
      execFileSync('gcc', [...flags, '-o', path.join(root, 'display/follower'), source]);
      run('sh', ['-c', `cd '${root}' && find display | cpio --quiet -o -H newc | gzip -1 > '${target}.more'`]);
      // The kernel unpacks archives one after the other.
      writeFileSync(target, Buffer.concat([readFileSync(initramfs('amd64')), readFileSync(`${target}.more`)]));
    } finally {
      rmSync(root, { recursive: true, force: true });
      rmSync(`${target}.more`, { force: true });
    }
  });
}
