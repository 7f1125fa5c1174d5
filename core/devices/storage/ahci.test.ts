import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_IO_ERROR, BLOCK_OK } from '../../backend/asyncblock.ts';
import { AhciDriver } from '../testing/ahcidriver.ts';
import { Bench } from '../testing/bench.ts';
import { FakeBlockDevice } from '../testing/fakeblock.ts';
import { Ahci } from './ahci.ts';

const DATA = 0x40000;
let bench: Bench;
let disk: FakeBlockDevice;
let disc: FakeBlockDevice;
let ahci: Ahci;
let port: AhciDriver;
let cd: AhciDriver;
let messages: [number, number][];

function make(on: Bench, writeCache = true): Ahci {
  return new Ahci({
    id: 'ahci',
    mmio: on.mmio,
    memory: on.memory,
    message: (address, data) => messages.push([address, data]),
    drives: [
      { kind: 'disk', block: disk, serial: 'HVS00000', writeCache },
      { kind: 'cdrom', block: disc, serial: '', writeCache: true },
    ],
    log: on.log,
  });
}

beforeEach(() => {
  bench = new Bench();
  messages = [];
  const data = new Uint8Array(1 << 20);
  for (let i = 0; i < data.length; i++) data[i] = (i >> 9) + 1;
  disk = new FakeBlockDevice(data);
  disc = new FakeBlockDevice(new Uint8Array(64 << 10).fill(0xcd), true);
  ahci = make(bench);
  ahci.connectInterrupt(bench.wire('inta'));
  port = new AhciDriver(ahci, bench);
  port.start();
  cd = new AhciDriver(ahci, bench, 1);
  cd.start();
  // The drive reports once that it was reset.
  cd.issue(0, { command: 0xa0, packet: new Array<number>(12).fill(0) });
  cd.write(0x18, 0x10);
  cd.write(0x18, 0x11);
});

const bytes = (at: number, length: number) => {
  const target = new Uint8Array(length);
  bench.memory.read(at, target);
  return target;
};
const prds = [{ gpa: DATA, length: 4096 }];

describe('the controller', () => {
  it('says what it is, and who is at its ports', () => {
    expect(ahci.readConfig(0, 4)).toBe(0x2922_8086);
    expect(port.host(0) & 0xc000_0000).not.toBe(0);
    expect(port.host(0x0c)).toBe(0x3f);
    expect([port.read(0x28), port.read(0x24), port.read(0x20) & 0xff]).toEqual([0x113, 0x0000_0101, 0x50]);
    expect([cd.read(0x28), cd.read(0x24)]).toEqual([0x113, 0xeb14_0101]);
    expect(new AhciDriver(ahci, bench, 2).read(0x28)).toBe(0);
  });

  it('interrupts on the pin until both registers are cleared, or by message', () => {
    port.write(0x10, 0xffff_ffff);
    port.write(0x30, 0xffff_ffff);
    port.writeHost(8, 0xffff_ffff);
    cd.write(0x10, 0xffff_ffff);
    port.writeHost(8, 0xffff_ffff);
    expect(bench.wire('inta').level).toBe(false);
    port.issue(0, { command: 0xec, prds });
    expect([bench.wire('inta').level, port.host(8)]).toEqual([true, 1]);
    port.writeHost(8, 1);
    expect(bench.wire('inta').level).toBe(true);
    port.write(0x10, 0xffff_ffff);
    port.writeHost(8, 1);
    expect(bench.wire('inta').level).toBe(false);
    const at = ahci.readConfig(0x34, 1);
    ahci.writeConfig(at + 4, 0xfee0_0000, 4);
    ahci.writeConfig(at + 12, 0x31, 2);
    ahci.writeConfig(at + 2, 1, 2);
    port.issue(0, { command: 0xec, prds });
    expect(messages.length).toBeGreaterThan(0);
    expect(messages[0]).toEqual([0xfee0_0000, 0x31]);
    expect(bench.wire('inta').level).toBe(false);
  });
});

describe('commands of a disk', () => {
  it('IDENTIFY shows queuing, trim and FUA', () => {
    port.issue(3, { command: 0xec, prds });
    expect([port.read(0x38), port.moved(3)]).toEqual([0, 512]);
    const words = new Uint16Array(bytes(DATA, 512).buffer);
    expect([words[75], words[76]! & 0x100, words[169]! & 1, words[84]! & 0x40]).toEqual([31, 0x100, 1, 0x40]);
    expect(port.fis(0x20)[0]).toBe(0x5f);
  });

  it('READ and WRITE DMA EXT move data between scattered memory and the disk', () => {
    const scattered = [
      { gpa: DATA, length: 100 },
      { gpa: DATA + 0x1000, length: 924 },
    ];
    port.issue(0, { command: 0x25, lba: 5, count: 2, prds: scattered });
    expect(port.read(0x38)).toBe(1);
    disk.run();
    expect([port.read(0x38), port.moved(0), port.read(0x20)]).toEqual([0, 1024, 0x50]);
    expect([bytes(DATA, 100)[99], bytes(DATA + 0x1000, 924)[411], bytes(DATA + 0x1000, 924)[412]]).toEqual([6, 6, 7]);
    port.issue(1, { command: 0x35, lba: 9, count: 2, prds: scattered, write: true });
    disk.run();
    expect([disk.data[9 * 512], disk.data[10 * 512]]).toEqual([6, 7]);
    expect(disk.flushes).toBe(0);
    port.issue(2, { command: 0x3d, lba: 9, count: 2, prds: scattered, write: true });
    disk.run();
    expect(disk.flushes).toBe(1);
  });

  it('PIO works as well, one command after the other', () => {
    port.issue(0, { command: 0x20, lba: 1, count: 2, prds });
    port.issue(1, { command: 0x20, lba: 3, count: 1, prds: [{ gpa: DATA + 0x1000, length: 512 }] });
    expect(disk.pending).toBe(1);
    disk.run();
    expect([bytes(DATA, 1024)[0], bytes(DATA, 1024)[512], bytes(DATA + 0x1000, 512)[0]]).toEqual([2, 3, 4]);
    port.issue(0, { command: 0x30, lba: 100, count: 2, prds, write: true });
    disk.run();
    expect([disk.data[100 * 512], disk.data[101 * 512], port.read(0x38)]).toEqual([2, 3, 0]);
  });

  it('DATA SET MANAGEMENT discards, and only what is there', () => {
    const list = new DataView(new ArrayBuffer(512));
    list.setUint32(0, 16, true);
    list.setUint16(6, 8, true);
    list.setUint32(16, 64, true);
    list.setUint16(22, 1, true);
    bench.memory.write(DATA, new Uint8Array(list.buffer));
    port.issue(0, { command: 0x06, features: 1, count: 1, prds, write: true });
    disk.run();
    expect(disk.discarded).toEqual([
      [16 * 512, 8 * 512],
      [64 * 512, 512],
    ]);
    expect(port.read(0x20) & 1).toBe(0);
    list.setUint32(0, 2047, true);
    bench.memory.write(DATA, new Uint8Array(list.buffer));
    port.issue(0, { command: 0x06, features: 1, count: 1, prds, write: true });
    disk.run();
    expect(port.read(0x20) & 1).toBe(1);
  });

  it('an error stops the port until the driver starts it anew', () => {
    port.issue(4, { command: 0x25, lba: 2047, count: 2, prds });
    expect([port.read(0x38), port.read(0x20) & 1, port.read(0x10) >>> 30]).toEqual([16, 1, 1]);
    port.issue(5, { command: 0xec, prds });
    expect(port.read(0x38)).toBe(48);
    port.write(0x18, 0x10);
    expect(port.read(0x38)).toBe(0);
    port.write(0x18, 0x11);
    port.issue(5, { command: 0xec, prds });
    expect(port.read(0x38)).toBe(0);
  });
});

describe('queued commands', () => {
  it('are under way together and end with their own bits', () => {
    for (const slot of [0, 7, 31])
      port.issue(slot, { command: 0x60, lba: slot, count: 1, prds: [{ gpa: DATA + slot * 512, length: 512 }] });
    expect([disk.pending, port.read(0x38), port.read(0x34)]).toEqual([3, 0, 0x8000_0081]);
    disk.run();
    expect([port.read(0x34), port.fis(0x58)[0]]).toEqual([0, 0xa1]);
    expect([0, 7, 31].map((slot) => bytes(DATA + slot * 512, 1)[0])).toEqual([1, 8, 32]);
    bench.memory.write(DATA, new Uint8Array(512).fill(0x99));
    port.issue(2, { command: 0x61, lba: 40, count: 1, prds, write: true, device: 0xc0 });
    disk.run();
    expect([disk.data[40 * 512], disk.flushes, port.read(0x34)]).toEqual([0x99, 1, 0]);
  });

  it('one that fails stops all, and the log says which', () => {
    port.issue(0, { command: 0x60, lba: 0, count: 1, prds });
    port.issue(3, { command: 0x60, lba: 5000, count: 1, prds });
    expect([port.read(0x20) & 1, port.read(0x34)]).toEqual([1, 9]);
    port.write(0x18, 0x10);
    port.write(0x18, 0x11);
    // The host is still at the first; what comes next waits for it.
    port.issue(1, { command: 0x2f, lba: 0x10, count: 1, prds });
    expect(port.read(0x38)).toBe(2);
    disk.run();
    const log = bytes(DATA, 512);
    expect([log[0], log[2], log[3], log[4]! + log[5]! * 256]).toEqual([3, 0x51, 0x10, 5000]);
    expect(log.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  });

  it('errors of the host are theirs too', () => {
    disk.failWith = BLOCK_IO_ERROR;
    port.issue(0, { command: 0x60, lba: 0, count: 1, prds });
    disk.run();
    disk.failWith = BLOCK_OK;
    expect(port.read(0x20)).toBe((0x40 << 8) | 0x51);
  });

  it('are done again by the machine that a saved state is restored into, as is any other command', () => {
    bench.memory.write(DATA, new Uint8Array(512).fill(0x21));
    port.issue(4, { command: 0x61, lba: 7, count: 1, prds, write: true });
    cd.issue(0, {
      command: 0xa0,
      features: 1,
      packet: [0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0],
      prds: [{ gpa: DATA + 0x2000, length: 2048 }],
    });
    expect(ahci.settled).toBe(false);
    const state = structuredClone(ahci.save());
    const again = new Bench();
    again.memory.write(0, bytes(0, 1 << 20));
    disk = new FakeBlockDevice(new Uint8Array(1 << 20));
    const restored = make(again);
    restored.restore(state);
    disk.run();
    disc.run();
    expect(disk.data[7 * 512]).toBe(0x21);
    const driver = new AhciDriver(restored, again);
    expect([driver.read(0x34), driver.read(0x38)]).toEqual([0, 0]);
    expect([again.memory.read8(DATA + 0x2000), new AhciDriver(restored, again, 1).read(0x38)]).toEqual([0xcd, 0]);
  });
});

describe('a CD drive', () => {
  const packet = (...start: number[]) => [...start, ...new Array<number>(12 - start.length).fill(0)];

  it('answers packets by PIO and DMA, and reports another medium', () => {
    cd.issue(0, { command: 0xa0, lba: 0xfffe00, packet: packet(0x12, 0, 0, 0, 36), prds });
    expect(String.fromCharCode(...bytes(DATA + 8, 8))).toBe('HYPERVUE');
    expect(cd.moved(0)).toBe(36);
    cd.issue(1, { command: 0xa0, features: 1, packet: packet(0x28, 0, 0, 0, 0, 2, 0, 0, 2), prds });
    disc.run();
    expect([cd.read(0x38), cd.moved(1), bytes(DATA, 4096)[4095]]).toEqual([0, 4096, 0xcd]);
    disc.change(new Uint8Array(32 << 10).fill(7), true);
    cd.issue(0, { command: 0xa0, packet: packet(0) });
    expect(cd.read(0x20) & 1).toBe(1);
    cd.write(0x18, 0x10);
    cd.write(0x18, 0x11);
    cd.issue(0, { command: 0xa0, packet: packet(0) });
    expect(cd.read(0x20) & 1).toBe(0);
  });
});

describe('resets', () => {
  it('COMRESET shows the signature again and gives up what is under way', () => {
    port.issue(0, { command: 0x25, lba: 0, count: 1, prds });
    port.write(0x2c, 1);
    expect(port.read(0x28)).toBe(0);
    port.write(0x2c, 0);
    expect([port.read(0x28), port.read(0x24), port.read(0x30) >>> 26]).toEqual([0x113, 0x101, 1]);
    disk.run();
    expect(bytes(DATA, 1)[0]).toBe(0);
  });

  it('software reset is two control FISes', () => {
    const table = 0x2000;
    for (const control of [4, 0]) {
      bench.memory.write(table, Uint8Array.of(0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, control));
      bench.memory.write32(0x1000, 5);
      bench.memory.write32(0x1008, table);
      port.write(0x38, 1);
      expect(port.read(0x38)).toBe(0);
    }
    expect(port.fis(0x40)[0]).toBe(0x34);
    expect(port.read(0x20)).toBe(0x0150);
  });
});

it('whatever a driver puts into slots and registers: no exception, and the port works after a reset', () => {
  const number = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x11, 0x1000, 0x1800, 0x2000, 0xffff_ffff));
  const command = fc.oneof(
    fc.constantFrom(0x06, 0x20, 0x24, 0x25, 0x2f, 0x30, 0x35, 0x3d, 0x60, 0x61, 0xa0, 0xa1, 0xc4, 0xc5, 0xc8, 0xca, 0xe7, 0xec, 0xef),
    fc.integer({ min: 0, max: 255 }),
  );
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        what: fc.constant('command' as const),
        slot: fc.integer({ min: 0, max: 31 }),
        cd: fc.boolean(),
        command,
        features: fc.integer({ min: 0, max: 3 }),
        lba: fc.oneof(fc.integer({ min: 0, max: 2100 }), fc.constant(2 ** 47)),
        count: fc.integer({ min: 0, max: 20 }),
        packet: fc.uint8Array({ minLength: 12, maxLength: 12 }),
        prds: fc.array(
          fc.record({
            gpa: fc.oneof(fc.integer({ min: 0, max: 0xf_ffff }), fc.constantFrom(0xfe10_0000, 0xffff_ffff, 2 ** 40)),
            length: fc.integer({ min: 1, max: 0x40_0000 }),
          }),
          { maxLength: 4 },
        ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ what: fc.constant('register' as const), offset: fc.integer({ min: 0, max: 0x15 }), value: number }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('rubbish' as const),
        at: fc.integer({ min: 0x1000, max: 0x3000 }),
        bytes: fc.uint8Array({ minLength: 32, maxLength: 64 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('answers' as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      port.start();
      cd.start();
      for (const one of steps) {
        if (one.what === 'command') {
          const { packet, cd: onCd, ...rest } = one;
          (onCd ? cd : port).issue(one.slot, onCd ? { ...rest, packet: [...packet] } : rest);
        } else if (one.what === 'register') port.write(one.offset * 4, one.value);
        else if (one.what === 'rubbish') bench.memory.write(one.at, one.bytes);
        else {
          disk.run();
          disc.run();
        }
      }
      disk.run();
      disc.run();
      port.writeHost(4, 1);
      port.start();
      port.issue(0, { command: 0xec, prds });
      disk.run();
      expect([port.read(0x38), port.moved(0)]).toEqual([0, 512]);
    }),
    { numRuns: 300 },
  );
});
