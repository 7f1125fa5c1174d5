import { beforeEach, expect, test } from 'vitest';
import type { UsbSelector } from '../contract/usb.ts';
import { Bench } from '../devices/testing/bench.ts';
import { createXhci, type TestXhci } from '../devices/testing/xhcibench.ts';
import { DATA, XhciDriver } from '../devices/testing/xhcidriver.ts';
import { type Answer, FakeUsbfs } from '../platform/testing/fakeusbfs.ts';
import { findUsb } from '../platform/usbfs/findusb.ts';
import { HypervueError } from '../util/errors.ts';
import { nullLogger } from '../util/logger.ts';
import type { FromMachine } from './machinemessages.ts';
import { RemoteUsb } from './remoteusb.ts';
import { VmUsb } from './vmusb.ts';

/** A USB device of this computer, by a stand-in for the kernel, in the hands of an xHCI driver: both ends and the messages between them. */
const DESCRIPTORS = Uint8Array.from([
  ...[18, 1, 0, 2, 0xff, 0, 0, 64, 0x34, 0x12, 0x78, 0x56, 0, 1, 0, 0, 0, 1],
  ...[9, 2, 32, 0, 1, 1, 0, 0xc0, 0],
  ...[9, 4, 0, 0, 2, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 0, 2, 0, 7, 5, 0x02, 2, 0, 2, 0],
]);
/** USB 2 port of connector 6, the first for such devices. */
const PORT = 16;
/** PORTSC: a device is there; what is there has changed. With power, all changes are cleared. */
const [CONNECTED, CHANGED, ACKNOWLEDGED] = [1, 1 << 17, 0x00fe_0200];
const wanted: UsbSelector = { vendorId: '1234', productId: '5678' };
const other = { ...wanted, bus: 2, port: '3', node: '/dev/bus/usb/002/009' };
const here = [{ ...wanted, bus: 1, port: '4.2', serial: 'A1', node: '/dev/bus/usb/001/005' }, other];

let bench: Bench;
let xhci: TestXhci;
let driver: XhciDriver;
let system: FakeUsbfs;
let usb: VmUsb;
let remote: RemoteUsb;
let answer: Answer;
let warnings: string[];
let told: number;

beforeEach(() => {
  bench = new Bench();
  xhci = createXhci(bench);
  driver = new XhciDriver(xhci, bench);
  answer = () => undefined;
  warnings = [];
  told = 0;
  system = new FakeUsbfs(DESCRIPTORS, 3, (transfer) => answer(transfer));
  remote = new RemoteUsb(xhci, (message) => usb.handle(structuredClone(message) as Extract<FromMachine, { t: 'usb' }>), bench.clock);
  usb = new VmUsb({
    config: { name: 'One', usb: { tablet: false } },
    post: (message) => {
      if (message.t === 'usb') remote.tell(structuredClone(message.news));
    },
    log: { ...nullLogger, warn: (message) => warnings.push(message) },
    needOn: () => {},
    gone: () => told++,
    system: () => system,
    find: (selector) => findUsb(selector, here),
  });
  driver.start();
  driver.events();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
async function configured(): Promise<number> {
  await usb.attach({ ...wanted, bus: 1 });
  remote.deliver();
  // The reset of its bus, and the configuration, are the kernel's.
  const slot = driver.connect(PORT);
  driver.configure(slot, [
    [3, 6],
    [4, 2],
  ]);
  for (let i = 0; i < 4; i++) await turn();
  remote.deliver();
  driver.events();
  return slot;
}

test('is found by the driver, moves data both ways, and what it has nothing to say to waits', async () => {
  const slot = await configured();
  expect(system.calls.map(([name]) => name)).toContain('configure');
  expect(usb.list).toEqual([{ ...wanted, bus: 1, port: '4.2', serial: 'A1' }]);
  const written: number[][] = [];
  answer = ({ endpoint, sent }) => {
    if (endpoint !== 2) return undefined;
    written.push([...sent]);
    return new Uint8Array();
  };
  bench.memory.write(DATA, Uint8Array.of(9, 8, 7));
  driver.normal(slot, 4, DATA, 3);
  driver.doorbell(slot, 4);
  driver.normal(slot, 3, DATA + 64, 16);
  driver.doorbell(slot, 3);
  system.run();
  // While the machine stands nothing of it shows.
  expect(driver.events()).toEqual([]);
  remote.deliver();
  expect(written).toEqual([[9, 8, 7]]);
  expect(driver.events()).toMatchObject([{ endpoint: 4, code: 1 }]);
  answer = () => Uint8Array.of(1, 2, 3, 4, 5);
  system.run();
  remote.deliver();
  expect(driver.events()).toMatchObject([{ endpoint: 3, code: 13, left: 11 }]);
  const bytes = new Uint8Array(6);
  bench.memory.read(DATA + 64, bytes);
  expect([...bytes]).toEqual([1, 2, 3, 4, 5, 0]);
});

test('a transfer that the driver stops is discarded; a stall halts its endpoint', async () => {
  const slot = await configured();
  driver.normal(slot, 3, DATA, 16);
  driver.doorbell(slot, 3);
  expect(system.underWay).toBe(1);
  expect(driver.command(15, 0, (slot << 24) | (3 << 16)).code).toBe(1);
  expect(system.underWay).toBe(0);
  answer = () => -32;
  driver.doorbell(slot, 3);
  system.run();
  remote.deliver();
  expect(driver.events()).toMatchObject([{ endpoint: 3, code: 6 }]);
  expect(driver.endpointState(slot, 3)).toBe(2);
});

test('pulled out here, the guest sees it go, and another may come', async () => {
  const slot = await configured();
  driver.normal(slot, 3, DATA, 16);
  driver.doorbell(slot, 3);
  driver.writePort(PORT, ACKNOWLEDGED);
  system.pullOut();
  remote.deliver();
  expect(told).toBe(1);
  expect(driver.events().map(({ type, code }) => [type, code])).toEqual([
    [34, 1],
    [32, 4],
  ]);
  expect([usb.list, warnings]).toEqual([[], ['1234:5678 was pulled out']]);
  system = new FakeUsbfs(DESCRIPTORS, 3, () => undefined);
  await usb.attach({ ...wanted, bus: 2 });
  driver.writePort(PORT, ACKNOWLEDGED);
  remote.deliver();
  expect(driver.portStatus(PORT) & CONNECTED).toBe(CONNECTED);
  usb.detach(wanted);
  remote.deliver();
  expect(driver.portStatus(PORT) & 1).toBe(0);
  await turn();
  system.run();
  expect(system.closed).toBe(1);
});

test('a machine that is restored has it no more, and the guest hears so', async () => {
  await configured();
  driver.writePort(PORT, ACKNOWLEDGED);
  const state = structuredClone(xhci.save());
  const again = createXhci(bench);
  xhci.writeConfig(4, 0, 2);
  again.restore(state);
  bench.clock.advance(1);
  expect(driver.events().map(({ type, at }) => [type, at >>> 24])).toEqual([[34, PORT]]);
  expect(driver.portStatus(PORT) & 1).toBe(0);
});

test('what can not be is refused with a reason', async () => {
  const refused = async (selector: UsbSelector) => {
    try {
      await usb.attach(selector);
    } catch (error) {
      return (error as { kind: string }).kind;
    }
    return 'attached';
  };
  expect(await refused(wanted)).toBe('invalid-argument');
  expect(await refused({ ...wanted, productId: 'ffff' })).toBe('not-found');
  system.openError = Object.assign(new Error('no'), { code: 'EACCES' });
  expect(await refused({ ...wanted, bus: 1 })).toBe('permission-denied');
  system.openError = undefined;
  system.claimResult = -16;
  expect(await refused({ ...wanted, bus: 1 })).toBe('in-use');
  system.claimResult = 0;
  expect(await refused({ ...wanted, bus: 1 })).toBe('attached');
  expect(await refused({ ...wanted, serial: 'A1' })).toBe('already-exists');
  expect(() => usb.detach({ ...wanted, bus: 2 })).toThrow(expect.objectContaining({ kind: 'not-found' }));
  const parts = { post: () => {}, gone: () => {}, log: nullLogger, system: () => system, find: () => other };
  const without = new VmUsb({ ...parts, config: { name: 'Two', usb: null }, needOn: () => {} });
  await expect(without.attach(wanted)).rejects.toMatchObject({ kind: 'invalid-state' });
  // It goes off while the device is looked for.
  const off = new HypervueError('invalid-state', 'off');
  const ended = new VmUsb({
    ...parts,
    config: { name: 'Three', usb: { tablet: false } },
    needOn: () => {
      throw off;
    },
  });
  await expect(ended.attach(wanted)).rejects.toBe(off);
  expect(ended.list).toEqual([]);
});

test('one that comes right after another has gone waits until the guest has seen the gap, or for a second', async () => {
  await usb.attach({ ...wanted, bus: 1 });
  remote.deliver();
  const status = () => driver.portStatus(PORT);
  expect(status() & CONNECTED).toBe(CONNECTED);
  const exchange = async () => {
    usb.detach(wanted);
    await usb.attach({ ...wanted, bus: 1 });
    remote.deliver();
    expect(status() & CONNECTED).toBe(0);
    expect(remote.waiting).toBe(true);
  };
  await exchange();
  driver.writePort(PORT, ACKNOWLEDGED);
  bench.clock.advance(20e6);
  expect(status() & (CONNECTED | CHANGED)).toBe(CONNECTED | CHANGED);
  expect(remote.waiting).toBe(false);
  // One that never looks gets it too.
  await exchange();
  bench.clock.advance(0.9e9);
  expect(status() & CONNECTED).toBe(0);
  bench.clock.advance(0.2e9);
  expect(status() & CONNECTED).toBe(CONNECTED);
});
