import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bootstrap } from '../../guests/support/debiansystem.ts';
import { FAST_BOOT, recipe } from '../../guests/support/images.ts';
import { built, findFile, run } from '../../guests/support/packages.ts';

/** Debian with Xfce, whose user is logged in by itself, and a shell of root's on the serial line. */
export interface DesktopSystem {
  kernel: string;
  initrd: string;
  cmdline: string;
  /** Raw, one ext4 file system without a partition table. A test copies it before its guest writes. */
  disk: string;
}

const DISK_KIB = 4 << 20;

/** debootstrap knows no alternatives, apt does. */
const configure = `
mount -t proc proc /proc
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends \
  linux-image-amd64 systemd-sysv udev dbus-x11 procps \
  xserver-xorg-core xserver-xorg-input-libinput x11-xserver-utils xdotool \
  xfce4-session xfwm4 xfce4-panel xfdesktop4 xfce4-settings xfce4-terminal \
  lightdm lightdm-gtk-greeter fonts-dejavu-core > /dev/null
useradd -m -s /bin/bash user
mkdir -p /etc/lightdm/lightdm.conf.d /etc/systemd/system/serial-getty@ttyS0.service.d
printf '[Seat:*]\\nautologin-user=user\\n' > /etc/lightdm/lightdm.conf.d/50.conf
printf '[Service]\\nExecStart=\\nExecStart=-/sbin/agetty --autologin root --noclear %%I vt100\\n' > /etc/systemd/system/serial-getty@ttyS0.service.d/a.conf
echo desk > /etc/hostname
echo '127.0.0.1 localhost desk' > /etc/hosts
echo '/dev/vda / ext4 defaults 0 1' > /etc/fstab
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/* /usr/share/man/*
umount /proc
`;

/** Made once and cached; takes some minutes and a gigabyte. Needs root, as debootstrap does. */
export function desktopSystem(): DesktopSystem {
  const folder = built(`desktop-${recipe(configure)}`, (target) => {
    const work = mkdtempSync(path.join(tmpdir(), 'hypervue-desktop-'));
    const system = path.join(work, 'system');
    try {
      bootstrap(system, 'amd64', 'ca-certificates', configure);
      mkdirSync(target);
      copyFileSync(findFile(path.join(system, 'boot'), /^vmlinuz-/), path.join(target, 'vmlinuz'));
      copyFileSync(findFile(path.join(system, 'boot'), /^initrd\.img-/), path.join(target, 'initrd'));
      run('mkfs.ext4', ['-q', '-F', '-d', system, path.join(target, 'disk.img'), `${DISK_KIB}k`]);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  return {
    kernel: path.join(folder, 'vmlinuz'),
    initrd: path.join(folder, 'initrd'),
    cmdline: `root=/dev/vda ro console=tty0 console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
    disk: path.join(folder, 'disk.img'),
  };
}
