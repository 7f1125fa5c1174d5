import { benchGuest } from './support/guestimage.ts';
import { cpuSeconds } from './support/procstat.ts';
import { openProduct, seconds } from './support/product.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed } from './support/report.ts';

/** Processor share of a guest that halts and gets 18.2 timer interrupts a second, without viewers. */
const SETTLE_SECONDS = 4;
const MEASURE_SECONDS = 10;

async function share(pids: readonly number[]): Promise<number[]> {
  await seconds(SETTLE_SECONDS);
  const before = pids.map(cpuSeconds);
  const start = performance.now();
  await seconds(MEASURE_SECONDS);
  const elapsed = (performance.now() - start) / 1000;
  return pids.map((pid, index) => ((cpuSeconds(pid) - before[index]!) / elapsed) * 100);
}

export const idle: Bench = async () => {
  const product = await openProduct();
  const qemu = new Qemu(['-kernel', benchGuest(), '-append', 'idle', '-m', '64']);
  try {
    const machine = await product.machine('idle', 'idle');
    await qemu.onSerial(/bench guest/, 30_000);
    const [vm, server, peer] = (await share([machine.pid, product.serverPid, qemu.pid])) as [number, number, number];
    return [
      {
        what: 'idle: processor share of a halting guest',
        ours: `${fixed(vm)} %`,
        peer: `${fixed(peer)} %`,
        note: `the server beside it: ${fixed(server)} %`,
      },
    ];
  } finally {
    await qemu.end();
    await product.end();
  }
};
