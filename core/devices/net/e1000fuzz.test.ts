import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GUEST_RAM_BASE, ROM_BASE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { E1000Driver } from '../testing/e1000driver.ts';
import { FakeCable } from '../testing/fakecable.ts';
import { CARD_MAC, ethernet, PEER_MAC, pattern, tcpFrame } from '../testing/frames.ts';
import { E1000 } from './e1000.ts';

const word = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x80, 0x1000, 0x2000, 0xf_ff80, 0xffff, 0xffff_ffff));
/** Those with an effect, and any other. */
const register = fc.oneof(
  fc.constantFrom(
    0,
    8,
    0x10,
    0x14,
    0x20,
    0x38,
    0xc0,
    0xc4,
    0xc8,
    0xd0,
    0xd8,
    0x100,
    0x400,
    0x2800,
    0x2804,
    0x2808,
    0x2810,
    0x2818,
    0x3800,
    0x3804,
    0x3808,
    0x3810,
    0x3818,
    0x5000,
    0x5200,
    0x5404,
  ),
  fc.integer({ min: 0, max: 0x7fff }).map((index) => index * 4),
);
const step = fc.oneof(
  fc.record({ what: fc.constant('register' as const), register, value: word }),
  fc.record({
    what: fc.constant('descriptor' as const),
    words: fc.array(word, { minLength: 4, maxLength: 4 }),
    tail: fc.integer({ min: 0, max: 20 }),
  }),
  fc.record({
    what: fc.constant('data' as const),
    bytes: fc.integer({ min: 0, max: 3000 }),
    command: fc.integer({ min: 0, max: 0xff }),
    options: fc.integer({ min: 0, max: 255 }),
    tcp: fc.boolean(),
  }),
  fc.record({ what: fc.constant('context' as const), ip: word, transport: word, more: fc.integer({ min: 0, max: 0xff0f_ffff }) }),
  fc.record({ what: fc.constant('frame' as const), bytes: fc.integer({ min: 0, max: 60_000 }), tcp: fc.boolean() }),
  fc.record({ what: fc.constant('offer' as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ what: fc.constant('plug' as const), carrier: fc.boolean() }),
  fc.record({ what: fc.constant('time' as const), ns: fc.integer({ min: 0, max: 20_000_000 }) }),
  fc.record({ what: fc.constant('start' as const), control: word }),
);

it('whatever a driver and a network make up: no exception, no byte outside RAM changes, states fit, and a proper driver gets through afterwards', () => {
  const bench = new Bench();
  const all = new Uint8Array(bench.memory.memory.buffer);
  const before = all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE);
  const roms = all.slice(ROM_BASE, ROM_BASE + (1 << 20));
  const cable = new FakeCable();
  const make = (on: Bench, at: FakeCable) =>
    new E1000({ id: 'net0', mmio: on.mmio, ports: on.ports, memory: on.memory, clock: on.clock, log: on.log, cable: at, mac: CARD_MAC });
  const card = make(bench, cable);
  const other = make(new Bench(), new FakeCable());
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const driver = new E1000Driver(card, bench);
      driver.start();
      for (const one of steps) {
        switch (one.what) {
          case 'register':
            driver.write(one.register, one.value);
            driver.read(one.register);
            break;
          case 'descriptor':
            one.words.forEach((value, i) => {
              bench.memory.write32(0x2000 + i * 4, value);
              bench.memory.write32(0x1000 + i * 4, value);
            });
            driver.write(0x3818, one.tail);
            driver.write(0x2818, one.tail);
            break;
          case 'data':
            driver.submit({ ...one, bytes: one.tcp ? tcpFrame({ payload: pattern(one.bytes) }) : pattern(one.bytes) });
            break;
          case 'context':
            driver.context(one.ip, one.transport, one.more, 0);
            break;
          case 'frame':
            cable.arrive(one.tcp ? tcpFrame({ payload: pattern(one.bytes) }) : ethernet(CARD_MAC, PEER_MAC, one.bytes, pattern(one.bytes)));
            break;
          case 'offer':
            driver.offer(one.count);
            break;
          case 'plug':
            cable.plug(one.carrier);
            break;
          case 'time':
            bench.clock.advance(one.ns);
            break;
          case 'start':
            driver.start(one.control);
        }
        for (const frame of cable.sent) expect(frame.length).toBeLessThanOrEqual(65_550);
        cable.sent.length = 0;
      }
      const state = card.save();
      other.restore(structuredClone(state));
      expect(other.save()).toEqual(state);
      driver.start();
      const frame = ethernet(CARD_MAC, PEER_MAC, 0x88b5, pattern(100));
      driver.offer(1);
      cable.arrive(frame);
      expect(driver.received()[0]!.bytes.subarray(0, frame.length)).toEqual(frame);
      driver.submit({ bytes: frame, command: 1 });
      expect(cable.sent).toEqual([frame]);
      cable.sent.length = 0;
    }),
    { numRuns: 200 },
  );
  expect(all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE)).toEqual(before);
  expect(all.slice(ROM_BASE, ROM_BASE + (1 << 20))).toEqual(roms);
});
