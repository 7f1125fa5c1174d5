import { execFileSync } from 'node:child_process';
import { existsSync, openSync, closeSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ContractClient } from '../../core/contract/client.ts';
import type { VmSummary } from '../../core/contract/vm.ts';
import { openContract } from '../e2e/support/contract.ts';
import { startServer, type TestServer } from '../e2e/support/server.ts';
import { expectSameSnapshots } from './support/snapshotfolder.ts';

/**
 * The process of a machine that writes to its disk without end is killed before, in and after snapshots. The guest is a boot sector: it counts in memory at 0x8000 and
 * writes that sector, through the BIOS, to one place after the other.
 */
const BOOT_SECTOR = Buffer.alloc(512);
Buffer.from(
  [
    '31c0 8ed8 8ec0', // xor ax,ax; ds = es = 0
    'ff060080', //       next: inc word [0x8000]
    'a10080 25ff03', //  ax = counter & 0x3ff
    '054000 a3487c', //  block of the packet = 64 + ax
    'be407c b280', //    si = packet; dl = first hard disk
    'b80043 cd13', //    extended write
    'ebe4', //           jmp next
  ]
    .join('')
    .replaceAll(' ', ''),
  'hex',
).copy(BOOT_SECTOR);
// The packet of INT 13h, function 43h: its size, one sector, from 0000:8000, to the block at its end.
Buffer.from('10000100008000004000000000000000', 'hex').copy(BOOT_SECTOR, 0x40);
BOOT_SECTOR.writeUInt16LE(0xaa55, 510);

let server: TestServer;
let contract: ContractClient & { end(): void };
let vm: VmSummary;
const disk = () => path.join(vm.folder, 'disk.qcow2');
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  server = await startServer();
  contract = await openContract(server);
  vm = await contract.call('vm.create', {
    name: 'Killed',
    memoryMiB: 16,
    source: { type: 'blank' },
    newDisk: { sizeBytes: 4 << 20, format: 'qcow2' },
  });
  const raw = path.join(vm.folder, 'boot.img');
  const file = openSync(raw, 'w');
  writeSync(file, BOOT_SECTOR);
  writeSync(file, Buffer.alloc(512), 0, 512, (4 << 20) - 512);
  closeSync(file);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, disk()]);
  await contract.call('vm.start', { id: vm.id });
}, 120_000);

afterAll(async () => {
  contract?.end();
  await server?.stop();
});

/** How far the guest's counter has come on the disk. */
function counted(): number {
  const target = path.join(vm.folder, 'look.img');
  execFileSync('qemu-img', ['convert', '-U', '-O', 'raw', disk(), target]);
  const bytes = readFileSync(target);
  let highest = 0;
  for (let block = 64; block < 64 + 1024; block++) highest = Math.max(highest, bytes.readUInt16LE(block * 512));
  return highest;
}

/** Every snapshot is whole or absent, in the list, in the folder and in the disk alike. */
async function names(): Promise<string[]> {
  const { snapshots } = await contract.call('snapshot.list', { id: vm.id });
  expectSameSnapshots(vm.folder, disk(), snapshots);
  return snapshots.map(({ name }) => name);
}

test('a machine killed around snapshots has each of them whole or not at all', async () => {
  const { id } = vm;
  const until = async (what: string, probe: () => boolean | Promise<boolean>) => {
    for (const end = Date.now() + 60_000; !(await probe()); await wait(2)) if (Date.now() > end) throw new Error(`${what} did not come`);
  };
  await until('the first block', () => counted() > 0);
  const begun = performance.now();
  const base = (await contract.call('snapshot.take', { id, name: 'base' })).id;
  const took = performance.now() - begun;
  const journal = path.join(vm.folder, 'snapshots/journal.json');
  const kill = async () => {
    process.kill(JSON.parse(readFileSync(path.join(vm.folder, '.lock'), 'utf8')).others[0].pid as number, 'SIGKILL');
    await until('the end', async () => (await contract.call('vm.get', { id })).state === 'crashed');
  };
  /** When it is killed: as soon as the snapshot has begun, in the middle of it, at once after it, and a little later. */
  const moments: ((taking: Promise<unknown>) => Promise<unknown>)[] = [
    () => until('the journal', () => existsSync(journal)),
    () => wait(took / 2),
    (taking) => taking,
    (taking) => taking.then(() => wait(30)),
  ];
  const outcomes: boolean[] = [];
  for (const [round, moment] of moments.entries()) {
    const name = `k${round}`;
    const taking = contract.call('snapshot.take', { id, name }).then(
      () => true,
      () => false,
    );
    await moment(taking);
    await kill();
    const taken = await taking;
    // Settles what was cut off; then it runs on from the base, or from what was taken.
    const { snapshots } = await contract.call('snapshot.list', { id });
    const whole = snapshots.find((snapshot) => snapshot.name === name);
    expect(whole !== undefined).toBe(taken);
    await contract.call('snapshot.revert', { id, snapshot: whole?.id ?? base });
    expect((await contract.call('vm.get', { id })).state).toBe('running');
    // A command that the snapshot had cut in two would fail, and the guest write nothing ever after.
    await until('a block written after the revert', async () => ((await contract.call('vm.stats', { id }))?.diskWriteBytes ?? 0) > 0);
    await contract.call('vm.forceOff', { id });
    expect((await names()).includes(name)).toBe(taken);
    outcomes.push(taken);
    // Not from power-on, where it would count anew.
    await contract.call('snapshot.revert', { id, snapshot: base });
  }
  expect(outcomes[0], 'killed as it began').toBe(false);
  expect(outcomes.slice(2), 'killed after it').toEqual([true, true]);
}, 120_000);
