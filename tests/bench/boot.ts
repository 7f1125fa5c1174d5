import { Guest } from '../guests/support/guest.ts';
import { initramfs, linux686 } from '../guests/support/images.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * Debian's Linux 6.1 for i386, booted directly. The clock runs from the first thing the kernel says on COM1, before it decompresses itself, to
 * its starting /init, and on to the end of the init script. Both machines get the same files, command line and memory.
 */
const COMMAND_LINE = 'console=ttyS0,115200 earlyprintk=serial,ttyS0,115200 mitigations=off';
const MEMORY_MIB = 128;
const STARTS = /early console|Decompressing Linux|Linux version/;
const INIT = /Run \/init as init process/;
const READY = /GUEST READY/;
const LIMIT_MS = 300_000;

interface Boot {
  initWall: number;
  initCpu: number;
  readyWall: number;
  readyCpu: number;
}

async function stopwatch(wait: (pattern: RegExp) => Promise<unknown>, cpu: () => number): Promise<Boot> {
  await wait(STARTS);
  const wall = performance.now();
  const begun = cpu();
  await wait(INIT);
  const initWall = (performance.now() - wall) / 1000;
  const initCpu = cpu() - begun;
  await wait(READY);
  return { initWall, initCpu, readyWall: (performance.now() - wall) / 1000, readyCpu: cpu() - begun };
}

async function ours(): Promise<Boot & { instructions: number }> {
  const guest = new Guest({
    kernel: { path: linux686(), initrd: initramfs('i386'), cmdline: COMMAND_LINE },
    memoryMiB: MEMORY_MIB,
  });
  try {
    await guest.start();
    const boot = await stopwatch(
      (pattern) => guest.onSerial(pattern, LIMIT_MS),
      () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
    );
    return { ...boot, instructions: guest.vm.instructions() };
  } finally {
    await guest.end();
  }
}

async function peers(): Promise<Boot> {
  const qemu = new Qemu(['-kernel', linux686(), '-initrd', initramfs('i386'), '-append', COMMAND_LINE, '-m', String(MEMORY_MIB)]);
  try {
    return await stopwatch(
      (pattern) => qemu.onSerial(pattern, LIMIT_MS),
      () => qemu.cpuSeconds(),
    );
  } finally {
    await qemu.end();
  }
}

export const boot: Bench = async () => {
  const peer = await peers();
  const own = await ours();
  const row = (what: string, wall: number, peerWall: number, cpu: number, peerCpu: number): Row => ({
    what,
    ours: `${fixed(wall)} s`,
    peer: `${fixed(peerWall)} s`,
    ratio: `${fixed(wall / peerWall)}x`,
    note: `CPU ${fixed(cpu)} s beside ${fixed(peerCpu)} s, ${fixed(cpu / peerCpu)}x`,
  });
  return [
    row('boot: Linux 6.1 kernel to init', own.initWall, peer.initWall, own.initCpu, peer.initCpu),
    row('boot: to the end of the init script', own.readyWall, peer.readyWall, own.readyCpu, peer.readyCpu),
  ];
};
