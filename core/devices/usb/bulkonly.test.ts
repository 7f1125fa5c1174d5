import { beforeEach, expect, it } from 'vitest';
import type { Bench } from '../testing/bench.ts';
import { IN, OUT, StorageDriver } from '../testing/storagedriver.ts';
import { type TestXhci, wrapper } from '../testing/xhcibench.ts';
import { DATA, type XhciDriver } from '../testing/xhcidriver.ts';

let storage: StorageDriver;
let bench: Bench;
let xhci: TestXhci;
let driver: XhciDriver;
let slot: number;
beforeEach(() => {
  storage = new StorageDriver('disk');
  ({ bench, xhci, driver, slot } = storage);
});

const scsi: StorageDriver['scsi'] = (...args) => storage.scsi(...args);
const sense = () => storage.sense();

it('tells what it is', () => {
  const { data } = scsi([0x12, 0, 0, 0, 36, 0], 36);
  expect(String.fromCharCode(...data.subarray(8))).toBe('HYPERVUEUSB DISK        1.0 ');
  expect(String.fromCharCode(...scsi([0x12, 1, 0x80, 0, 255, 0], 255).data.subarray(4))).toBe('HVU00000');
  expect([...scsi([0x12, 1, 0, 0, 255, 0], 255).data.subarray(4)]).toEqual([0, 0x80, 0x83]);
  expect([...scsi([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8).data]).toEqual([0, 0, 0, 127, 0, 0, 2, 0]);
  expect([...scsi([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], 32).data.subarray(0, 12)]).toEqual([
    ...[0, 0, 0, 0, 0, 0, 0, 127],
    ...[0, 0, 2, 0],
  ]);
  // The caching page: a write cache that flushes are to be sent for.
  expect([...scsi([0x1a, 0, 8, 0, 192, 0], 192).data.subarray(0, 7)]).toEqual([23, 0, 0, 0, 8, 18, 4]);
  expect(scsi([0, 0, 0, 0, 0, 0])).toMatchObject({ status: 0, residue: 0 });
});

it('reads, writes and flushes', () => {
  const { block } = xhci.testParts;
  expect(scsi([0x28, 0, 0, 0, 0, 9, 0, 0, 4, 0], 2048)).toEqual({ status: 0, residue: 0, data: block.data.slice(9 * 512, 13 * 512) });
  const sent = Uint8Array.from({ length: 1024 }, (_, index) => (index * 13) & 0xff);
  expect(scsi([0x2a, 0, 0, 0, 0, 20, 0, 0, 2, 0], 1024, sent)).toMatchObject({ status: 0, residue: 0 });
  expect(block.data.slice(20 * 512, 22 * 512)).toEqual(sent);
  expect(block.flushes).toBe(0);
  expect(scsi([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]).status).toBe(0);
  expect(block.flushes).toBe(1);
  // Forced to the medium.
  expect(scsi([0x2a, 8, 0, 0, 0, 20, 0, 0, 2, 0], 1024, sent).status).toBe(0);
  expect(block.flushes).toBe(2);
});

it('tells of what it can not do, with the reason when it is asked', () => {
  const { block } = xhci.testParts;
  expect(scsi([0x28, 0, 0, 0, 0, 127, 0, 0, 2, 0], 1024)).toMatchObject({ status: 1, residue: 1024 });
  expect(sense()).toEqual([5, 0x21, 0]);
  expect(sense()).toEqual([0, 0, 0]);
  expect(scsi([0xc1, 0, 0, 0, 0, 0]).status).toBe(1);
  expect(sense()).toEqual([5, 0x20, 0]);
  expect(scsi([0, 0, 0, 0, 0, 0], 0, undefined, 3).status).toBe(1);
  expect(sense()).toEqual([5, 0x25, 0]);
  block.failWith = 1;
  expect(scsi([0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], 512)).toMatchObject({ status: 1, residue: 512 });
  expect(sense()).toEqual([3, 0x11, 0]);
  expect(scsi([0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0], 512, new Uint8Array(512)).status).toBe(1);
  expect(sense()).toEqual([3, 0x0c, 0]);
  expect(scsi([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]).status).toBe(1);
  block.failWith = 0;
  block.change(block.data, true);
  expect(scsi([0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0], 512, new Uint8Array(512)).status).toBe(1);
  expect(sense()).toEqual([7, 0x27, 0]);
  block.grow(1 << 17);
  expect(scsi([0, 0, 0, 0, 0, 0]).status).toBe(1);
  expect(sense()).toEqual([6, 0x2a, 9]);
});

it('more or less data than a command has is told, as the transport wants it', () => {
  // Less than there was room for.
  expect(scsi([0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], 2000)).toMatchObject({ status: 0, residue: 2000 - 512 });
  // More sent than the command takes.
  expect(scsi([0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0], 1024, new Uint8Array(1024))).toMatchObject({ status: 0, residue: 512 });
  // More than there is room for, and in the other direction: phase errors.
  expect(scsi([0x28, 0, 0, 0, 0, 1, 0, 0, 2, 0], 512)).toMatchObject({ status: 2, residue: 512 });
  expect(scsi([0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0], 512, new Uint8Array(512)).status).toBe(2);
});

it('what is no wrapper halts it until it is reset', () => {
  driver.normal(slot, OUT, DATA, 30);
  driver.doorbell(slot, OUT);
  expect(driver.events()).toMatchObject([{ code: 6 }]);
  const revive = (index: number) => {
    driver.command(14, 0, (slot << 24) | (index << 16));
    const ring = driver.ring(slot, index);
    driver.command(16, (ring.base + ring.index * 16) | ring.cycle, (slot << 24) | (index << 16));
  };
  revive(OUT);
  // Cleared before the reset: still halted.
  driver.control(slot, [2, 1, 0, 0, 2, 0, 0, 0]);
  driver.normal(slot, OUT, DATA, 31);
  driver.doorbell(slot, OUT);
  expect(driver.events()).toMatchObject([{ code: 6 }]);
  revive(OUT);
  expect(driver.control(slot, [0x21, 0xff, 0, 0, 0, 0, 0, 0]).code).toBe(1);
  driver.control(slot, [2, 1, 0, 0, 2, 0, 0, 0]);
  driver.control(slot, [2, 1, 0, 0, 0x81, 0, 0, 0]);
  expect(scsi([0, 0, 0, 0, 0, 0]).status).toBe(0);
});

it('a read that is stopped leaves guest memory alone, and can be done again', () => {
  const { block } = xhci.testParts;
  bench.memory.write(DATA, wrapper(1, 512, true, [0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0]));
  driver.normal(slot, OUT, DATA, 31);
  driver.doorbell(slot, OUT);
  driver.normal(slot, IN, DATA + 0x1000, 512);
  driver.doorbell(slot, IN);
  driver.events();
  bench.memory.write(DATA + 0x1000, new Uint8Array(512).fill(0xee));
  expect(driver.command(15, 0, (slot << 24) | (IN << 16)).code).toBe(1);
  block.run();
  const bytes = new Uint8Array(512);
  bench.memory.read(DATA + 0x1000, bytes);
  expect(bytes).toEqual(new Uint8Array(512).fill(0xee));
  driver.doorbell(slot, IN);
  block.run();
  bench.memory.read(DATA + 0x1000, bytes);
  expect(bytes).toEqual(block.data.slice(512, 1024));
});
