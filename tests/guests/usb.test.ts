import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { drive, type GuestOptions } from './support/guest.ts';
import { FAST_BOOT, type GuestArch, linuxKernel } from './support/images.ts';
import { run } from './support/packages.ts';
import { startedGuests } from './support/startedguests.ts';
import { usbInitramfs } from './support/usbinitramfs.ts';

/** The USB controller with drivers that we did not write: SeaBIOS, and Debian's Linux 6.1 with its own modules. */
const { folder, atEnd, start } = startedGuests('usb');

const bootSector = () => {
  const file = path.join(folder, 'boot.bin');
  run('nasm', ['-f', 'bin', '-o', file, fileURLToPath(new URL('support/asm/disk.asm', import.meta.url))]);
  return readFileSync(file);
};

function bootDisk(name: string, says: string): string {
  const image = Buffer.alloc(1 << 20);
  bootSector().copy(image);
  image.write(says, 1024, 'latin1');
  const file = path.join(folder, name);
  writeFileSync(file, image);
  return file;
}

test('the BIOS boots from a USB disk, the first of the list, reads and writes it', async () => {
  const first = bootDisk('first.img', 'FROM THE FIRST');
  const guest = await start({
    memoryMiB: 16,
    usb: { tablet: true },
    drives: [
      drive('usb1', 'disk', first),
      drive('usb0', 'disk', bootDisk('second.img', 'FROM THE SECOND')),
      drive('ide0', 'disk', bootDisk('third.img', 'FROM THE THIRD')),
    ],
    order: ['disk'],
  });
  await guest.onSerial(/WRITTEN|BAD/, 60_000);
  expect(guest.serial).toBe('FROM THE FIRST WRITTEN\n');
  expect(
    readFileSync(first)
      .subarray(1536, 1536 + 14)
      .toString(),
  ).toBe('FROM THE FIRST');
});

test('the BIOS boots from a USB CD drive, in sectors of 2 KiB, and can’t write to it', async () => {
  const tree = path.join(folder, 'tree');
  mkdirSync(tree);
  writeFileSync(path.join(tree, 'boot.bin'), bootSector());
  const iso = path.join(folder, 'boot.iso');
  run('xorriso', ['-as', 'mkisofs', '-b', 'boot.bin', '-no-emul-boot', '-boot-load-size', '1', '-o', iso, tree]);
  // Sector 2, in what the file system leaves to others (ECMA-119 section 6.2.1).
  const image = readFileSync(iso);
  image.write('FROM THE DISC', 2 * 2048, 'latin1');
  writeFileSync(iso, image);
  const guest = await start({
    memoryMiB: 16,
    usb: { tablet: false },
    drives: [drive('ide0', 'disk', bootDisk('fourth.img', 'FROM THE DISK')), drive('usb2', 'cdrom', iso, true)],
    order: ['cdrom', 'disk'],
  });
  await guest.onSerial(/WRITTEN|BAD/, 60_000);
  expect(guest.serial).toBe('FROM THE DISC BAD\n');
  expect(readFileSync(iso)).toEqual(image);
});

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const systems: GuestArch[] = ['amd64', 'i386'];

test.each(systems)(
  'Linux %s reads and writes USB disks, has the exact pointer of the tablet, and goes on after a restore',
  async (arch) => {
    const content = randomBytes(3 << 20);
    const source = path.join(folder, `${arch}-source.img`);
    const target = path.join(folder, `${arch}-target.img`);
    writeFileSync(source, content);
    writeFileSync(target, Buffer.alloc(4 << 20));
    const options: GuestOptions = {
      memoryMiB: 128,
      cpu: arch === 'amd64' ? 'x86-64' : 'i686',
      usb: { tablet: true },
      drives: [drive('usb0', 'disk', source, true), drive('usb3', 'disk', target)],
      kernel: {
        path: linuxKernel(arch),
        initrd: usbInitramfs(arch),
        cmdline: `console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`,
      },
    };
    const guest = await start(options);
    await guest.onSerial(/GUEST READY/, 120_000);
    await guest.ask('sh /usb/load', /USB LOADED/, 60_000);
    // The disks are found in any order: by their size they are told apart.
    await guest.ask(
      'while [ ! -e /dev/sdb ] || ! grep -q Tablet /proc/bus/input/devices; do sleep 0.1; done; for d in sda sdb; do ln -s $d /dev/at$(cat /sys/block/$d/size); done; echo "FOUND"',
      /^FOUND/m,
      60_000,
    );
    const speeds = await guest.ask('cat /sys/bus/usb/devices/*-*/speed | sort -n | tr "\\n" " "; echo "SPEEDS"', /^([\d ]+)SPEEDS/m);
    expect(speeds[1]!.trim()).toBe('12 5000 5000');
    await guest.ask('sha256sum /dev/at6144', new RegExp(`^${sha(content)}  `, 'm'), 60_000);
    // One comes while the machine runs, and its restored machine has it as well.
    const late = path.join(folder, `${arch}-late.img`);
    writeFileSync(late, randomBytes(2 << 20));
    const usb1 = drive('usb1', 'disk', late);
    await guest.vm.plugDrive(usb1, 2);
    await expect(guest.vm.plugDrive(usb1, 2)).rejects.toMatchObject({ kind: 'already-exists' });
    await expect(guest.vm.plugDrive(drive('ide1', 'disk', late), 0)).rejects.toMatchObject({ kind: 'unsupported' });
    await guest.ask('while [ ! -e /dev/sdc ]; do sleep 0.1; done; echo "LATE"', /^LATE/m, 60_000);
    await guest.ask('sha256sum /dev/sdc', new RegExp(`^${sha(readFileSync(late))}  `, 'm'), 60_000);
    // What is under way when the machine is saved is done all the same.
    guest.vm.serial[0]!.receive(Buffer.from('dd if=/dev/at6144 of=/dev/at8192 bs=64k conv=fsync && echo "COP""IED"\n'));
    const file = path.join(folder, `${arch}.state`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await guest.vm.saveState(file);
    const saved = guest.serial;
    const again = await start({ ...options, drives: [...options.drives!, usb1], restore: file });
    again.serial = saved;
    await again.onSerial(/^COPIED/m, 60_000);
    expect(sha(readFileSync(target).subarray(0, content.length))).toBe(sha(content));
    // It goes, and what was written to it is there; another one comes in its place while the machine stands.
    const other = path.join(folder, `${arch}-other.img`);
    writeFileSync(other, randomBytes(1 << 20));
    await again.ask('dd if=/dev/at6144 of=/dev/sdc bs=64k count=4 conv=fsync && echo "LATE" WRITTEN', /^LATE WRITTEN/m, 60_000);
    await again.vm.pause();
    await again.vm.unplugDrive('usb1');
    await expect(again.vm.unplugDrive('usb1')).rejects.toMatchObject({ kind: 'not-found' });
    expect(readFileSync(late).subarray(0, 256 << 10)).toEqual(content.subarray(0, 256 << 10));
    await again.vm.plugDrive({ ...usb1, path: other }, 2);
    await again.vm.resume();
    await again.ask('while [ "$(cat /sys/block/sd[c-z]/size)" != 2048 ]; do sleep 0.1; done; echo "OTHER"', /^OTHER/m, 60_000);
    await again.ask('sha256sum /dev/sd[c-z]', new RegExp(`^${sha(readFileSync(other))}  `, 'm'), 60_000);
    // A CD drive, empty; a disc comes, another, and none.
    const discs = [1, 2].map((size) => path.join(folder, `${arch}-${size}.iso`));
    for (const [i, disc] of discs.entries()) writeFileSync(disc, randomBytes((i + 1) << 20));
    await again.vm.plugDrive({ ...drive('usb2', 'cdrom', ''), path: null }, 3);
    await again.ask(
      'while [ ! -e /dev/sr0 ]; do sleep 0.1; done; cat /sys/block/sr0/device/model; echo "EMPTY"',
      /DVD-ROM[\s\S]*^EMPTY/m,
      60_000,
    );
    for (const disc of discs) {
      await again.vm.media.changeMedium('usb2', disc, true);
      await again.ask(
        `until dd if=/dev/sr0 of=/dev/null bs=2k count=1 2>/dev/null && [ "$(cat /sys/block/sr0/size)" = ${readFileSync(disc).length / 512} ]; do sleep 0.2; done; sha256sum /dev/sr0`,
        new RegExp(`^${sha(readFileSync(disc))}  `, 'm'),
        60_000,
      );
    }
    await again.vm.media.changeMedium('usb2', null, true);
    await again.ask('while dd if=/dev/sr0 of=/dev/null bs=2k count=1 2>/dev/null; do sleep 0.2; done; echo "OUT"', /^OUT/m, 60_000);
    await again.vm.unplugDrive('usb2');
    await again.ask('while [ -e /sys/block/sr0 ]; do sleep 0.1; done; echo "NO DRIVE"', /^NO DRIVE/m, 60_000);
    await again.vm.unplugDrive('usb1');
    await again.ask('while [ -e /sys/block/sdc ] || [ -e /sys/block/sdd ]; do sleep 0.1; done; echo "GONE"', /^GONE/m, 60_000);
    // The guest opens the tablet: from then on positions are exact, and they go there.
    expect(again.vm.input.absolute).toBe(false);
    const eventBytes = arch === 'amd64' ? 24 : 16;
    await again.ask(
      `grep -A4 "USB Tablet" /proc/bus/input/devices | grep -o "event[0-9]*" > /tmp/e; (dd if=/dev/input/$(cat /tmp/e) of=/tmp/raw bs=${eventBytes} 2>/dev/null &); echo "OPENED"`,
      /^OPENED/m,
    );
    await again.until('the exact pointer', () => again.vm.input.absolute, 30_000);
    // Last eight bytes of an event: type, code, value (input.h).
    const event = (type: number, code: number, value: number) => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt16LE(type, 0);
      bytes.writeUInt16LE(code, 2);
      bytes.writeInt32LE(value, 4);
      return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    };
    const seen = [event(3, 0, 0x7fff), event(1, 0x110, 1), event(3, 0, 0), event(3, 1, 0x7fff), event(1, 0x110, 0)];
    // What comes in the first moments after a HID device was opened is dropped by Linux (usbhid_open): a person moves on.
    const { width, height } = again.vm.screenshot();
    const moving = setInterval(() => {
      again.vm.input.pointerAbsolute(width - 1, 0, 0);
      again.vm.input.pointerAbsolute(width - 1, 0, 1);
      again.vm.input.pointerAbsolute(0, height - 1, 0);
    }, 200);
    atEnd(() => clearInterval(moving));
    await again.ask(
      `for e in ${seen.map((bytes) => `"${bytes}"`).join(' ')}; do while ! od -An -v -t x1 -w${eventBytes} /tmp/raw | grep -q "$e"; do sleep 0.1; done; done; echo "SEEN"`,
      /^SEEN/m,
      60_000,
    );
    clearInterval(moving);
    await again.ask('dmesg | grep -ciE "i/o error|call trace|bug:|timed out|xhci.*(warn|error)|reset .*speed"', /^0\r?$/m);
  },
);
