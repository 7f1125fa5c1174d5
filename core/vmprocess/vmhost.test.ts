import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type VmConfig, type VmStateName, vmConfigSchema } from '../contract/vm.ts';
import { createDisk } from '../platform/creatediskfile.ts';
import { findFirmware } from '../platform/firmware.ts';
import { mountSmall } from '../platform/testing/smalldisk.ts';
import type { HypervueError } from '../util/errors.ts';
import { runtimePaths } from './runtimepaths.ts';
import { VmHost } from './vmhost.ts';

/** The real machine against a host whose disk fails it. Guests are boot sectors that write or read by BIOS calls and tell on COM1. */
const MIB = 1024 * 1024;
const SECTOR = 512;

/**
 * Fills 1000:0000 with 5A, then writes it to the first hard disk in runs of 127 sectors (int 13h, AH=43h) from sector 1 to 12192. Each run says '.'
 * or, when the BIOS reports an error, 'E'; the end says '!'.
 */
const WRITER = Buffer.from(
  '31c08ed88ed0bc007cb800108ec031ffb9007fb85a5afcf3abbe407cb280b80043cd13b02e7302b045baf803ee8306487c7f813e487ca02f72dfb021eef4ebfd10007f00000000100100000000000000',
  'hex',
);
/** Reads sector 2000 of the first hard disk for ever (int 13h, AH=42h, the count set anew as the BIOS writes it back): '.' or 'E'. */
const READER = Buffer.from(
  '31c08ed88ed0bc007cc706277c0100be257cb280b80042cd13b02e7302b045baf803eeebe41000010000000010d007000000000000',
  'hex',
);
const FIRST_SECTOR = 1;
const LAST_SECTOR = 12_192;

const paths = runtimePaths(import.meta.url);
let folder: string;
let vm: VmHost | undefined;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hypervue-vmhost-'));
});

afterEach(async () => {
  if (vm && vm.state !== 'off' && vm.state !== 'crashed') await vm.forceOff();
  vm = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function disk(file: string, boot: Buffer, sizeBytes: number): string {
  const sector = Buffer.alloc(SECTOR);
  boot.copy(sector);
  sector.set([0x55, 0xaa], 510);
  writeFileSync(file, sector);
  truncateSync(file, sizeBytes);
  return file;
}

interface Running {
  vm: VmHost;
  /** What the guest said on COM1. */
  serial: string;
  states: { state: VmStateName; error?: HypervueError }[];
  log: string[];
}

function host(image: string, changes: Partial<VmConfig> = {}): Running {
  const config = vmConfigSchema.parse({
    schema: 1,
    id: '00000000-0000-4000-8000-000000000001',
    name: 'guest',
    createdAt: '2026-01-01T00:00:00Z',
    cpu: {},
    memoryMiB: 16,
    boot: { order: ['disk'] },
    drives: [{ id: 'ide0', kind: 'disk', path: image, format: 'raw', readOnly: false }],
    display: {},
    serial: [{ type: 'console' }, { type: 'none' }],
    ...changes,
  });
  vm = new VmHost({
    start: { config, folder, firmwareFolder: findFirmware(paths.firmwareFolder).folder, cpuWasmPath: paths.cpuWasm, channelSocket: '' },
    machineThread: paths.machineThread,
  });
  const running: Running = { vm, serial: '', states: [], log: [] };
  vm.onState.on((state) => running.states.push(state));
  vm.onLog.on(({ level, message }) => running.log.push(`${level}: ${message}`));
  return running;
}

async function start(image: string): Promise<Running> {
  const running = host(image);
  await running.vm.start();
  running.vm.serial[0]!.onOutput = (bytes) => {
    running.serial += Buffer.from(bytes).toString('latin1');
  };
  return running;
}

const soon = { timeout: 60_000, interval: 20 };
const states = ({ states: all }: Running) => all.map(({ state }) => state);

describe('a disk of the host that becomes full', () => {
  test('pauses the machine with the reason; with room again it goes on, and not a byte is lost', async ({ skip }) => {
    const small = mountSmall(8 * MIB) ?? skip('only root may mount a small file system');
    try {
      const filler = path.join(small.folder, 'filler-first');
      writeFileSync(filler, Buffer.alloc(5 * MIB, 1));
      const image = disk(path.join(small.folder, 'disk.img'), WRITER, 8 * MIB);
      const running = await start(image);
      await expect.poll(() => running.vm.state, soon).toBe('paused');
      expect(running.states.at(-1)!.error).toMatchObject({ kind: 'no-space', message: expect.stringContaining(image) });
      expect(running.log.some((line) => line.startsWith('error: ide0') && line.includes('full'))).toBe(true);
      const before = running.serial;
      expect(before).toMatch(/^\.+$/);

      // Nothing changed, so it can't go on, and says so.
      await expect(running.vm.resume()).rejects.toMatchObject({ kind: 'no-space' });
      expect(running.vm.state).toBe('paused');
      expect(running.serial).toBe(before);

      rmSync(filler);
      await running.vm.resume();
      await expect.poll(() => running.serial, soon).toContain('!');
      // The guest never saw an error.
      expect(running.serial).toMatch(/^\.+!$/);
      expect(running.vm.state).toBe('running');
      await running.vm.forceOff();
      const bytes = readFileSync(image).subarray(FIRST_SECTOR * SECTOR, LAST_SECTOR * SECTOR);
      expect(bytes.every((byte) => byte === 0x5a)).toBe(true);
    } finally {
      if (vm?.state === 'running' || vm?.state === 'paused') await vm.forceOff();
      small.unmount();
    }
  }, 120_000);
});

test('a disk image cut short under a running guest gives the guest an error and the log an entry', async () => {
  const image = disk(path.join(folder, 'disk.img'), READER, 4 * MIB);
  const running = await start(image);
  await expect.poll(() => running.serial, soon).toContain('.');
  truncateSync(image, MIB / 2);
  await expect.poll(() => running.serial, soon).toContain('E');
  expect(running.vm.state).toBe('running');
  expect(running.log.some((line) => /^warn: ide0: read at byte 1024000 failed: .*became shorter/.test(line))).toBe(true);
  // A guest that tries for ever does not fill the log.
  await expect.poll(() => running.serial.split('E').length, soon).toBeGreaterThan(40);
  expect(running.log.filter((line) => line.includes('failed')).length).toBeLessThanOrEqual(20);
}, 120_000);

describe('a start', () => {
  test.each<[string, (image: string) => Partial<VmConfig>, string]>([
    ['whose disk vanished', (image) => (rmSync(image) as undefined) ?? {}, 'not-found'],
    ['whose disk became empty', (image) => (truncateSync(image, 0) as undefined) ?? {}, 'corrupt'],
    [
      'whose kernel is missing',
      () => ({ boot: { order: [], menu: false, kernel: { path: '/none/vmlinuz', initrd: null, cmdline: '' } } }),
      'not-found',
    ],
  ])('%s fails with its own error and leaves nothing behind', async (_what, spoil, kind) => {
    const image = disk(path.join(folder, 'disk.img'), READER, MIB);
    const running = host(image, spoil(image));
    await expect(running.vm.start()).rejects.toMatchObject({ kind, fix: expect.any(String) });
    expect(states(running)).toEqual(['starting', 'crashed']);
    expect(() => running.vm.scanout).toThrow();
  });

  test('that is forced off in the middle ends off, with everything closed, whatever it was doing', async () => {
    const image = disk(path.join(folder, 'disk.img'), READER, MIB);
    for (const wait of [0, 1, 5, 20, 60, 120]) {
      const running = host(image);
      const starting = running.vm.start().then(
        () => 'started',
        (error) => error.kind,
      );
      await new Promise((resolve) => setTimeout(resolve, wait));
      await running.vm.forceOff();
      expect(['started', 'cancelled']).toContain(await starting);
      expect(running.vm.state).toBe('off');
      expect(states(running).slice(-2)).toEqual(['stopping', 'off']);
      expect(openDescriptors(image)).toBe(0);
    }
  }, 60_000);
});

describe('what is under way on the disks', () => {
  /** A machine with a qcow2 disk that runs, and what is asked of it just when `end` ends it. */
  async function endedIn(end: (vm: VmHost) => void) {
    const image = path.join(folder, 'disk.qcow2');
    await createDisk(image, { format: 'qcow2', sizeBytes: MIB });
    const drive = { id: 'ide0', kind: 'disk', path: image, format: 'qcow2', readOnly: false } as const;
    const running = host(image, { drives: [drive] });
    await running.vm.start();
    const request = { tag: 'hypervue-1', disks: ['ide0'] };
    const before = running.vm.saver.snapshot({ ...request, stateFile: path.join(folder, 'memory.state') });
    end(running.vm);
    const asked = await Promise.allSettled([
      before,
      running.vm.saver.snapshot({ ...request, stateFile: null }),
      running.vm.saver.deleteDiskSnapshots(['ide0'], 'hypervue-1'),
      running.vm.media.grow('ide0', 2 * MIB),
      running.vm.media.changeMedium('ide0', null, false),
    ]);
    await expect.poll(() => openDescriptors(image), soon).toBe(0);
    return [...asked, ...(await Promise.allSettled([running.vm.saver.snapshot({ ...request, stateFile: null })]))].map((result) =>
      result.status === 'fulfilled' ? 'done' : (result.reason as HypervueError),
    );
  }

  test('fails with the reason when the machine thread dies, not for want of its images', async () => {
    const said = await endedIn((vm) => void (vm as unknown as { threads: { worker: Worker } }).threads.worker.terminate());
    for (const error of said.filter((result) => result !== 'done'))
      expect(error).toMatchObject({ kind: 'vm-crashed', message: expect.stringContaining('machine thread of guest failed') });
    // The last of them was asked when all was over.
    expect(said.at(-1)).not.toBe('done');
    expect(said.filter((result) => result !== 'done').length).toBeGreaterThan(2);
  }, 60_000);

  test('fails as turned off when it is forced off', async () => {
    const said = await endedIn((vm) => void vm.forceOff());
    for (const error of said.filter((result) => result !== 'done'))
      expect(error).toMatchObject({ kind: 'cancelled', message: 'guest was turned off meanwhile' });
    expect(said.at(-1)).not.toBe('done');
  }, 60_000);
});

/** How often this process has `file` open, where the system tells. */
function openDescriptors(file: string): number {
  if (!existsSync('/proc/self/fd')) return 0;
  return readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === file;
    } catch {
      return false;
    }
  }).length;
}
