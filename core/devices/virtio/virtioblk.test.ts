import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR, BLOCK_OK } from '../../backend/asyncblock.ts';
import { Bench } from '../testing/bench.ts';
import { FakeBlockDevice } from '../testing/fakeblock.ts';
import { VirtioDriver } from '../testing/virtiodriver.ts';
import { VirtioBlk } from './virtioblk.ts';

const F_FLUSH = 9;
const F_CONFIG_WCE = 11;
const INDIRECT = 28;
const EVENT_IDX = 29;

let bench: Bench;
let disk: FakeBlockDevice;
let device: VirtioBlk;
let driver: VirtioDriver;
let messages: [number, number][];

function make(options: { readOnly?: boolean; writeCache?: boolean; bytes?: number } = {}): void {
  bench = new Bench();
  messages = [];
  const data = new Uint8Array(options.bytes ?? 64 << 10);
  for (let i = 0; i < data.length; i++) data[i] = Math.floor(i / 512) + 1;
  disk = new FakeBlockDevice(data, options.readOnly);
  device = create(disk, bench, options.writeCache);
  device.connectInterrupt(bench.wire('inta'));
  driver = new VirtioDriver(device, bench);
}

function create(block: FakeBlockDevice, on: Bench, writeCache = true, queues = 1): VirtioBlk {
  return new VirtioBlk({
    id: 'virtio0',
    mmio: on.mmio,
    memory: on.memory,
    message: (address, value) => messages.push([address, value]),
    log: on.log,
    block,
    serial: 'HV00001',
    writeCache,
    queues,
  });
}

beforeEach(() => make());

interface Sent {
  head: number;
  data: number;
  status: () => number;
}

/** One request as Linux lays it out: header, data, status. `data`: what is written, or how many bytes are read. */
function send(type: number, sector: number, data: Uint8Array | number, queue = 0): Sent {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, type, true);
  header.setUint32(8, sector % 2 ** 32, true);
  header.setUint32(12, Math.floor(sector / 2 ** 32), true);
  const at = driver.buffer(data);
  const status = driver.buffer(Uint8Array.of(0xee));
  const length = typeof data === 'number' ? data : data.length;
  const head = driver.submit(
    [
      { gpa: driver.buffer(new Uint8Array(header.buffer)), length: 16 },
      ...(length ? [{ gpa: at, length, write: typeof data === 'number' }] : []),
      { gpa: status, length: 1, write: true },
    ],
    queue,
  );
  driver.kick(queue);
  return { head, data: at, status: () => bench.memory.read8(status) };
}

const bytes = (at: number, length: number) => {
  const target = new Uint8Array(length);
  bench.memory.read(at, target);
  return target;
};

describe('negotiation', () => {
  it('shows what the specification wants of a block device', () => {
    expect(device.readConfig(0, 4)).toBe(0x1042_1af4);
    expect(device.readConfig(6, 2) & 0x10).toBe(0x10);
    expect(driver.features()).toEqual([2, 4, 6, 9, 10, 11, 13, 14, 28, 29, 32]);
    expect(driver.config(0, 4)).toBe(128);
    expect(driver.config(0x14, 4)).toBe(512);
    expect(driver.read(0x12, 2)).toBe(1);
    expect(driver.start([F_FLUSH])).toBe(0xf);
  });

  it('walks its capabilities: MSI-X, then the windows', () => {
    const types: number[] = [];
    for (let at = device.readConfig(0x34, 1); at; at = device.readConfig(at + 1, 1))
      types.push(device.readConfig(at, 1) === 9 ? device.readConfig(at + 3, 1) : -device.readConfig(at, 1));
    expect(types).toEqual([-0x11, 1, 3, 4, 2, 5]);
  });

  it('is refused without VERSION_1 and with features that were not offered', () => {
    driver.write(0x14, 3, 1);
    driver.write(0x14, 0xb, 1);
    expect(driver.read(0x14, 1)).toBe(3);
    expect(driver.start([63]) & 8).toBe(0);
    expect(driver.start([]) & 8).toBe(8);
  });

  it('offers a read-only disk as such', () => {
    make({ readOnly: true });
    expect(driver.features()).toContain(5);
    expect(driver.features()).not.toContain(13);
    driver.start([5]);
    const write = send(1, 0, new Uint8Array(512));
    expect(write.status()).toBe(1);
  });

  it('can be reached through configuration space alone', () => {
    let at = device.readConfig(0x34, 1);
    while (device.readConfig(at + 3, 1) !== 5 || device.readConfig(at, 1) !== 9) at = device.readConfig(at + 1, 1);
    device.writeConfig(at + 4, 4, 1);
    device.writeConfig(at + 8, 0x2000, 4);
    device.writeConfig(at + 12, 4, 4);
    expect(device.readConfig(at + 16, 4)).toBe(128);
    device.writeConfig(at + 8, 0x14, 4);
    device.writeConfig(at + 12, 1, 4);
    device.writeConfig(at + 16, 1, 1);
    expect(driver.read(0x14, 1)).toBe(1);
    // An access that names nothing.
    device.writeConfig(at + 8, 0x3fff, 4);
    device.writeConfig(at + 12, 4, 4);
    device.writeConfig(at + 16, 0xffffffff, 4);
    expect(driver.read(0x14, 1)).toBe(1);
  });
});

describe('requests', () => {
  it('read, write, and say how many bytes they wrote', () => {
    driver.start([F_FLUSH]);
    const read = send(0, 3, 1024);
    expect(driver.used()).toEqual([]);
    disk.run();
    expect(driver.used()).toEqual([{ head: read.head, written: 1025 }]);
    expect(read.status()).toBe(0);
    expect([...bytes(read.data, 1024)].every((value, index) => value === (index < 512 ? 4 : 5))).toBe(true);
    const write = send(1, 7, new Uint8Array(512).fill(0x5a));
    disk.run();
    expect(driver.used()).toEqual([{ head: write.head, written: 1 }]);
    expect([disk.data[7 * 512], disk.data[8 * 512 - 1], disk.data[8 * 512]]).toEqual([0x5a, 0x5a, 9]);
    expect(disk.flushes).toBe(0);
  });

  it('are several at a time, and end in any order', () => {
    driver.start([]);
    const sent = [send(0, 0, 512), send(0, 1, 512)];
    expect(disk.pending).toBe(2);
    disk.run();
    expect(driver.used().map(({ head }) => head)).toEqual(sent.map(({ head }) => head));
  });

  it('longer than a buffer go piece by piece', () => {
    make({ bytes: 4 << 20 });
    driver.start([F_FLUSH]);
    // The same piece of guest memory again and again: 3 MiB in 1 MiB of RAM.
    const header = driver.buffer(new Uint8Array(16));
    const status = driver.buffer(Uint8Array.of(0xee));
    const data = driver.buffer(512 << 10);
    const piece = { gpa: data, length: 512 << 10, write: true };
    driver.submit([{ gpa: header, length: 16 }, piece, piece, piece, piece, piece, { gpa: status, length: 1, write: true }]);
    driver.kick();
    disk.run();
    expect(bench.memory.read8(status)).toBe(0);
    expect(driver.used()[0]!.written).toBe(5 * (512 << 10) + 1);
    expect(bytes(data, 512)).toEqual(disk.data.slice(4 * (512 << 10), 4 * (512 << 10) + 512));
  });

  it('with header and data in odd pieces work as well', () => {
    driver.start([]);
    const memory = driver.buffer(1040);
    const header = driver.buffer(new Uint8Array(16));
    driver.submit([
      { gpa: header, length: 3 },
      { gpa: header + 3, length: 13 },
      { gpa: memory, length: 100, write: true },
      { gpa: memory + 100, length: 413, write: true },
    ]);
    driver.kick();
    disk.run();
    expect(bytes(memory, 513)[512]).toBe(0);
    expect(bytes(memory, 512).every((value) => value === 1)).toBe(true);
  });

  it('outside the disk, of odd length or with an error of the host are I/O errors', () => {
    driver.start([F_FLUSH]);
    const sent = [send(0, 128, 512), send(0, 127, 1024), send(0, 2 ** 52, 512), send(0, 2 ** 63, 512), send(0, 0, 511)];
    expect(sent.map(({ status }) => status())).toEqual([1, 1, 1, 1, 1]);
    disk.failWith = BLOCK_IO_ERROR;
    const failing = [send(0, 0, 512), send(4, 0, 0)];
    disk.run();
    expect(failing.map(({ status }) => status())).toEqual([1, 1]);
    disk.failWith = BLOCK_OK;
  });

  it('flush, name the disk, and say what they do not know', () => {
    driver.start([F_FLUSH]);
    const flush = send(4, 0, 0);
    disk.run();
    expect([flush.status(), disk.flushes]).toEqual([0, 1]);
    const id = send(8, 0, 20);
    expect(String.fromCharCode(...bytes(id.data, 8))).toBe('HV00001\0');
    expect(send(99, 0, 20).status()).toBe(2);
  });

  it('discard and write zeros, several ranges at a time', () => {
    driver.start([13, 14]);
    const range = (sector: number, count: number, flags = 0) => {
      const view = new DataView(new ArrayBuffer(16));
      view.setUint32(0, sector, true);
      view.setUint32(8, count, true);
      view.setUint32(12, flags, true);
      return [...new Uint8Array(view.buffer)];
    };
    const discard = send(11, 0, Uint8Array.from([...range(8, 8), ...range(32, 1)]));
    disk.run();
    expect(discard.status()).toBe(0);
    expect(disk.discarded).toEqual([
      [8 * 512, 8 * 512],
      [32 * 512, 512],
    ]);
    const zero = send(13, 0, Uint8Array.from(range(3, 2, 1)));
    disk.run();
    expect(zero.status()).toBe(0);
    expect(disk.zeroed).toEqual([[3 * 512, 1024, true]]);
    const bad = [
      send(11, 0, Uint8Array.from(range(0, 1, 1))),
      send(13, 0, Uint8Array.from(range(0, 1, 2))),
      send(13, 0, Uint8Array.from(range(127, 2))),
      send(11, 0, Uint8Array.from(range(0, 0xffffffff))),
      send(11, 0, new Uint8Array(15)),
    ];
    disk.run();
    expect(bad.map(({ status }) => status())).toEqual([2, 2, 1, 1, 2]);
  });
});

describe('the write cache', () => {
  it('is not there for a driver that knows no flush', () => {
    driver.start([]);
    const write = send(1, 0, new Uint8Array(512));
    disk.run();
    expect([write.status(), disk.flushes]).toEqual([0, 1]);
  });

  it('is off from the start where the drive has none, and at the wish of the driver', () => {
    make({ writeCache: false });
    driver.start([F_FLUSH, F_CONFIG_WCE]);
    expect(driver.config(0x20, 1)).toBe(0);
    send(1, 0, new Uint8Array(512));
    disk.run();
    expect(disk.flushes).toBe(1);
    driver.writeConfig(0x20, 1, 1);
    send(1, 0, new Uint8Array(512));
    disk.run();
    expect(disk.flushes).toBe(1);
    driver.write(0x14, 0, 1);
    expect(driver.config(0x20, 1)).toBe(0);
  });
});

describe('interrupts', () => {
  it('come on the pin until the status is read', () => {
    driver.start([]);
    send(0, 0, 512);
    disk.run();
    expect(bench.wire('inta').level).toBe(true);
    expect(driver.read(0x1000, 1)).toBe(1);
    expect([bench.wire('inta').level, driver.read(0x1000, 1)]).toEqual([false, 0]);
  });

  it('come as messages, and wait while they are masked', () => {
    driver.useMessage(0, 0xfee00000, 0x41);
    driver.start([]);
    send(0, 0, 512);
    disk.run();
    expect(messages).toEqual([[0xfee00000, 0x41]]);
    expect(bench.wire('inta').level).toBe(false);
    device.writeConfig(0x42, 0xc000, 2);
    send(0, 0, 512);
    disk.run();
    expect(messages).toHaveLength(1);
    device.writeConfig(0x42, 0x8000, 2);
    expect(messages).toHaveLength(2);
  });

  it('do not come when the driver wants none, and with event indices only for the one it waits for', () => {
    driver.start([]);
    bench.memory.write16(driver.tableOf(0) + 0x1000, 1);
    send(0, 0, 512);
    disk.run();
    expect(bench.wire('inta').level).toBe(false);
    driver.start([EVENT_IDX]);
    const usedEvent = driver.tableOf(0) + 0x1000 + 4 + driver.size * 2;
    bench.memory.write16(usedEvent, 1);
    send(0, 0, 512);
    disk.run();
    expect(bench.wire('inta').level).toBe(false);
    send(0, 0, 512);
    disk.run();
    expect(bench.wire('inta').level).toBe(true);
    // Where the device wants to be notified.
    expect(bench.memory.read16(driver.tableOf(0) + 0x2000 + 4 + driver.size * 8)).toBe(2);
  });

  it('tell of a larger disk', () => {
    driver.start([]);
    disk.grow(128 << 10);
    expect(driver.config(0, 4)).toBe(256);
    expect(driver.read(0x15, 1)).toBe(1);
    expect(driver.read(0x1000, 1)).toBe(2);
    const read = send(0, 200, 512);
    disk.run();
    expect(read.status()).toBe(0);
  });
});

describe('drivers that make mistakes', () => {
  const NEEDS_RESET = 0x40;
  const cases: [string, (table: number) => number][] = [
    ['a head outside the table', () => 200],
    [
      'a ring of descriptors',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 16 }, 1, 1);
        driver.putDescriptor(table, 1, { gpa: 0x30000, length: 16 }, 1, 0);
        return 0;
      },
    ],
    [
      'a next descriptor outside the table',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 16 }, 1, 8);
        return 0;
      },
    ],
    [
      'something to read behind something to write',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 16 }, 3, 1);
        driver.putDescriptor(table, 1, { gpa: 0x30000, length: 16 }, 0, 0);
        return 0;
      },
    ],
    [
      'no header',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 15 }, 1, 1);
        driver.putDescriptor(table, 1, { gpa: 0x30000, length: 1 }, 2, 0);
        return 0;
      },
    ],
    [
      'no room for the status',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 16 }, 0, 0);
        return 0;
      },
    ],
    [
      'an indirect table of odd length',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 17 }, 4, 0);
        return 0;
      },
    ],
    [
      'an indirect table in an indirect table',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 32 }, 4, 0);
        driver.putDescriptor(0x30000, 0, { gpa: 0x30000, length: 32 }, 4, 0);
        return 0;
      },
    ],
    [
      'a ring in an indirect table',
      (table) => {
        driver.putDescriptor(table, 0, { gpa: 0x30000, length: 0xffff_fff0 }, 4, 0);
        driver.putDescriptor(0x30000, 0, { gpa: 0x40000, length: 1 }, 1, 0);
        return 0;
      },
    ],
  ];
  it.each(cases)('%s: the device asks to be reset and works after that', (_, prepare) => {
    driver.start([INDIRECT]);
    driver.makeAvailable(prepare(driver.tableOf(0)));
    driver.kick();
    expect(driver.read(0x14, 1) & NEEDS_RESET).toBe(NEEDS_RESET);
    expect(driver.read(0x1000, 1)).toBe(2);
    expect(send(0, 0, 512).status()).toBe(0xee);
    driver.start([]);
    const read = send(0, 0, 512);
    disk.run();
    expect(read.status()).toBe(0);
  });

  it('more requests than the queue has', () => {
    driver.start([]);
    bench.memory.write16(driver.tableOf(0) + 0x1000 + 2, 9);
    driver.kick();
    expect(driver.read(0x14, 1) & NEEDS_RESET).toBe(NEEDS_RESET);
  });

  it('addresses where there is no memory read as ones and swallow data', () => {
    driver.start([]);
    const status = driver.buffer(Uint8Array.of(0xee));
    const header = driver.buffer(new Uint8Array(16));
    driver.submit([
      { gpa: header, length: 16 },
      { gpa: 2 ** 52, length: 512, write: true },
      { gpa: 0xffff_ff00, length: 512, write: true },
      { gpa: status, length: 1, write: true },
    ]);
    driver.kick();
    disk.run();
    expect(bench.memory.read8(status)).toBe(0);
    driver.submit([
      { gpa: 2 ** 60, length: 16 },
      { gpa: status, length: 1, write: true },
    ]);
    driver.kick();
    expect(bench.memory.read8(status)).toBe(2);
  });

  it('requests of many gigabytes need no memory', () => {
    driver.start([]);
    const huge = { gpa: 0x30000, length: 0xffff_fe00, write: true };
    const status = driver.buffer(Uint8Array.of(0xee));
    driver.submit([{ gpa: driver.buffer(new Uint8Array(16)), length: 16 }, huge, huge, huge, { gpa: status, length: 1, write: true }]);
    driver.kick();
    expect([bench.memory.read8(status), disk.pending]).toEqual([1, 0]);
  });

  it('writes to what is not theirs change nothing', () => {
    driver.start([]);
    const before = device.save();
    for (const [offset, value, size] of [
      [0x04, 0xffffffff, 4],
      [0x12, 0xffff, 2],
      [0x15, 0xff, 1],
      [0x18, 3, 2],
      [0x20, 0x12345678, 4],
      [0x3c, 1, 4],
      [0x2000, 0xff, 1],
      [0x1000, 0xff, 1],
      [0x3100, 0, 2],
    ] as const)
      driver.write(offset, value, size);
    expect(device.save()).toEqual(before);
  });
});

describe('resets and saved states', () => {
  it('a reset takes requests from the guest, and new ones wait for the host', () => {
    driver.start([]);
    const old = send(0, 0, 512);
    const write = send(1, 5, new Uint8Array(512).fill(0x77));
    driver.start([]);
    const next = send(0, 5, 512);
    expect(disk.pending).toBe(2);
    disk.run();
    expect([old.status(), write.status(), next.status()]).toEqual([0xee, 0xee, 0]);
    expect(bytes(old.data, 512).every((value) => value === 0)).toBe(true);
    // What the guest gave up reached the disk before what it asked for later.
    expect(bytes(next.data, 512).every((value) => value === 0x77)).toBe(true);
  });

  it('requests under way are done again by the machine that the state is restored into', () => {
    driver.start([F_FLUSH]);
    const write = send(1, 2, new Uint8Array(512).fill(0x42));
    const state = structuredClone(device.save());
    const ram = bytes(0, 1 << 20);
    const again = new Bench();
    again.memory.write(0, ram);
    const block = new FakeBlockDevice(new Uint8Array(64 << 10));
    const restored = create(block, again);
    restored.restore(state);
    expect(restored.save()).toEqual(state);
    expect(block.pending).toBe(1);
    block.run();
    expect(block.data[1024]).toBe(0x42);
    expect(again.memory.read16(driver.tableOf(0) + 0x2000 + 2)).toBe(1);
    expect(again.memory.read32(driver.tableOf(0) + 0x2000 + 4)).toBe(write.head);
  });

  it('has several queues where it is told to', () => {
    device = create(disk, (bench = new Bench()), true, 4);
    driver = new VirtioDriver(device, bench);
    expect(driver.features()).toContain(12);
    expect([driver.config(0x22, 2), driver.read(0x12, 2)]).toEqual([4, 4]);
    driver.start([12], 4);
    const sent = [0, 1, 2, 3].map((queue) => send(0, queue, 512, queue));
    disk.run();
    expect(sent.map(({ status }) => status())).toEqual([0, 0, 0, 0]);
    expect([0, 1, 2, 3].map((queue) => driver.used(queue).length)).toEqual([1, 1, 1, 1]);
  });
});
