import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GUEST_RAM_BASE, ROM_BASE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { FakeBlockDevice } from '../testing/fakeblock.ts';
import { VirtioDriver } from '../testing/virtiodriver.ts';
import { VirtioBlk } from './virtioblk.ts';

const address = fc.oneof(
  fc.integer({ min: 0, max: 0xf_ffff }),
  fc.constantFrom(0, 0xf_ffff, 0x10_0000, 0xfee0_0000, 0xfe01_0000, 0xffff_ffff, 2 ** 32, 2 ** 53, 2 ** 63),
);
const length = fc.oneof(fc.constantFrom(0, 1, 15, 16, 17, 512, 513, 4096, 0x10_0000, 0xffff_ffff), fc.integer({ min: 0, max: 70_000 }));
const descriptor = fc.record({ gpa: address, length, flags: fc.integer({ min: 0, max: 7 }), next: fc.integer({ min: 0, max: 9 }) });
const header = fc.tuple(
  fc.oneof(fc.constantFrom(0, 1, 4, 8, 11, 13), fc.integer({ min: 0, max: 0xffffffff })),
  fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(0xffffffff)),
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('rubbish' as const),
      table: fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      head: fc.integer({ min: 0, max: 9 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('request' as const),
      header,
      pieces: fc.array(fc.record({ gpa: address, length, write: fc.boolean() }), { maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('register' as const),
      offset: fc.integer({ min: 0, max: 0x3fff }),
      value: fc.integer({ min: 0, max: 0xffff }),
      size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('index' as const), value: fc.integer({ min: 0, max: 0xffff }) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('answers' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('start' as const), features: fc.subarray([2, 9, 11, 13, 14, 28, 29]) }) },
);

it('whatever descriptors a driver makes up: no exception, bounded requests, and no byte outside RAM changes', () => {
  const bench = new Bench();
  const all = new Uint8Array(bench.memory.memory.buffer);
  const before = all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE);
  const roms = all.slice(ROM_BASE, ROM_BASE + (1 << 20));
  const disk = new FakeBlockDevice(new Uint8Array(128 << 10));
  const device = new VirtioBlk({
    id: 'virtio0',
    mmio: bench.mmio,
    memory: bench.memory,
    message: () => {},
    log: bench.log,
    block: disk,
    serial: 'HV00000',
    writeCache: true,
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const driver = new VirtioDriver(device, bench);
      driver.start([9, 13, 14, 28, 29]);
      for (const one of steps) {
        switch (one.what) {
          case 'rubbish':
            one.table.forEach((entry, index) => {
              driver.putDescriptor(driver.tableOf(0), index, entry, entry.flags, entry.next);
            });
            driver.makeAvailable(one.head);
            driver.kick();
            break;
          case 'request': {
            const head = new Uint8Array(16);
            new DataView(head.buffer).setUint32(0, one.header[0], true);
            new DataView(head.buffer).setUint32(8, one.header[1], true);
            const pieces = [...one.pieces].sort((a, b) => Number(a.write) - Number(b.write));
            driver.submit([{ gpa: driver.buffer(head), length: 16 }, ...pieces, { gpa: driver.buffer(1), length: 1, write: true }]);
            driver.kick();
            break;
          }
          case 'register':
            driver.write(one.offset, one.value, one.size);
            driver.read(one.offset, one.size);
            break;
          case 'index':
            bench.memory.write16(driver.tableOf(0) + 0x1002, one.value);
            driver.kick();
            break;
          case 'answers':
            disk.run();
            break;
          case 'start':
            driver.start(one.features);
        }
        expect(disk.pending).toBeLessThan(1100);
      }
      disk.run();
      // Whatever happened, a reset and a proper driver get through.
      driver.start([]);
      const status = driver.buffer(Uint8Array.of(0xee));
      driver.submit([
        { gpa: driver.buffer(new Uint8Array(16)), length: 16 },
        { gpa: driver.buffer(512), length: 512, write: true },
        { gpa: status, length: 1, write: true },
      ]);
      driver.kick();
      disk.run();
      expect(bench.memory.read8(status)).toBe(0);
    }),
    { numRuns: 300 },
  );
  expect(all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE)).toEqual(before);
  expect(all.slice(ROM_BASE, ROM_BASE + (1 << 20))).toEqual(roms);
});
