import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FAST_BOOT, type GuestArch, kernelPackage, linuxKernel, packInitramfs, recipe } from './images.ts';
import { loadModules, putModules } from './kernelmodules.ts';
import { built, debianMirror, debianPackage, findFile, run } from './packages.ts';

/** An installed Debian: systemd, a login that asks for a password, a C compiler; on one ext4 partition that SeaBIOS and GRUB boot. */

export const ROOT_PASSWORD = 'Correct-Horse7';
const HOSTNAME = 'guestbox';
const DISK_BYTES = 1 << 30;
const PARTITION_START = 2048;
/** Beyond Debian's smallest system; without udev, systemd would wait in vain for the serial line to appear. */
const packages = 'systemd-sysv,udev,procps,gcc,libc6-dev';

/** What the root file system's driver needs; Debian builds ATA and ext4 as modules. */
const bootModules = ['ata_piix', 'sd_mod', 'crc32c_generic', 'ext4'];

const init = `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
${loadModules('modules', 'true')}# The disk appears when its port has been probed, which happens beside this script.
until mount -t ext4 -o ro /dev/sda1 /mnt 2>/dev/null; do sleep 0.1; done
mount -o move /dev /mnt/dev
umount /sys /proc
exec switch_root /mnt /sbin/init
`;

const grubConfig = `set timeout=0
linux /boot/vmlinuz root=/dev/sda1 ro console=ttyS0,115200 console=tty0 ${FAST_BOOT}
initrd /boot/initrd.gz
boot
`;

const configure = `
echo 'root:${ROOT_PASSWORD}' | chpasswd
echo ${HOSTNAME} > /etc/hostname
echo '127.0.0.1 localhost ${HOSTNAME}' > /etc/hosts
echo '/dev/sda1 / ext4 errors=remount-ro 0 1' > /etc/fstab
# A host with much else to do must not run into the time that login gives.
sed -i 's/^LOGIN_TIMEOUT.*/LOGIN_TIMEOUT 900/' /etc/login.defs
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/* /usr/share/man/*
`;

/** The boot sector and core image as `grub-install` would place them: sector 0, and the gap before the first partition (GRUB manual, "BIOS installation"). */
function installGrub(disk: string): void {
  const folder = '/usr/lib/grub/i386-pc';
  const core = `${disk}.core`;
  run('grub-mkimage', [
    '-O',
    'i386-pc',
    '-p',
    '(hd0,msdos1)/boot/grub',
    '-o',
    core,
    ...['biosdisk', 'part_msdos', 'ext2', 'linux', 'normal', 'configfile', 'boot'],
  ]);
  const coreBytes = readFileSync(core);
  rmSync(core);
  if (coreBytes.length > (PARTITION_START - 1) * 512) throw new Error('GRUB does not fit before the first partition');
  const mbr = Buffer.alloc(512);
  readFileSync(path.join(folder, 'boot.img')).copy(mbr, 0, 0, 446);
  // One active Linux partition; old-style cylinder fields say "use the LBA".
  mbr.set([0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff], 446);
  mbr.writeUInt32LE(PARTITION_START, 454);
  mbr.writeUInt32LE(DISK_BYTES / 512 - PARTITION_START, 458);
  mbr.set([0x55, 0xaa], 510);
  const file = openSync(disk, 'r+');
  try {
    writeSync(file, mbr, 0, 512, 0);
    writeSync(file, coreBytes, 0, coreBytes.length, 512);
  } finally {
    closeSync(file);
  }
}

/** Debian's smallest system with `packages` (commas between them) in the folder `system`, where `configure` then runs as a shell script. Needs root. */
export function bootstrap(system: string, arch: GuestArch, packages: string, configure: string): void {
  const debootstrap = debianPackage('debootstrap');
  const { url, codename } = debianMirror();
  // In a mount namespace of its own, so that what it mounts in the new system is gone before the folder is removed, also after a failure.
  run(
    'unshare',
    [
      '--mount',
      'env',
      `DEBOOTSTRAP_DIR=${path.join(debootstrap, 'usr/share/debootstrap')}`,
      'sh',
      path.join(debootstrap, 'usr/sbin/debootstrap'),
      `--arch=${arch}`,
      '--variant=minbase',
      `--include=${packages}`,
      codename,
      system,
      url,
    ],
    { cwd: path.dirname(system) },
  );
  run('unshare', ['--mount', 'chroot', system, 'sh', '-ec', configure]);
}

/** Sparse raw image of 1 GiB. Cached, so a test copies it before its guest writes. Needs root, as debootstrap does. */
export function debianDisk(arch: GuestArch): string {
  return built(`debian-${arch}-${recipe(init, configure, grubConfig, packages, ...bootModules)}.img`, (target) => {
    const work = mkdtempSync(path.join(tmpdir(), 'hypervue-debian-'));
    const system = path.join(work, 'system');
    try {
      bootstrap(system, arch, packages, configure);
      const initrd = path.join(work, 'initrd');
      for (const folder of ['bin', 'dev', 'proc', 'sys', 'mnt', 'modules']) mkdirSync(path.join(initrd, folder), { recursive: true });
      copyFileSync(findFile(debianPackage(`busybox-static:${arch}`), /bin\/busybox$/), path.join(initrd, 'bin/busybox'));
      for (const applet of ['sh', 'mount', 'umount', 'insmod', 'sleep', 'switch_root', '['])
        symlinkSync('busybox', path.join(initrd, 'bin', applet));
      putModules(kernelPackage(arch), bootModules, path.join(initrd, 'modules'), true);
      writeFileSync(path.join(initrd, 'init'), init, { mode: 0o755 });
      packInitramfs(initrd, path.join(system, 'boot/initrd.gz'));
      copyFileSync(linuxKernel(arch), path.join(system, 'boot/vmlinuz'));
      mkdirSync(path.join(system, 'boot/grub'));
      writeFileSync(path.join(system, 'boot/grub/grub.cfg'), grubConfig);
      writeFileSync(target, '');
      truncateSync(target, DISK_BYTES);
      run('mkfs.ext4', [
        '-q',
        '-F',
        '-d',
        system,
        '-E',
        `offset=${PARTITION_START * 512}`,
        target,
        `${(DISK_BYTES - PARTITION_START * 512) / 1024}k`,
      ]);
      installGrub(target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
}
