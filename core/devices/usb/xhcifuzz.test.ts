import fc from 'fast-check';
import { expect, it } from 'vitest';
import { GUEST_RAM_BASE, ROM_BASE } from '../../memory/layout.ts';
import { Bench } from '../testing/bench.ts';
import { createXhci, DISK_PORT, TABLET_PORT, wrapper } from '../testing/xhcibench.ts';
import { DATA, XhciDriver } from '../testing/xhcidriver.ts';

const word = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 0x1000, 0x2000, 0x2001, 0x4000, 0x6000, 0x1_0000, 0x4_0000, 0xe_0000, 0xf_fff0, 0x10_0000, 0xffff_ffff),
);
/** Operational registers, ports and the interrupter, and any other. */
const register = fc.oneof(
  fc.constantFrom(0x40, 0x44, 0x54, 0x58, 0x5c, 0x70, 0x74, 0x78, 0x440, 0x450, 0x4e0, 0x4f0, 0x1020, 0x1024, 0x1028, 0x1030, 0x1038),
  fc.integer({ min: 0, max: 0xfff }).map((index) => index * 4),
);
const slot = fc.integer({ min: 0, max: 3 });
const endpoint = fc.constantFrom(0, 1, 3, 4, 5, 31);
const step = fc.oneof(
  fc.record({ what: fc.constant('register' as const), register, value: word }),
  fc.record({ what: fc.constant('memory' as const), at: fc.integer({ min: 0, max: 0xfffc }), value: word }),
  fc.record({
    what: fc.constant('trb' as const),
    slot,
    endpoint,
    parameter: word,
    status: word,
    type: fc.integer({ min: 0, max: 63 }),
    bits: fc.integer({ min: 0, max: 0x3ff }),
  }),
  fc.record({ what: fc.constant('command' as const), parameter: word, type: fc.integer({ min: 6, max: 25 }), slot, endpoint }),
  fc.record({
    what: fc.constant('wrapper' as const),
    length: fc.integer({ min: 0, max: 5000 }),
    cdb: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 16 }),
    toHost: fc.boolean(),
  }),
  fc.record({
    what: fc.constant('setup' as const),
    bytes: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 8, maxLength: 8 }),
    slot,
  }),
  fc.record({ what: fc.constant('pointer' as const), x: fc.integer(), y: fc.integer(), dz: fc.integer(), buttons: fc.integer() }),
  fc.record({ what: fc.constant('plug' as const), connector: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constant('disk' as const) }),
  fc.record({ what: fc.constant('time' as const), ns: fc.integer({ min: 0, max: 1_000_000 }) }),
  fc.record({ what: fc.constant('start' as const) }),
);

it.each(['disk', 'cdrom'] as const)(
  'whatever a driver of a %s makes up: no exception, no byte outside RAM changes, states fit, and a proper driver gets through afterwards',
  (kind) => {
    const bench = new Bench();
    const all = new Uint8Array(bench.memory.memory.buffer);
    const before = all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE);
    const roms = all.slice(ROM_BASE, ROM_BASE + (1 << 20));
    const xhci = createXhci(bench, kind);
    const { tablet, disk, block } = xhci.testParts;
    const otherBench = new Bench();
    const other = createXhci(otherBench, kind);
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const driver = new XhciDriver(xhci, bench);
        const begin = () => {
          xhci.plug(1, tablet);
          xhci.plug(2, disk);
          driver.start();
          driver.configure(driver.connect(TABLET_PORT), [[3, 7]]);
          return driver.connect(DISK_PORT);
        };
        const pipes = [
          [3, 6],
          [4, 2],
        ] as const;
        driver.configure(begin(), pipes);
        const ring = (of: number, index: number) => {
          try {
            return driver.ring(of, index);
          } catch {
            return driver.commands;
          }
        };
        for (const one of steps) {
          switch (one.what) {
            case 'register':
              driver.write(one.register, one.value);
              driver.read(one.register);
              break;
            case 'memory':
              bench.memory.write32(one.at, one.value);
              break;
            case 'trb':
              driver.put(ring(one.slot, one.endpoint), one.parameter, one.status, (one.type << 10) | one.bits);
              driver.doorbell(one.slot, one.endpoint);
              break;
            case 'command':
              driver.put(driver.commands, one.parameter, 0, ((one.type << 10) | (one.slot << 24) | (one.endpoint << 16)) >>> 0);
              driver.doorbell(0, 0);
              break;
            case 'wrapper':
              bench.memory.write(DATA, wrapper(1, one.length, one.toHost, one.cdb));
              for (const [index, bytes] of [
                [4, 31],
                [one.toHost ? 3 : 4, one.length],
                [3, 13],
              ] as const) {
                driver.put(ring(2, index), DATA + index * 0x1000, bytes, (1 << 10) | 0x24);
                driver.doorbell(2, index);
              }
              break;
            case 'setup':
              driver.put(ring(one.slot, 1), 0, 8, (2 << 10) | 0x40);
              driver.put(ring(one.slot, 1), DATA, 64, (3 << 10) | (one.bytes[0]! & 0x80 ? 1 << 16 : 0));
              driver.put(ring(one.slot, 1), 0, 0, (4 << 10) | 0x20);
              driver.doorbell(one.slot, 1);
              break;
            case 'pointer':
              tablet.moveTo(one.x, one.y, one.dz, one.buttons);
              break;
            case 'plug':
              if (xhci.at(one.connector)) xhci.unplug(one.connector);
              else xhci.plug(one.connector, one.connector === 2 ? disk : tablet);
              break;
            case 'disk':
              block.run();
              break;
            case 'time':
              bench.clock.advance(one.ns);
              break;
            case 'start':
              driver.start();
          }
        }
        // Only what is plugged in can be restored on a machine that has it.
        if (!xhci.at(1)) xhci.plug(1, tablet);
        if (!xhci.at(2)) xhci.plug(2, disk);
        if (xhci.at(3)) xhci.unplug(3);
        const state = xhci.save();
        other.restore(structuredClone(state));
        expect(other.save()).toEqual(state);
        other.reset('power');
        otherBench.clock.disarmAll();
        block.run();
        const slot = begin();
        driver.configure(slot, pipes);
        expect(driver.control(slot, [0x80, 8, 0, 0, 0, 0, 1, 0])).toEqual({ code: 1, data: Uint8Array.of(1) });
        block.run();
      }),
      { numRuns: 150 },
    );
    expect(all.slice(GUEST_RAM_BASE - 65_536, GUEST_RAM_BASE)).toEqual(before);
    expect(all.slice(ROM_BASE, ROM_BASE + (1 << 20))).toEqual(roms);
  },
);
