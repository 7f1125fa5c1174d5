import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GUEST_RAM_BASE, ROM_BASE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { FakeCable } from '../testing/fakecable.ts';
import { CARD_MAC, ethernet, PEER_MAC, pattern, tcpFrame } from '../testing/frames.ts';
import { VirtioDriver } from '../testing/virtiodriver.ts';
import { VirtioNet } from './virtionet.ts';

const address = fc.oneof(
  fc.integer({ min: 0, max: 0xf_ffff }),
  fc.constantFrom(0, 0xf_ffff, 0x10_0000, 0xfee0_0000, 0xfe01_0000, 0xffff_ffff, 2 ** 32, 2 ** 53, 2 ** 63),
);
const length = fc.oneof(fc.constantFrom(0, 1, 11, 12, 13, 26, 1526, 65_562, 65_563, 0xffff_ffff), fc.integer({ min: 0, max: 4000 }));
const queue = fc.integer({ min: 0, max: 2 });
const step = fc.oneof(
  fc.record({
    what: fc.constant('rubbish' as const),
    queue,
    table: fc.array(fc.record({ gpa: address, length, flags: fc.integer({ min: 0, max: 7 }), next: fc.integer({ min: 0, max: 9 }) }), {
      minLength: 8,
      maxLength: 8,
    }),
    head: fc.integer({ min: 0, max: 9 }),
  }),
  fc.record({
    what: fc.constant('request' as const),
    queue,
    words: fc.uint8Array({ maxLength: 200 }),
    pieces: fc.array(fc.record({ gpa: address, length, write: fc.boolean() }), { maxLength: 4 }),
  }),
  fc.record({ what: fc.constant('buffers' as const), count: fc.integer({ min: 1, max: 8 }), length }),
  fc.record({ what: fc.constant('frame' as const), bytes: fc.integer({ min: 0, max: 60_000 }), tcp: fc.boolean() }),
  fc.record({ what: fc.constant('index' as const), queue, value: fc.integer({ min: 0, max: 0xffff }) }),
  fc.record({ what: fc.constant('plug' as const), carrier: fc.boolean() }),
  fc.record({ what: fc.constant('start' as const), features: fc.subarray([0, 1, 7, 11, 15, 16, 17, 18, 20, 23, 28, 29]) }),
);

it('whatever a driver and a network make up: no exception, no byte outside RAM changes, and a proper driver gets through afterwards', () => {
  const bench = new Bench();
  const all = new Uint8Array(bench.memory.memory.buffer);
  const before = all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE);
  const roms = all.slice(ROM_BASE, ROM_BASE + (1 << 20));
  const cable = new FakeCable();
  const card = new VirtioNet({
    id: 'net0',
    mmio: bench.mmio,
    memory: bench.memory,
    message: () => {},
    log: bench.log,
    cable,
    mac: CARD_MAC,
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), (steps) => {
      const driver = new VirtioDriver(card, bench);
      driver.start([0, 1, 7, 11, 15, 17, 18, 23], 3);
      for (const one of steps) {
        switch (one.what) {
          case 'rubbish':
            one.table.forEach((entry, index) => {
              driver.putDescriptor(driver.tableOf(one.queue), index, entry, entry.flags, entry.next);
            });
            driver.makeAvailable(one.head, one.queue);
            driver.kick(one.queue);
            break;
          case 'request': {
            const pieces = [...one.pieces].sort((a, b) => Number(a.write) - Number(b.write));
            driver.submit([{ gpa: driver.buffer(one.words), length: one.words.length }, ...pieces], one.queue);
            driver.kick(one.queue);
            break;
          }
          case 'buffers':
            for (let i = 0; i < one.count; i++) driver.submit([{ gpa: 0x80000 + i * 4096, length: one.length, write: true }], 0);
            driver.kick(0);
            break;
          case 'frame':
            cable.arrive(one.tcp ? tcpFrame({ payload: pattern(one.bytes) }) : ethernet(CARD_MAC, PEER_MAC, one.bytes, pattern(one.bytes)));
            break;
          case 'index':
            bench.memory.write16(driver.tableOf(one.queue) + 0x1002, one.value);
            driver.kick(one.queue);
            break;
          case 'plug':
            cable.plug(one.carrier);
            break;
          case 'start':
            driver.start(one.features, 3);
        }
        for (const frame of cable.sent) expect(frame.length).toBeLessThanOrEqual(65_550);
        cable.sent.length = 0;
        const again = new VirtioNet({
          ...{ id: 'net0', message: () => {} },
          mmio: new Bench().mmio,
          memory: bench.memory,
          log: bench.log,
          cable: new FakeCable(),
          mac: CARD_MAC,
        });
        again.restore(structuredClone(card.save()));
      }
      // Whatever happened, a reset and a proper driver get through.
      driver.start([], 3);
      const frame = ethernet(CARD_MAC, PEER_MAC, 0x88b5, pattern(100));
      driver.submit([{ gpa: 0x80000, length: 1526, write: true }], 0);
      driver.kick(0);
      cable.arrive(frame);
      const got = new Uint8Array(frame.length);
      bench.memory.read(0x80000 + 12, got);
      expect(got).toEqual(frame);
      driver.submit(
        [
          { gpa: driver.buffer(new Uint8Array(12)), length: 12 },
          { gpa: driver.buffer(frame), length: frame.length },
        ],
        1,
      );
      driver.kick(1);
      expect(cable.sent).toEqual([frame]);
      cable.sent.length = 0;
    }),
    { numRuns: 150 },
  );
  expect(all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE)).toEqual(before);
  expect(all.slice(ROM_BASE, ROM_BASE + (1 << 20))).toEqual(roms);
});
