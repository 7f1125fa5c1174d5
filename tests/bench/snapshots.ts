import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { initramfs, linuxKernel } from '../guests/support/images.ts';
import { openProduct, type Product, type RunningMachine, seconds } from './support/product.ts';
import { Qemu } from './support/qemu.ts';
import { Qmp } from './support/qmp.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * Snapshots with memory of a Linux guest of 1 GiB, and reverts to them, beside QEMU's savevm and loadvm of the same guest: same kernel, initramfs, size and kind of disk, same
 * contents of memory. QEMU is told over QMP; its guest stands the whole time of both. Ours is the application as people run it, told over its contract: a revert ends a
 * process and starts another. Times are the host's.
 */
const MEMORY_MIB = 1024;
const DISK_BYTES = 1 << 30;
const ROUNDS = 3;
const BOOT_LIMIT_SECONDS = 300;
const COMMAND_LINE = 'console=ttyS0,115200 console=tty0 quiet mitigations=off cryptomgr.notests=1';
/** A quarter of memory in use, half of that as programs are and half that nothing can compress, as a cache of files would be. */
const FILL =
  'i=0; while [ $i -lt 64 ]; do cat /bin/busybox >>/tmp/a; i=$((i+1)); done; dd if=/dev/urandom of=/tmp/b bs=1M count=128 2>/dev/null; clear; echo FIL""LED';
/** Writes to memory and to the disk, on and on. */
const LOAD = '(while :; do cat /bin/busybox >/tmp/c; dd if=/tmp/c of=/dev/sda bs=64k conv=fsync 2>/dev/null; done) & clear; echo LOAD""ED';

interface Times {
  takeMs: number[];
  revertMs: number[];
  pauseMs: number[];
  bytes: number;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function onScreen(product: Product, machine: RunningMachine, pattern: RegExp): Promise<void> {
  for (let waited = 0; waited < BOOT_LIMIT_SECONDS; waited++) {
    if (pattern.test((await product.screen(machine)) ?? '')) return;
    await seconds(1);
  }
  throw new Error(`${pattern} did not come in ${BOOT_LIMIT_SECONDS} s`);
}

async function ours(): Promise<{ idle: Times; load: Times }> {
  const product = await openProduct();
  try {
    const machine = await product.machine('snapshots', '', {
      memoryMiB: MEMORY_MIB,
      cpuModel: 'x86-64-v2',
      source: { type: 'kernel', path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: COMMAND_LINE },
      newDisk: { sizeBytes: DISK_BYTES, format: 'qcow2' },
    });
    await onScreen(product, machine, /GUEST READY/);
    await product.type(machine, `\n${FILL}\n`);
    await onScreen(product, machine, /FILLED/);
    const { id } = machine;
    const rounds = async (): Promise<Times> => {
      const times: Times = { takeMs: [], revertMs: [], pauseMs: [], bytes: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        await seconds(2);
        let snapshot = '';
        times.takeMs.push(
          await timed(async () => {
            const taken = await product.contract.call('snapshot.take', { id, name: `round ${round}` });
            snapshot = taken.id;
            times.pauseMs.push(taken.pauseMs ?? Number.NaN);
            times.bytes = taken.memoryBytes;
          }),
        );
        await seconds(1);
        times.revertMs.push(await timed(() => product.contract.call('snapshot.revert', { id, snapshot })));
        await product.contract.call('snapshot.delete', { id, snapshot });
      }
      return times;
    };
    const idle = await rounds();
    await product.type(machine, `\n${LOAD}\n`);
    await onScreen(product, machine, /LOADED/);
    return { idle, load: await rounds() };
  } finally {
    await product.end();
  }
}

async function peers(folder: string): Promise<{ idle: Times; load: Times }> {
  const disk = path.join(folder, 'disk.qcow2');
  const socket = path.join(folder, 'qmp');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', disk, String(DISK_BYTES)]);
  const qemu = new Qemu(
    [
      ...['-kernel', linuxKernel('amd64'), '-initrd', initramfs('amd64'), '-append', COMMAND_LINE.replace('console=tty0 ', '')],
      ...['-m', String(MEMORY_MIB), '-drive', `file=${disk},format=qcow2,if=ide`, '-qmp', `unix:${socket},server=on,wait=off`],
    ],
    64,
  );
  try {
    await qemu.onSerial(/GUEST READY/, BOOT_LIMIT_SECONDS * 1000);
    await seconds(2);
    qemu.type(`\n${FILL}\n`);
    await qemu.onSerial(/FILLED/, BOOT_LIMIT_SECONDS * 1000);
    const qmp = await Qmp.connect(socket);
    const monitor = async (line: string): Promise<void> => {
      const answer = await qmp.monitor(line);
      if (answer.trim()) throw new Error(`${line}: ${answer.trim()}`);
    };
    const rounds = async (): Promise<Times> => {
      const times: Times = { takeMs: [], revertMs: [], pauseMs: [], bytes: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        await seconds(2);
        const before = statSync(disk).blocks * 512;
        times.takeMs.push(await timed(() => monitor('savevm one')));
        times.bytes = Math.max(times.bytes, statSync(disk).blocks * 512 - before);
        await seconds(1);
        times.revertMs.push(await timed(() => monitor('loadvm one')));
        await monitor('delvm one');
      }
      times.pauseMs = times.takeMs;
      return times;
    };
    const idle = await rounds();
    qemu.type(`\n${LOAD}\n`);
    await qemu.onSerial(/LOADED/, 60_000);
    const load = await rounds();
    qmp.end();
    return { idle, load };
  } finally {
    await qemu.end();
  }
}

const milliseconds = (value: number) => `${fixed(value, 0)} ms`;
const mebibytes = (bytes: number) => `${fixed(bytes / 1024 / 1024, 0)} MiB`;

export const snapshots: Bench = async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-snapshotbench-'));
  try {
    const peer = await peers(folder);
    const own = await ours();
    return (['idle', 'load'] as const).flatMap((kind): Row[] => {
      const [mine, theirs] = [own[kind], peer[kind]];
      const row = (what: string, of: 'takeMs' | 'revertMs' | 'pauseMs'): Row => ({
        what: `snapshot of 1 GiB Linux, ${kind === 'idle' ? 'idle' : 'writing'}: ${what}`,
        ours: milliseconds(median(mine[of])),
        peer: milliseconds(median(theirs[of])),
        ratio: `${fixed(median(theirs[of]) / median(mine[of]), 2)}x`,
        note: `${mine[of].map((ms) => fixed(ms, 0)).join(' ')} / ${theirs[of].map((ms) => fixed(ms, 0)).join(' ')}`,
      });
      return [
        row('take', 'takeMs'),
        row('revert', 'revertMs'),
        row('guest stands', 'pauseMs'),
        {
          what: `snapshot of 1 GiB Linux, ${kind === 'idle' ? 'idle' : 'writing'}: size`,
          ours: mebibytes(mine.bytes),
          peer: theirs.bytes ? mebibytes(theirs.bytes) : '',
        },
      ];
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
