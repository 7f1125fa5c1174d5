import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GuestArch, initramfs, kernelPackage, recipe } from './images.ts';
import { built, findFile, run } from './packages.ts';

/** Of the USB 3 controller, disks and HID, in the order in which they are loaded. */
const modules = ['usb-common', 'usbcore', 'xhci-hcd', 'xhci-pci', 'usb-storage', 'hid', 'hid-generic', 'usbhid'];

const script = `#!/bin/sh
for m in ${modules.join(' ')}; do insmod /usb/$m.ko || echo "NO $m"; done
echo USB LOADED
`;

/** The initramfs with `/usb/load`, which loads the kernel's drivers for the USB controller and what can be plugged into it. */
export function usbInitramfs(arch: GuestArch): string {
  return built(`usb-${arch}-${recipe(script, initramfs(arch))}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-usb-'));
    try {
      mkdirSync(path.join(root, 'usb'));
      for (const name of modules)
        copyFileSync(findFile(kernelPackage(arch), new RegExp(`/${name}\\.ko$`)), path.join(root, 'usb', `${name}.ko`));
      writeFileSync(path.join(root, 'usb/load'), script, { mode: 0o755 });
      run('sh', ['-c', `cd '${root}' && find usb | cpio --quiet -o -H newc | gzip -1 > '${target}.more'`]);
      // The kernel unpacks archives one after the other.
      writeFileSync(target, Buffer.concat([readFileSync(initramfs(arch)), readFileSync(`${target}.more`)]));
    } finally {
      rmSync(root, { recursive: true, force: true });
      rmSync(`${target}.more`, { force: true });
    }
  });
}
