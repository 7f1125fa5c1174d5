import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { drive } from '../guests/support/guest.ts';
import { linux686 } from '../guests/support/images.ts';
import { storageInitrd } from '../guests/support/storageguest.ts';
import { emulators, watch } from './support/emulators.ts';
import { randomDiskProgram } from './support/programs.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * What a guest gets out of its disks: `dd` with O_DIRECT in Debian's Linux 6.1 for i386, on IDE, AHCI and virtio, beside QEMU with TCG, one after the other with the
 * same kernel, initramfs, raw images and memory, each in a process of its own, both with the host's cache (writeback); a program of our own for requests all over. Times are the host's, between two lines on
 * COM1. Everything twice: the short jobs of the first time are mostly the guest's code getting warm on a machine that translates it, the second time shows what is left when it is.
 */
const MEBIBYTES = 128;
const SMALL_REQUESTS = 2000;
/** Of the long jobs: the whole disk so many times, and requests all over it. */
const LONG_ROUNDS = 16;
const RANDOM_REQUESTS = 30_000;
const MEMORY_MIB = 128;
const LIMIT_MS = 600_000;
const COMMAND_LINE = 'console=ttyS0,115200 quiet mitigations=off cryptomgr.notests=1';
const disks = [
  { name: 'ide', device: 'sda' },
  { name: 'ahci', device: 'sdb' },
  { name: 'virtio', device: 'vda' },
] as const;

interface Job {
  name: string;
  what: string;
  /** Shell line that does it on `/dev/DISK`. */
  line: string;
  unit: 'MiB/s' | 'requests/s';
  amount: number;
  /** Warms up as it goes: it is done once. */
  long?: boolean;
}
const jobs: Job[] = [
  {
    name: 'read',
    what: 'read, 1 MiB requests',
    line: `dd if=/dev/DISK of=/dev/null bs=1M count=${MEBIBYTES} iflag=direct`,
    unit: 'MiB/s',
    amount: MEBIBYTES,
  },
  {
    name: 'write',
    what: 'write, 1 MiB requests',
    line: `dd if=/dev/zero of=/dev/DISK bs=1M count=${MEBIBYTES} oflag=direct`,
    unit: 'MiB/s',
    amount: MEBIBYTES,
  },
  {
    name: 'small',
    what: 'read, 4 KiB requests',
    line: `dd if=/dev/DISK of=/dev/null bs=4k count=${SMALL_REQUESTS} iflag=direct`,
    unit: 'requests/s',
    amount: SMALL_REQUESTS,
  },
  {
    name: 'longread',
    what: `read, ${(MEBIBYTES * LONG_ROUNDS) / 1024} GiB in 1 MiB requests`,
    line: `for i in $(seq ${LONG_ROUNDS}); do dd if=/dev/DISK of=/dev/null bs=1M count=${MEBIBYTES} iflag=direct; done`,
    unit: 'MiB/s',
    amount: MEBIBYTES * LONG_ROUNDS,
    long: true,
  },
  {
    name: 'random',
    what: `${RANDOM_REQUESTS} requests of 4 KiB all over, 7 reads to 3 writes`,
    line: `/randomdisk /dev/DISK ${(MEBIBYTES << 20) / 4096} ${RANDOM_REQUESTS} 1 || echo BROKEN`,
    unit: 'requests/s',
    amount: RANDOM_REQUESTS,
    long: true,
  },
];

const PASSES = ['first', 'warm'] as const;

// Of a short job the first run only warms the guest's code up.
const script = [
  ...PASSES.flatMap((pass) =>
    disks.flatMap(({ name, device }) =>
      jobs.flatMap((job) => {
        const line = job.line.replace('DISK', device);
        return [
          ...(job.long ? [] : [`${line} 2>/dev/null`]),
          `echo "start ${pass}-${name}-${job.name}"`,
          `{ ${line}; } 2>/dev/null`,
          `echo "end ${pass}-${name}-${job.name}"`,
        ];
      }),
    ),
  ),
  'echo ALL DONE',
].join('\n');

/** Milliseconds by job, from the lines of the serial port as they arrive. */
function stopwatch(): { take(serial: string): void; times: Map<string, number> } {
  const begun = new Map<string, number>();
  const times = new Map<string, number>();
  let seen = 0;
  return {
    times,
    take(serial) {
      const now = performance.now();
      const end = serial.lastIndexOf('\n') + 1;
      for (const [, verb, name] of serial.slice(seen, end).matchAll(/(start|end) ([\w-]+)\r?\n/g))
        if (verb === 'start') begun.set(name!, now);
        else if (begun.has(name!)) times.set(name!, now - begun.get(name!)!);
      seen = Math.max(seen, end);
    },
  };
}

async function ours(images: string[], initrd: string): Promise<Map<string, number>> {
  const guest = emulators.ours(
    {
      width: 32,
      kernel: linux686(),
      initrd,
      cmdline: COMMAND_LINE,
      memoryMiB: MEMORY_MIB,
      drives: [drive('ide0', 'disk', images[0]!), drive('sata0', 'disk', images[1]!), drive('virtio0', 'disk', images[2]!)],
    },
    'jit',
  );
  const stopped = stopwatch();
  let serial = '';
  await watch(guest, LIMIT_MS, (text) => {
    serial += text;
    stopped.take(serial);
    return serial.includes('ALL DONE');
  });
  return stopped.times;
}

async function peers(images: string[], initrd: string): Promise<Map<string, number>> {
  const file = (index: number) => ['-drive', `if=none,id=d${index},file=${images[index]},format=raw,cache=writeback`];
  const qemu = new Qemu([
    ...['-kernel', linux686(), '-initrd', initrd, '-append', COMMAND_LINE, '-m', String(MEMORY_MIB)],
    ...[0, 1, 2].flatMap(file),
    ...[
      '-device',
      'ide-hd,drive=d0,bus=ide.0',
      '-device',
      'ahci,id=ahci',
      '-device',
      'ide-hd,drive=d1,bus=ahci.0',
      '-device',
      'virtio-blk-pci,drive=d2',
    ],
  ]);
  const stopped = stopwatch();
  qemu.child.stdout!.on('data', () => stopped.take(qemu.serial));
  try {
    await qemu.onSerial(/ALL DONE/, LIMIT_MS);
    return stopped.times;
  } finally {
    await qemu.end();
  }
}

export const guestdisk: Bench = async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-guestdisk-'));
  try {
    const initrd = path.join(folder, 'initrd');
    storageInitrd('i386', initrd, script, [randomDiskProgram()]);
    const content = Buffer.alloc(1 << 20, 0x5a);
    const images = disks.map(({ name }) => {
      const image = path.join(folder, `${name}.img`);
      const file = openSync(image, 'w');
      for (let i = 0; i < MEBIBYTES; i++) writeSync(file, content);
      closeSync(file);
      return image;
    });
    const peer = await peers(images, initrd);
    const own = await ours(images, initrd);
    return disks.flatMap((disk) =>
      jobs.map((job): Row => {
        const rates = (from: Map<string, number>) =>
          PASSES.map((pass) => job.amount / ((from.get(`${pass}-${disk.name}-${job.name}`) ?? Number.NaN) / 1000));
        const [mine, theirs] = [rates(own), rates(peer)];
        const both = (numbers: number[]) => `${numbers.map((rate) => fixed(rate, 0)).join(', ')} ${job.unit}`;
        return {
          what: `disk in the guest, ${disk.name}: ${job.what}; at first, warm`,
          ours: both(mine),
          peer: both(theirs),
          ratio: mine.map((rate, i) => `${fixed(rate / theirs[i]!, 2)}x`).join(', '),
        };
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
