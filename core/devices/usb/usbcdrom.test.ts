import { beforeEach, expect, it } from 'vitest';
import { StorageDriver } from '../testing/storagedriver.ts';

/** The CD drive's commands over the bulk-only transport; each of them is tested with the ATAPI drive, whose commands they are. */
let storage: StorageDriver;
const scsi: StorageDriver['scsi'] = (...args) => storage.scsi(...args);
const read = (lba: number, blocks: number) => scsi([0x28, 0, 0, 0, 0, lba, 0, 0, blocks, 0], blocks * 2048);

beforeEach(() => {
  storage = new StorageDriver('cdrom');
  // The attention of power-on.
  expect([scsi([0, 0, 0, 0, 0, 0]).status, storage.sense()]).toEqual([1, [6, 0x29, 0]]);
});

it('tells what it is, and how large its disc', () => {
  const { data } = scsi([0x12, 0, 0, 0, 36, 0], 36);
  expect([...data.subarray(0, 4)]).toEqual([5, 0x80, 0, 2]);
  expect(String.fromCharCode(...data.subarray(8))).toBe('HYPERVUEHypervue DVD-ROM1.0 ');
  expect([...scsi([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8).data]).toEqual([0, 0, 0, 31, 0, 0, 8, 0]);
});

it('reads blocks of 2 KiB, and none beyond the disc; writes nothing', () => {
  const { block } = storage.xhci.testParts;
  expect(read(3, 2)).toEqual({ status: 0, residue: 0, data: block.data.slice(3 * 2048, 5 * 2048) });
  expect([read(31, 2).status, storage.sense()]).toEqual([1, [5, 0x21, 0]]);
  const before = block.data.slice();
  expect([scsi([0x2a, 0, 0, 0, 0, 3, 0, 0, 1, 0], 2048, new Uint8Array(2048)).status, storage.sense()]).toEqual([1, [5, 0x20, 0]]);
  expect(block.data).toEqual(before);
  expect(scsi([0, 0, 0, 0, 0, 0], 0, undefined, 1).status).toBe(1);
});

it('opens its tray, unless that is prevented, and has nothing then', () => {
  const eject = [0x1b, 0, 0, 0, 2, 0];
  expect(scsi([0x1e, 0, 0, 0, 1, 0]).status).toBe(0);
  expect([scsi(eject).status, storage.sense()]).toEqual([1, [5, 0x53, 2]]);
  expect(scsi([0x1e, 0, 0, 0, 0, 0]).status).toBe(0);
  expect(scsi(eject).status).toBe(0);
  expect([read(0, 1).status, storage.sense()]).toEqual([1, [2, 0x3a, 0]]);
});

it('keeps tray and attention in its saved state, in the middle of a command too', () => {
  scsi([0x1b, 0, 0, 0, 2, 0]);
  const again = new StorageDriver('cdrom');
  again.xhci.restore(structuredClone(storage.xhci.save()));
  expect(again.xhci.save()).toEqual(storage.xhci.save());
  expect(storage.xhci.save()).toMatchObject({
    devices: expect.arrayContaining([{ port: 2, state: expect.objectContaining({ scsi: expect.objectContaining({ trayOpen: true }) }) }]),
  });
});
