import { initramfs, linuxKernel } from '../guests/support/images.ts';
import { benchGuest } from './support/guestimage.ts';
import { describeParts, type MemoryUse, memoryUse } from './support/memorymap.ts';
import { residentBytes } from './support/procstat.ts';
import { openProduct, type Product, type RunningMachine, seconds } from './support/product.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * Memory of a machine's process that is not its guest's RAM: with a guest in a text mode that does nothing; and with Linux, idle after its boot and
 * busy. `proportional` divides the pages of Node's program file among the processes that run it: what one more machine costs.
 */
const RAM_MIB = 256;
const LINUX_MIB = 512;
const BUSY_SECONDS = 60;
/** What of the boot's compiled code is not used for a minute is thrown away then, and V8's heaps with it. */
const SOON_SECONDS = 10;
const IDLE_SECONDS = 90;
const BOOT_LIMIT_SECONDS = 300;
/** Both consoles hear the kernel; the last one named is the shell's, which the screen shows. */
const LINUX_COMMAND_LINE = 'console=ttyS0,115200 console=tty0 mitigations=off cryptomgr.notests=1';
/** Processes, packing, sums and floating point, in turn, until the machine is off. */
const BUSY_LINE =
  "while :; do gzip -c /bin/busybox | gzip -dc | md5sum; i=0; while [ $i -lt 200 ]; do ( : ); i=$((i+1)); done; awk 'BEGIN{for(i=1;i<99999;i++)s+=1/(i*i);print s}'; sha256sum /bin/busybox; dmesg | grep -c a; done\n";

const mebibytes = (bytes: number) => `${fixed(bytes / 1024 / 1024, 0)} MiB`;

const describe = (use: MemoryUse) =>
  `proportional ${mebibytes(use.pss - use.guestRam)}; of all ${mebibytes(use.rss)}, guest RAM ${mebibytes(use.guestRam)}; MiB: ${describeParts(use)}`;

async function bare(product: Product): Promise<Row[]> {
  const qemu = new Qemu(['-kernel', benchGuest(), '-append', 'idle', '-m', String(RAM_MIB)]);
  try {
    const first = await product.machine('first', 'idle', { memoryMiB: RAM_MIB });
    const second = await product.machine('second', 'idle', { memoryMiB: RAM_MIB });
    await qemu.onSerial(/bench guest/, 30_000);
    await seconds(5);
    const [one, two] = [first, second].map(({ pid }) => memoryUse(pid, RAM_MIB << 20)) as [MemoryUse, MemoryUse];
    const peer = residentBytes(qemu.pid, RAM_MIB << 20);
    return [
      {
        what: 'memory: beyond guest RAM, a guest that does nothing',
        ours: mebibytes(one.beyond),
        peer: mebibytes(peer.total - peer.ram),
        note: `a second machine ${mebibytes(two.beyond)}; ${describe(one)}`,
      },
    ];
  } finally {
    await qemu.end();
  }
}

async function bootLinux(product: Product): Promise<RunningMachine> {
  const machine = await product.machine('linux', LINUX_COMMAND_LINE, {
    memoryMiB: LINUX_MIB,
    source: { type: 'kernel', path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: LINUX_COMMAND_LINE },
  });
  for (let waited = 0; waited < BOOT_LIMIT_SECONDS; waited++) {
    if (/GUEST READY/.test((await product.screen(machine)) ?? '')) return machine;
    await seconds(1);
  }
  throw new Error(`Linux was not ready after ${BOOT_LIMIT_SECONDS} s`);
}

async function linux(product: Product): Promise<Row[]> {
  const machine = await bootLinux(product);
  await seconds(SOON_SECONDS);
  const soon = memoryUse(machine.pid, LINUX_MIB << 20);
  await seconds(IDLE_SECONDS - SOON_SECONDS);
  const idle = memoryUse(machine.pid, LINUX_MIB << 20);
  await product.type(machine, `\n${BUSY_LINE}`);
  await seconds(BUSY_SECONDS);
  const busy = memoryUse(machine.pid, LINUX_MIB << 20);
  return [
    { what: `memory: beyond guest RAM, Linux amd64 idle for ${SOON_SECONDS} s`, ours: mebibytes(soon.beyond), note: describe(soon) },
    { what: `memory: beyond guest RAM, idle for ${IDLE_SECONDS} s`, ours: mebibytes(idle.beyond), note: describe(idle) },
    { what: `memory: beyond guest RAM, after ${BUSY_SECONDS} s of work`, ours: mebibytes(busy.beyond), note: describe(busy) },
  ];
}

export const memory: Bench = async () => {
  const product = await openProduct();
  try {
    const rows = [...(await bare(product)), ...(await linux(product))];
    return [...rows, { what: 'memory: resident, server process', ours: mebibytes(residentBytes(product.serverPid, RAM_MIB << 20).total) }];
  } finally {
    await product.end();
  }
};
