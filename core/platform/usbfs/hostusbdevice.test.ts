import { beforeEach, expect, test } from 'vitest';
import { type Answer, FakeUsbfs } from '../testing/fakeusbfs.ts';
import { HostUsbDevice, type HostUsbRequest } from './hostusbdevice.ts';
import { EPIPE } from './usbfs.ts';

/** A device with two interfaces: bulk endpoints 1 in and 2 out, interrupt endpoint 3 in. */
const DESCRIPTORS = Uint8Array.from([
  ...[18, 1, 0, 2, 0, 0, 0, 64, 0x34, 0x12, 0x78, 0x56, 0, 1, 0, 0, 0, 1],
  ...[9, 2, 48, 0, 2, 1, 0, 0xc0, 0],
  ...[9, 4, 0, 0, 2, 0xff, 0, 0, 0, 7, 5, 0x81, 2, 0, 2, 0, 7, 5, 0x02, 2, 0, 2, 0],
  ...[9, 4, 1, 0, 1, 3, 0, 0, 0, 7, 5, 0x83, 3, 8, 0, 4],
]);
let system: FakeUsbfs;
let device: HostUsbDevice;
let answer: Answer;
let heard: [id: number, status: string, moved: number, data: number[]][];
let gone: number;

beforeEach(() => {
  heard = [];
  gone = 0;
  answer = () => undefined;
  system = new FakeUsbfs(DESCRIPTORS, 3, (transfer) => answer(transfer));
  device = new HostUsbDevice(system, '/dev/bus/usb/001/002', {
    done: (id, status, moved, data) => heard.push([id, status, moved, [...data]]),
    gone: () => gone++,
  });
});
const submit = (id: number, request: HostUsbRequest) => device.submit(id, request);
const turn = () => new Promise((resolve) => setImmediate(resolve));
const pattern = (bytes: number) => Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + (index >> 9)) & 0xff);

test('is taken from its drivers, interface by interface, and given back to them', () => {
  expect(device.speed).toBe('high');
  expect(system.calls).toEqual([
    ['claim', 0],
    ['claim', 1],
  ]);
  system.calls.length = 0;
  device.close();
  expect(system.calls).toEqual([
    ['release', 0],
    ['connect', 0],
    ['release', 1],
    ['connect', 1],
  ]);
  // The file is held until who waits for it is back.
  expect(system.closed).toBe(0);
  system.run();
  expect(system.closed).toBe(1);
});

test('one that a program has is left to it, and closed', () => {
  const other = new FakeUsbfs(DESCRIPTORS, 3, () => undefined);
  other.claimResult = -16;
  expect(() => new HostUsbDevice(other, '', { done: () => {}, gone: () => {} })).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  expect(other.closed).toBe(1);
});

test('moves data both ways on the control pipe, bulk and interrupt endpoints, each kind as what it is', () => {
  const seen: object[] = [];
  answer = (transfer) => {
    seen.push({ ...transfer, setup: transfer.setup && [...transfer.setup], sent: [...transfer.sent] });
    return transfer.room ? Uint8Array.of(1, 2, 3) : new Uint8Array();
  };
  submit(1, { endpoint: 0, setup: Uint8Array.of(0x80, 6, 0, 1, 0, 0, 18, 0), data: 18 });
  submit(2, { endpoint: 0, setup: Uint8Array.of(0x21, 9, 0, 2, 0, 0, 2, 0), data: Uint8Array.of(8, 9) });
  submit(3, { endpoint: 0x81, data: 512 });
  submit(4, { endpoint: 0x02, data: Uint8Array.of(5, 6, 7) });
  submit(5, { endpoint: 0x83, data: 8 });
  expect(system.underWay).toBe(5);
  system.run();
  expect(heard).toEqual([
    [1, 'ok', 3, [1, 2, 3]],
    [2, 'ok', 2, []],
    [3, 'ok', 3, [1, 2, 3]],
    [4, 'ok', 3, []],
    [5, 'ok', 3, [1, 2, 3]],
  ]);
  expect(seen).toMatchObject([
    { endpoint: 0, setup: [0x80, 6, 0, 1, 0, 0, 18, 0], room: 18 },
    { setup: [0x21, 9, 0, 2, 0, 0, 2, 0], sent: [8, 9] },
    { endpoint: 0x81, room: 512 },
    { endpoint: 0x02, sent: [5, 6, 7] },
    { endpoint: 0x83, room: 8 },
  ]);
});

test('a long transfer goes in pieces and comes as a whole; a short piece ends it', () => {
  const all = pattern(600_000);
  let at = 0;
  answer = ({ room }) => {
    const piece = all.subarray(at, at + room);
    at += piece.length;
    return piece;
  };
  submit(1, { endpoint: 0x81, data: 700_000 });
  for (let i = 0; i < 3; i++) system.run();
  expect(heard.map(([id, status, moved]) => [id, status, moved])).toEqual([[1, 'ok', 600_000]]);
  expect(Uint8Array.from(heard[0]![3])).toEqual(all);
  const written: Uint8Array[] = [];
  answer = ({ sent }) => {
    written.push(sent);
    return new Uint8Array();
  };
  submit(2, { endpoint: 0x02, data: all });
  for (let i = 0; i < 3; i++) system.run();
  expect(new Uint8Array(Buffer.concat(written))).toEqual(all);
  expect(heard[1]!.slice(0, 3)).toEqual([2, 'ok', 600_000]);
});

test('stalls, more than there is room for, and a cancel, of which nothing more is heard', () => {
  answer = ({ endpoint }) => (endpoint === 0x81 ? -EPIPE : endpoint === 0x83 ? new Uint8Array(20) : undefined);
  submit(1, { endpoint: 0x81, data: 64 });
  submit(2, { endpoint: 0x83, data: 8 });
  submit(3, { endpoint: 0x02, data: Uint8Array.of(1) });
  system.run();
  expect(heard.map(([id, status]) => [id, status])).toEqual([
    [1, 'stall'],
    [2, 'babble'],
  ]);
  device.cancel(3);
  expect(system.underWay).toBe(0);
  system.run();
  expect(heard).toHaveLength(2);
});

test('what the kernel has to know is told by its own calls, and transfers wait for that', async () => {
  system.calls.length = 0;
  const control = (id: number, ...setup: number[]) => submit(id, { endpoint: 0, setup: Uint8Array.from(setup), data: new Uint8Array() });
  control(1, 0, 9, 1, 0, 0, 0, 0, 0);
  submit(2, { endpoint: 0x81, data: 8 });
  expect(system.underWay).toBe(0);
  await turn();
  expect(system.underWay).toBe(1);
  control(3, 1, 11, 2, 0, 1, 0, 0, 0);
  await turn();
  control(4, 2, 1, 0, 0, 0x81, 0, 0, 0);
  await turn();
  expect(system.calls).toEqual([
    ['release', 0],
    ['release', 1],
    ['configure', 1],
    ['claim', 0],
    ['claim', 1],
    ['alternate', 1],
    ['clear', 0x81],
  ]);
  expect(heard.map(([id, status]) => [id, status])).toEqual([
    [1, 'ok'],
    [3, 'ok'],
    [4, 'ok'],
  ]);
  device.reset();
  await turn();
  expect(system.calls.slice(-3)).toEqual([
    ['reset', 0],
    ['claim', 0],
    ['claim', 1],
  ]);
  system.run();
  expect(heard).toHaveLength(3);
});

test('one that is pulled out while nothing is under way says so too, or when it is asked for something', () => {
  system.pullOut();
  expect([gone, system.closed]).toEqual([1, 1]);
  const other = new FakeUsbfs(DESCRIPTORS, 3, () => undefined);
  const late = new HostUsbDevice(other, '', { done: () => heard.push([0, '', 0, []]), gone: () => gone++ });
  other.gone = true;
  late.submit(1, { endpoint: 0x81, data: 8 });
  expect([gone, heard]).toEqual([2, []]);
});

test('one that is pulled out says so once; what was under way and what comes after is heard no more', () => {
  submit(1, { endpoint: 0x81, data: 8 });
  system.pullOut();
  expect(gone).toBe(1);
  submit(2, { endpoint: 0x81, data: 8 });
  device.close();
  expect([gone, heard, system.closed]).toEqual([1, [], 1]);
});
