import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModules, putModules } from './kernelmodules.ts';
import { built, debianPackage, findFile, newestPackage, run } from './packages.ts';

/** Real guest systems, made from Debian packages (see docs/testing.md). Each function returns the path of a cached file. */

export const grubCdrom = () => findFile(debianPackage('grub-rescue-pc'), /grub-rescue-cdrom\.iso$/);
export const grubFloppy = () => findFile(debianPackage('grub-rescue-pc'), /grub-rescue-floppy\.img$/);
export const memtestIso = () => findFile(debianPackage('memtest86+'), /memtest86\+ia32\.iso$/);
/** The same for x86-64: its own long mode, page tables and exception handlers. */
export const memtestIso64 = () => findFile(debianPackage('memtest86+'), /memtest86\+x64\.iso$/);
export const memtestKernel64 = () => findFile(debianPackage('memtest86+'), /boot\/memtest86\+x64\.bin$/);
export const memtestKernel = () => findFile(debianPackage('memtest86+'), /boot\/memtest86\+ia32\.bin$/);

export type GuestArch = 'i386' | 'amd64';

/** Debian's 6.1 kernel package: for i686 without PAE, or for x86-64. */
export const kernelPackage = (arch: GuestArch) =>
  debianPackage(
    newestPackage(arch === 'i386' ? /^linux-image-6\.1\.0-\d+-686$/ : /^linux-image-6\.1\.0-\d+-amd64$/, 'linux-image-6.1.0', arch),
  );
export const linuxKernel = (arch: GuestArch) => findFile(kernelPackage(arch), /boot\/vmlinuz-/);
export const linux686 = () => linuxKernel('i386');
export const linux686Pae = () =>
  findFile(debianPackage(newestPackage(/^linux-image-6\.1\.0-\d+-686-pae$/, 'linux-image-6.1.0', 'i386')), /boot\/vmlinuz-/);

/** Kernel modules that the initramfs loads: disks and CD-ROM as the machine has them, the power button. */
const modules = ['ata_piix', 'sd_mod', 'sr_mod', 'button', 'evdev'];

const rc = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
${loadModules('modules', 'true')}# No acpid: the first event of the power button's input device turns the machine off. An event has 16 bytes on i386 and 24 on amd64.
event=$(grep -l 'Power Button' /sys/class/input/event*/device/name | head -1)
if [ -n "$event" ]; then
  event=\${event%/device/name}
  (dd if=/dev/input/\${event##*/} of=/dev/null bs=24 count=1 2>/dev/null && echo POWER BUTTON >/dev/console && poweroff -f) &
fi
echo "GUEST READY $(uname -r) $(uname -m)"
`;

const inittab = `::sysinit:/etc/rc
ttyS0::respawn:-/bin/sh
tty1::respawn:-/bin/sh
::ctrlaltdel:/bin/reboot
::shutdown:/bin/umount -a
`;

/** Debian's kernel tests its cryptography at start, which takes half of all instructions up to the shell; one guest that does so is enough. */
export const FAST_BOOT = 'cryptomgr.notests=1';

const grubConfig = `set timeout=0
menuentry "Linux" {
  linux /boot/vmlinuz console=tty0 console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}
  initrd /boot/initrd.gz
}
`;

/** Changes when what goes into an image does, so that the cache never serves an old one. */
export const recipe = (...parts: string[]) => createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8);

/** Packs the folder, to which the first device nodes are added, as the kernel takes it. */
export function packInitramfs(root: string, target: string): void {
  run('mknod', ['-m', '600', path.join(root, 'dev/console'), 'c', '5', '1']);
  run('mknod', ['-m', '666', path.join(root, 'dev/null'), 'c', '1', '3']);
  run('sh', ['-c', `cd '${root}' && find . | cpio --quiet -o -H newc | gzip -9 > '${target}'`]);
}

/** A static busybox with shells on ttyS0 and tty1, and the storage modules of the given kernel; about 1 MB. */
export function initramfs(arch: GuestArch): string {
  return built(`initramfs-${arch}-${recipe(rc, inittab, kernelPackage(arch), ...modules)}.gz`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-initramfs-'));
    try {
      for (const folder of ['bin', 'sbin', 'dev', 'proc', 'sys', 'etc', 'tmp', 'mnt', 'modules', 'root'])
        mkdirSync(path.join(root, folder));
      copyFileSync(findFile(debianPackage(`busybox-static:${arch}`), /bin\/busybox$/), path.join(root, 'bin/busybox'));
      chmodSync(path.join(root, 'bin/busybox'), 0o755);
      const applets = [
        'sh',
        'ls',
        'cat',
        'echo',
        'mount',
        'umount',
        'uname',
        'insmod',
        'mkdir',
        'poweroff',
        'reboot',
        'halt',
        'dd',
        'md5sum',
        'sha256sum',
        'ps',
        'sleep',
        'sync',
        'date',
        'dmesg',
        'awk',
        'head',
        'tail',
        'grep',
        'wc',
        'time',
        'mknod',
        'od',
        'free',
        'clear',
        'stty',
        'hexdump',
        'gzip',
        'test',
        '[',
      ];
      for (const applet of applets) symlinkSync('busybox', path.join(root, 'bin', applet));
      symlinkSync('bin/busybox', path.join(root, 'init'));
      putModules(kernelPackage(arch), modules, path.join(root, 'modules'));
      writeFileSync(path.join(root, 'etc/rc'), rc, { mode: 0o755 });
      writeFileSync(path.join(root, 'etc/inittab'), inittab);
      packInitramfs(root, target);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}

/** A CD that boots the kernel and initramfs through GRUB (El Torito, no emulation). */
export function linuxIso(arch: GuestArch = 'i386'): string {
  return built(`linux-${arch}-${recipe(rc, inittab, grubConfig)}.iso`, (target) => {
    const root = mkdtempSync(path.join(tmpdir(), 'hypervue-iso-'));
    try {
      mkdirSync(path.join(root, 'boot/grub'), { recursive: true });
      cpSync(linuxKernel(arch), path.join(root, 'boot/vmlinuz'));
      cpSync(initramfs(arch), path.join(root, 'boot/initrd.gz'));
      writeFileSync(path.join(root, 'boot/grub/grub.cfg'), grubConfig);
      run('grub-mkrescue', ['-d', '/usr/lib/grub/i386-pc', '-o', target, root, '--', '-volid', 'HYPERVUE_TEST']);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}
