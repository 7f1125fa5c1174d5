import { usbCdrom, usbDisk } from '../usb/usbdrives.ts';
import { UsbTablet } from '../usb/tablet.ts';
import { Xhci } from '../usb/xhci.ts';
import type { Bench } from './bench.ts';
import { FakeBlockDevice } from './fakeblock.ts';

export const TABLET_PORT = 11;
export const DISK_PORT = 2;

/** A controller with a tablet at connector 1 (USB 2) and a disk of 64 KiB, or a CD drive with a disc of as much, at connector 2 (USB 3). */
export function createXhci(bench: Bench, kind: 'disk' | 'cdrom' = 'disk') {
  const messages: number[] = [];
  const xhci = new Xhci({
    id: 'usb',
    mmio: bench.mmio,
    memory: bench.memory,
    message: (_, data) => messages.push(data),
    clock: bench.clock,
    log: bench.log,
  });
  const tablet = new UsbTablet(bench.clock);
  const block = new FakeBlockDevice(Uint8Array.from({ length: 1 << 16 }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
  const options = { block, serial: 'HVU00000', log: bench.log };
  const disk = kind === 'cdrom' ? usbCdrom(options) : usbDisk({ ...options, writeCache: true });
  xhci.plug(1, tablet);
  xhci.plug(2, disk);
  return Object.assign(xhci, { testParts: { tablet, disk, block, messages } });
}

export type TestXhci = ReturnType<typeof createXhci>;

/** A command wrapper of the bulk-only transport. */
export function wrapper(tag: number, length: number, toHost: boolean, cdb: readonly number[], unit = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(31));
  view.setUint32(0, 0x4342_5355, true);
  view.setUint32(4, tag, true);
  view.setUint32(8, length, true);
  view.setUint8(12, toHost ? 0x80 : 0);
  view.setUint8(13, unit);
  view.setUint8(14, cdb.length);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(cdb, 15);
  return bytes;
}
