import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FAST_BOOT, initramfs, kernelPackage, linuxKernel, recipe } from './images.ts';
import { built, debianPackage, findFile, run } from './packages.ts';

/** UEFI for x86-64 (Debian package ovmf) in one file: variables, then code. */
export const ovmf = () => findFile(debianPackage('ovmf'), /share\/ovmf\/OVMF\.fd$/);

/** Also on the serial line, where a test can read it: UEFI's own screen is graphics. */
const grubConfig = `set timeout=-1
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
menuentry "Linux over UEFI" {
  linux /boot/vmlinuz console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}
  initrd /boot/initrd.gz /boot/modules.cpio
}
`;

/** A CD with GRUB for 64-bit UEFI, Debian's amd64 kernel, its driver of UEFI variables and the busybox initramfs. */
export function grubEfiIso(): string {
  return built(`grub-efi-amd64-${recipe(grubConfig, path.basename(initramfs('amd64')), 'efivarfs')}.iso`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-efi-'));
    try {
      mkdirSync(path.join(root, 'boot/grub'), { recursive: true });
      cpSync(linuxKernel('amd64'), path.join(root, 'boot/vmlinuz'));
      cpSync(initramfs('amd64'), path.join(root, 'boot/initrd.gz'));
      // A second archive beside the first one, which other guests share.
      const more = path.join(root, 'more');
      mkdirSync(path.join(more, 'modules'), { recursive: true });
      cpSync(findFile(kernelPackage('amd64'), /\/efivarfs\.ko$/), path.join(more, 'modules/efivarfs.ko'));
      run('sh', ['-c', `cd '${more}' && find . | cpio --quiet -o -H newc > '${root}/boot/modules.cpio'`]);
      rmSync(more, { recursive: true });
      writeFileSync(path.join(root, 'boot/grub/grub.cfg'), grubConfig);
      const modules = path.join(debianPackage('grub-efi-amd64-bin'), 'usr/lib/grub/x86_64-efi');
      run('grub-mkrescue', ['-d', modules, '-o', target, root, '--', '-volid', 'HYPERVUE_EFI']);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}
