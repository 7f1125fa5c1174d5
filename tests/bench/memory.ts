import { benchGuest } from './support/guestimage.ts';
import { residentBytes } from './support/procstat.ts';
import { openProduct, seconds } from './support/product.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed } from './support/report.ts';

/** Resident memory of a machine's process that is not its guest's RAM, with a guest in a text mode, after a few seconds. */
const RAM_MIB = 256;
const RAM_BYTES = RAM_MIB * 1024 * 1024;

const mib = (bytes: number) => `${fixed(bytes / 1024 / 1024, 0)} MiB`;

export const memory: Bench = async () => {
  const product = await openProduct();
  const qemu = new Qemu(['-kernel', benchGuest(), '-append', 'idle', '-m', String(RAM_MIB)]);
  try {
    const first = await product.machine('first', 'idle', { memoryMiB: RAM_MIB });
    const second = await product.machine('second', 'idle', { memoryMiB: RAM_MIB });
    await qemu.onSerial(/bench guest/, 30_000);
    await seconds(5);
    const [one, two] = [first, second].map(({ pid }) => residentBytes(pid, RAM_BYTES)) as [
      ReturnType<typeof residentBytes>,
      ReturnType<typeof residentBytes>,
    ];
    const peer = residentBytes(qemu.pid, RAM_BYTES);
    const server = residentBytes(product.serverPid, RAM_BYTES);
    return [
      {
        what: 'memory: resident, without the guest memory mapping',
        ours: mib(one.total - one.ram),
        peer: mib(peer.total - peer.ram),
        note: `a second machine ${mib(two.total - two.ram)}; of the mapping ${mib(one.ram)} are resident, QEMU's ${mib(peer.ram)}`,
      },
      { what: 'memory: resident, server process', ours: mib(server.total) },
    ];
  } finally {
    await qemu.end();
    await product.end();
  }
};
