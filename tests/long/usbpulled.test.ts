import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { drive } from '../guests/support/guest.ts';
import { FAST_BOOT, linuxKernel } from '../guests/support/images.ts';
import { startedGuests } from '../guests/support/startedguests.ts';
import { usbInitramfs } from '../guests/support/usbinitramfs.ts';

/** A USB disk that is pulled out while Linux writes to it, also while the machine stands, and plugged in again: the image is sound each time, and the guest finds it again. */
const { folder, start } = startedGuests('usbpulled');
const ROUNDS = 12;

test('pulled out in the middle of writes, again and again', async () => {
  const image = path.join(folder, 'disk.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '64M']);
  const usb1 = { ...drive('usb1', 'disk', image), format: 'qcow2' as const };
  const guest = await start({
    memoryMiB: 128,
    cpu: 'x86-64',
    usb: { tablet: false },
    drives: [],
    kernel: {
      path: linuxKernel('amd64'),
      initrd: usbInitramfs('amd64'),
      cmdline: `console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
    },
  });
  await guest.onSerial(/GUEST READY/, 120_000);
  await guest.ask('sh /usb/load', /USB LOADED/, 60_000);
  const there = 'ls -d /sys/block/sd[a-z] >/dev/null 2>&1';
  for (let round = 0; round < ROUNDS; round++) {
    await guest.vm.plugDrive(usb1, 0);
    // By a node of its own: the kernel's goes with the disk, and `dd` would make a file in its place.
    const node = 'rm -f /tmp/disk; mknod /tmp/disk b $(tr : " " < /sys/block/sd[a-z]/dev)';
    const writing = '(while dd if=/dev/urandom of=/tmp/disk bs=256k count=200 2>/dev/null; do :; done; true) &';
    await guest.ask(
      `while ! ${there}; do sleep 0.1; done; ${node}; ${writing} sleep 0.3; echo "ROUND-"${round}`,
      new RegExp(`^ROUND-${round}`, 'm'),
      60_000,
    );
    await new Promise((resolve) => setTimeout(resolve, 150 * round));
    const standing = round % 3 === 1;
    if (standing) await guest.vm.pause();
    await guest.vm.unplugDrive('usb1');
    // Others can have it now, and there is nothing to mend. It exits with another code for leaks too.
    execFileSync('qemu-img', ['check', image], { stdio: 'pipe' });
    if (round % 4 === 1) {
      await guest.vm.plugDrive(usb1, 0);
      await guest.vm.unplugDrive('usb1');
    }
    if (standing) await guest.vm.resume();
    await guest.ask(`while ${there}; do sleep 0.1; done; echo "GONE-"${round}`, new RegExp(`^GONE-${round}`, 'm'), 60_000);
  }
  await guest.ask('dmesg | grep -ciE "call trace|bug:|hung task|host not responding|xhci.*(warn|error)"', /^0\r?$/m);
  expect(guest.vm.state).toBe('running');
}, 600_000);
