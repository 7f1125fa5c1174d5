import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ContractClient } from '../../core/contract/client.ts';
import type { VmSummary } from '../../core/contract/vm.ts';
import { openContract } from '../e2e/support/contract.ts';
import { startServer, type TestServer } from '../e2e/support/server.ts';
import { FAST_BOOT, initramfs, linuxKernel } from '../guests/support/images.ts';
import { expectSameSnapshots } from '../guests/support/snapshotfolder.ts';

/**
 * A Linux guest that writes to memory and disk without end, in a real VM process under a real server. Ten snapshots of it while it runs, reverted at random;
 * then its process is killed at random moments, also in the middle of snapshots.
 */
const SNAPSHOTS = 10;
const KILLS = Number(process.env.HYPERVUE_KILLS ?? 20);
let server: TestServer;
let contract: ContractClient & { end(): void };
let vm: VmSummary;
const disk = () => path.join(vm.folder, 'disk.qcow2');

beforeAll(async () => {
  server = await startServer();
  contract = await openContract(server);
  const made = await contract.call('vm.create', {
    name: 'Load',
    memoryMiB: 160,
    cpuModel: 'x86-64-v2',
    source: { type: 'kernel', path: linuxKernel('amd64'), initrd: initramfs('amd64'), cmdline: `quiet ${FAST_BOOT}` },
    newDisk: { sizeBytes: 64 << 20, format: 'qcow2' },
  });
  vm = made;
  await contract.call('vm.start', { id: vm.id });
  await onScreen(/\/ #/, 240_000);
  // A counter in memory and on the disk, each followed by the sum of a file that goes with it.
  await type(
    'n=0; while :; do n=$((n+1)); dd if=/dev/urandom of=/tmp/f bs=64k count=1 2>/dev/null; s=$(md5sum </tmp/f); dd if=/tmp/f of=/dev/sda bs=64k seek=$((n%900)) conv=fsync 2>/dev/null; echo $n $((n%900)) $s >/tmp/n; [ -e /tmp/stop ] && break; done &',
  );
  await new Promise((resolve) => setTimeout(resolve, 2000));
}, 400_000);

afterAll(async () => {
  contract?.end();
  await server?.stop();
});

async function type(line: string): Promise<void> {
  await contract.call('vm.typeText', { id: vm.id, text: `${line}\n`, delayMs: 4 });
}

async function onScreen(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
  for (const end = Date.now() + timeoutMs; ; ) {
    const text = (await contract.call('vm.screenText', { id: vm.id }))?.rows.join('\n') ?? '';
    const found = pattern.exec(text);
    if (found) return found;
    if (Date.now() > end) throw new Error(`${pattern} did not come:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The block that memory says was written last is on the disk with the sum that memory has. */
async function expectWhole(): Promise<number> {
  await type(
    'touch /tmp/stop; wait; clear; echo 3 >/proc/sys/vm/drop_caches; read n b s x </tmp/n; set -- $(dd if=/dev/sda bs=64k skip=$b count=1 2>/dev/null | md5sum); echo at $n $s $1 end',
  );
  const [, count, inMemory, onDisk] = await onScreen(/^at (\d+) ([0-9a-f]{32}) ([0-9a-f]{32}) end/m);
  expect(onDisk).toBe(inMemory);
  return Number(count);
}

/** Every snapshot is whole or absent, in the list, in the folder and in the disk alike; the disk has leaks at worst. */
async function expectConsistent(): Promise<void> {
  const { snapshots } = await contract.call('snapshot.list', { id: vm.id });
  expectSameSnapshots(vm.folder, disk(), snapshots);
  for (const { id } of snapshots) expect(existsSync(path.join(vm.folder, 'snapshots', id, 'memory.state'))).toBe(true);
}

test('ten snapshots of a running guest; each is what it was, in any order', async () => {
  const { id } = vm;
  const taken: string[] = [];
  const pauses: number[] = [];
  for (let index = 0; index < SNAPSHOTS; index++) {
    const snapshot = await contract.call('snapshot.take', { id, name: `s${index}` });
    taken.push(snapshot.id);
    pauses.push(snapshot.pauseMs!);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  process.stdout.write(`the guest stood for ${pauses.join(', ')} ms\n`);
  await contract.call('vm.forceOff', { id });
  await expectConsistent();
  let last = -1;
  for (const index of [3, 9, 0, 6, 3]) {
    await contract.call('snapshot.revert', { id, snapshot: taken[index]! });
    const count = await expectWhole();
    expect(count).toBeGreaterThan(0);
    last = count;
  }
  expect(last).toBeGreaterThan(0);
  const clone = await contract.call('snapshot.clone', { id, snapshot: taken[5]!, name: 'Branch' });
  execFileSync('qemu-img', ['check', '-q', path.join(clone.folder, 'disk.qcow2')]);
  for (const index of [0, 4, 9]) await contract.call('snapshot.delete', { id, snapshot: taken[index]! });
  await contract.call('vm.forceOff', { id });
  await expectConsistent();
}, 900_000);

test('its process killed at random moments, writing and in the middle of snapshots', async () => {
  const { id } = vm;
  const base = (await contract.call('snapshot.list', { id })).snapshots[0]!.id;
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const outcomes = { taken: 0, absent: 0 };
  await contract.call('snapshot.revert', { id, snapshot: base });
  const begun = performance.now();
  const measured = await contract.call('snapshot.take', { id, name: 'measured' });
  const took = performance.now() - begun;
  await contract.call('snapshot.delete', { id, snapshot: measured.id });
  for (let round = 0; round < KILLS; round++) {
    await contract.call('snapshot.revert', { id, snapshot: base });
    await new Promise((resolve) => setTimeout(resolve, 200 + random() * 300));
    const pid = JSON.parse(readFileSync(path.join(vm.folder, '.lock'), 'utf8')).others[0].pid as number;
    const taking = contract.call('snapshot.take', { id, name: `k${round}` }).then(
      () => outcomes.taken++,
      () => outcomes.absent++,
    );
    // Spread from its beginning to some time after its end, whatever it takes on this computer.
    await new Promise((resolve) => setTimeout(resolve, ((round + random()) / KILLS) * 2 * took));
    process.kill(pid, 'SIGKILL');
    await taking;
    while ((await contract.call('vm.get', { id })).state !== 'crashed') await new Promise((resolve) => setTimeout(resolve, 20));
    // The next operation settles what was cut off.
    await contract.call('snapshot.revert', { id, snapshot: base });
    await contract.call('vm.forceOff', { id });
    await expectConsistent();
  }
  process.stdout.write(`${JSON.stringify(outcomes)}\n`);
  expect(outcomes.absent).toBeGreaterThan(0);
  expect(outcomes.taken).toBeGreaterThan(0);
  await contract.call('snapshot.revert', { id, snapshot: base });
  await expectWhole();
  await contract.call('vm.forceOff', { id });
}, 1_800_000);
