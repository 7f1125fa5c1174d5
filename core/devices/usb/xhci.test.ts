import { beforeEach, describe, expect, it } from 'vitest';
import { Bench } from '../testing/bench.ts';
import { createXhci, DISK_PORT, TABLET_PORT, type TestXhci, wrapper } from '../testing/xhcibench.ts';
import { DATA, XhciDriver } from '../testing/xhcidriver.ts';

let bench: Bench;
let xhci: TestXhci;
let driver: XhciDriver;
beforeEach(() => {
  bench = new Bench();
  xhci = createXhci(bench);
  driver = new XhciDriver(xhci, bench);
  driver.start();
});

const IN = 3;
const OUT = 4;
const bytesAt = (gpa: number, length: number) => {
  const bytes = new Uint8Array(length);
  bench.memory.read(gpa, bytes);
  return bytes;
};

describe('registers and ports', () => {
  it('says what it is', () => {
    expect(driver.read(0) >>> 0).toBe(0x0100_0040);
    expect(driver.read(4)).toBe(((20 << 24) | (1 << 8) | 20) >>> 0);
    const protocols = (driver.read(0x10) >>> 16) * 4;
    expect([driver.read(protocols) >>> 24, driver.read(protocols + 4), driver.read(protocols + 8)]).toEqual([3, 0x20425355, 0x0a01]);
    expect([driver.read(protocols + 16) >>> 24, driver.read(protocols + 24)]).toEqual([2, 0x0a0b]);
  });

  it('tells of the devices that are there when it begins to run, once', () => {
    expect(driver.events().map(({ type, at }) => [type, at >>> 24])).toEqual([
      [34, DISK_PORT],
      [34, TABLET_PORT],
    ]);
    expect(driver.events()).toEqual([]);
  });

  it('a USB 3 port is enabled at once, a USB 2 port by its reset, which is told', () => {
    driver.events();
    expect(driver.portStatus(DISK_PORT) & 0x3dff).toBe(0x1003);
    expect(driver.portStatus(TABLET_PORT) & 0x3dff).toBe(0x00e1);
    driver.writePort(TABLET_PORT, 0x20200);
    driver.writePort(TABLET_PORT, 0x210);
    expect(driver.portStatus(TABLET_PORT)).toBe(0x20_0603);
    expect(driver.events().map(({ at }) => at >>> 24)).toEqual([TABLET_PORT]);
  });

  it('goes into suspend and back', () => {
    driver.connect(TABLET_PORT);
    driver.writePort(TABLET_PORT, 0x00fe_0200);
    driver.writePort(TABLET_PORT, 0x1_0260);
    expect((driver.portStatus(TABLET_PORT) >> 5) & 15).toBe(3);
    driver.writePort(TABLET_PORT, 0x1_03e0);
    driver.writePort(TABLET_PORT, 0x1_0200);
    expect(driver.portStatus(TABLET_PORT) & 0x40_01e0).toBe(0x40_0000);
  });

  it('interrupts by its pin, or by messages, once until the guest has seen to it', () => {
    driver.events();
    driver.write(0x44, 0x18);
    driver.write(0x1020, 3);
    driver.command(23);
    expect(driver.read(0x44) & 8).toBe(8);
    expect(xhci.save().interrupt).toBe(true);
    driver.write(0x1020, 3);
    expect(xhci.save().interrupt).toBe(false);
    xhci.writeConfig(0x42, 1, 2);
    driver.command(23);
    expect(xhci.testParts.messages).toHaveLength(1);
    driver.put(driver.commands, 0, 0, 23 << 10);
    driver.write(0x2000, 0);
    driver.put(driver.commands, 0, 0, 23 << 10);
    driver.write(0x2000, 0);
    expect(xhci.testParts.messages).toHaveLength(2);
    driver.events();
    expect(xhci.testParts.messages).toHaveLength(2);
  });

  it('keeps its state while it stands, and says when a reset took it', () => {
    driver.write(0x40, 0);
    driver.write(0x40, 0x100);
    driver.write(0x40, 0x200);
    expect(driver.read(0x44) & 0x401).toBe(1);
    driver.write(0x40, 2);
    driver.write(0x40, 0x200);
    expect(driver.read(0x44) & 0x401).toBe(0x401);
  });

  it('has nothing to do at any time when nothing is asked of it', () => {
    const slot = driver.connect(TABLET_PORT);
    driver.configure(slot, [[IN, 7]]);
    driver.normal(slot, IN, DATA, 8);
    driver.doorbell(slot, IN);
    expect(bench.clock.nextDeadline()).toBeUndefined();
  });
});

describe('slots and endpoints', () => {
  it('gives as many slots as there are, and takes them back', () => {
    for (let slot = 1; slot <= 20; slot++) expect(driver.command(9)).toMatchObject({ code: 1, slot });
    expect(driver.command(9).code).toBe(9);
    expect(driver.command(10, 0, 7 << 24).code).toBe(1);
    expect(driver.command(10, 0, 7 << 24).code).toBe(11);
    expect(driver.command(9)).toMatchObject({ code: 1, slot: 7 });
  });

  it('answers control requests, and refuses one by a stall that halts the pipe', () => {
    const slot = driver.connect(TABLET_PORT);
    const { code, data } = driver.control(slot, [0x80, 6, 0, 1, 0, 0, 64, 0]);
    expect(code).toBe(1);
    expect([...data]).toEqual([18, 1, 0x10, 1, 0, 0, 0, 64, 0x27, 6, 1, 0, 0, 1, 1, 2, 3, 1]);
    expect(driver.control(slot, [0x80, 6, 9, 3, 9, 4, 64, 0]).code).toBe(6);
    expect(driver.endpointState(slot, 1)).toBe(2);
    expect(driver.command(14, 0, (slot << 24) | (1 << 16)).code).toBe(1);
    expect(driver.endpointState(slot, 1)).toBe(3);
    const ring = driver.ring(slot, 1);
    expect(driver.command(16, (ring.base + ring.index * 16) | ring.cycle, (slot << 24) | (1 << 16)).code).toBe(1);
    expect(driver.control(slot, [0x80, 8, 0, 0, 0, 0, 1, 0])).toEqual({ code: 1, data: Uint8Array.of(0) });
  });

  it('refuses isochronous endpoints and those of the other direction, and leaves the slot as it was', () => {
    const slot = driver.connect(DISK_PORT);
    expect(driver.configure(slot, [[IN, 5]])).toBe(17);
    expect(driver.configure(slot, [[IN, 2]])).toBe(17);
    expect(driver.configure(slot, [[IN, 6]])).toBe(1);
    expect(driver.endpointState(slot, IN)).toBe(1);
  });

  it('refuses commands that do not fit the state', () => {
    const slot = driver.connect(DISK_PORT);
    expect(driver.command(14, 0, (slot << 24) | (1 << 16)).code).toBe(19);
    expect(driver.command(16, 0x5001, (slot << 24) | (1 << 16)).code).toBe(19);
    expect(driver.command(15, 0, (slot << 24) | (IN << 16)).code).toBe(12);
    expect(driver.command(62, 0, slot << 24).code).toBe(5);
    expect(driver.command(15, 0, 99 << 24).code).toBe(11);
  });

  it('stops an endpoint in the middle of a transfer, which is told, and goes on with it', () => {
    const slot = driver.connect(TABLET_PORT);
    driver.configure(slot, [[IN, 7]]);
    const at = driver.normal(slot, IN, DATA, 8);
    driver.doorbell(slot, IN);
    expect(xhci.testParts.tablet.listening).toBe(true);
    driver.put(driver.commands, 0, 0, ((15 << 10) | (slot << 24) | (IN << 16)) >>> 0);
    driver.write(0x2000, 0);
    expect(driver.events().map(({ type, code, left }) => [type, code, left])).toEqual([
      [32, 26, 8],
      [33, 1, 0],
    ]);
    expect(xhci.testParts.tablet.listening).toBe(false);
    driver.doorbell(slot, IN);
    xhci.testParts.tablet.moveTo(1, 2, 0, 0);
    bench.clock.advance(0);
    expect(driver.events()).toMatchObject([{ type: 32, code: 13, left: 2, at }]);
  });

  it('tells of a device that is pulled out, and of its transfers', () => {
    const slot = driver.connect(TABLET_PORT);
    driver.configure(slot, [[IN, 7]]);
    driver.writePort(TABLET_PORT, 0x00fe_0200);
    driver.normal(slot, IN, DATA, 8);
    driver.doorbell(slot, IN);
    xhci.unplug(1);
    expect(driver.events().map(({ type, code }) => [type, code])).toEqual([
      [34, 1],
      [32, 4],
    ]);
    expect(driver.portStatus(TABLET_PORT) & 0x2_0003).toBe(0x2_0000);
    expect(driver.control(slot, [0x80, 8, 0, 0, 0, 0, 1, 0]).code).toBe(4);
    xhci.plug(1, xhci.testParts.tablet);
    driver.command(10, 0, slot << 24);
    expect(driver.control(driver.connect(TABLET_PORT), [0x80, 8, 0, 0, 0, 0, 1, 0]).code).toBe(1);
  });
});

describe('transfer rings', () => {
  let slot: number;
  beforeEach(() => {
    slot = driver.connect(DISK_PORT);
    driver.configure(slot, [
      [IN, 6],
      [OUT, 2],
    ]);
  });
  const send = (bytes: Uint8Array) => {
    bench.memory.write(DATA, bytes);
    driver.normal(slot, OUT, DATA, bytes.length);
    driver.doorbell(slot, OUT);
  };

  it('puts the pieces of a transfer together, tells where it was short, and what an event data TRB counts', () => {
    send(wrapper(1, 36, true, [0x12, 0, 0, 0, 36, 0]));
    expect(driver.events()).toMatchObject([{ code: 1, left: 0 }]);
    driver.normal(slot, IN, DATA + 0x100, 20, 0x10);
    const second = driver.normal(slot, IN, DATA + 0x200, 30, 0x14);
    driver.normal(slot, IN, DATA + 0x300, 30, 0x10);
    driver.put(driver.ring(slot, IN), 0x1234, 0, (7 << 10) | 0x20, 0x9);
    driver.doorbell(slot, IN);
    expect(driver.events()).toMatchObject([
      { code: 13, left: 14, at: second, data: false },
      { code: 13, left: 36, at: 0x9_0000_1234, data: true },
    ]);
    expect(String.fromCharCode(...bytesAt(DATA + 0x108, 8))).toBe('HYPERVUE');
    expect(String.fromCharCode(...bytesAt(DATA + 0x200, 4))).toBe('DISK');
  });

  it('waits for the rest of a transfer that the guest has handed over in part', () => {
    driver.normal(slot, IN, DATA, 8, 0x10);
    driver.doorbell(slot, IN);
    expect(driver.events()).toEqual([]);
    expect(driver.endpointState(slot, IN)).toBe(1);
  });

  it.each([
    ['links without end', (at: number) => [at, 0, 0, (6 << 10) | 1]],
    ['a TRB of another kind', () => [0, 0, 0, (9 << 10) | 1]],
  ])('%s are an error of the endpoint', (_, trb) => {
    const { base } = driver.ring(slot, IN);
    trb(base).forEach((word, index) => {
      bench.memory.write32(base + index * 4, word);
    });
    driver.doorbell(slot, IN);
    expect(driver.events()).toMatchObject([{ type: 32, code: 5, at: base }]);
    expect(driver.endpointState(slot, IN)).toBe(4);
    expect(driver.command(16, base | 1, (slot << 24) | (IN << 16)).code).toBe(1);
  });

  it('a ring that goes round for ever is done in turns, and stops with the endpoint', () => {
    const { base } = driver.ring(slot, IN);
    [0, 0, 0, (8 << 10) | 1, base, 0, 0, (6 << 10) | 1].forEach((word, index) => {
      bench.memory.write32(base + index * 4, word);
    });
    driver.doorbell(slot, IN);
    expect(bench.clock.nextDeadline()).toBeDefined();
    bench.clock.advance(1_000_000);
    expect(driver.command(15, 0, (slot << 24) | (IN << 16)).code).toBe(1);
    bench.clock.advance(1_000_000);
    expect(bench.clock.nextDeadline()).toBeUndefined();
  });

  it('a command ring of nothing but links is an error of the controller', () => {
    const { commands } = driver;
    const at = commands.base + commands.index * 16;
    [at, 0, 0, (6 << 10) | 1].forEach((word, index) => {
      bench.memory.write32(at + index * 4, word);
    });
    driver.write(0x2000, 0);
    expect(driver.read(0x44) & 0x1000).toBe(0x1000);
    driver.start();
    expect(driver.read(0x44) & 0x1000).toBe(0);
  });

  it('keeps events for which there is no room, and stands still meanwhile', () => {
    driver = new XhciDriver(xhci, bench, 16);
    driver.start();
    driver.events();
    const { commands } = driver;
    for (let i = 0; i < 25; i++) driver.put(commands, 0, 0, 23 << 10);
    driver.write(0x2000, 0);
    // One command is done whose event finds no room, and none behind it.
    expect((xhci.save().events as { waiting: number[] }).waiting).toHaveLength(4);
    const counts: number[] = [];
    for (let seen = driver.events(); seen.length; seen = driver.events()) counts.push(seen.length);
    expect(counts).toEqual([15, 10]);
  });
});

describe('a saved state', () => {
  it('goes on with transfers that were under way', () => {
    const tablet = driver.connect(TABLET_PORT);
    driver.configure(tablet, [[IN, 7]]);
    driver.normal(tablet, IN, DATA, 8);
    driver.doorbell(tablet, IN);
    const disk = driver.connect(DISK_PORT);
    driver.configure(disk, [
      [IN, 6],
      [OUT, 2],
    ]);
    bench.memory.write(DATA + 0x100, wrapper(5, 1024, true, [0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0]));
    driver.normal(disk, OUT, DATA + 0x100, 31);
    driver.doorbell(disk, OUT);
    driver.normal(disk, IN, DATA + 0x1000, 1024);
    driver.normal(disk, IN, DATA + 0x200, 13);
    driver.doorbell(disk, IN);
    driver.events();
    const state = structuredClone(xhci.save());
    const other = createXhci(bench);
    xhci.writeConfig(4, 0, 2);
    other.restore(state);
    xhci = other;
    expect(xhci.testParts.tablet.listening).toBe(true);
    bench.clock.advance(1);
    xhci.testParts.block.run();
    xhci.testParts.tablet.moveTo(0x1234, 0x4321, 0, 1);
    bench.clock.advance(0);
    expect(driver.events().map(({ slot, code }) => [slot, code])).toEqual([
      [disk, 1],
      [disk, 1],
      [tablet, 13],
    ]);
    expect(bytesAt(DATA + 0x1000, 1024)).toEqual(xhci.testParts.block.data.slice(1536, 2560));
    expect([...bytesAt(DATA + 0x200, 13)]).toEqual([0x55, 0x53, 0x42, 0x53, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...bytesAt(DATA, 6)]).toEqual([1, 0x34, 0x12, 0x21, 0x43, 0]);
  });

  it('without a device that was there tells that it was pulled out', () => {
    const slot = driver.connect(TABLET_PORT);
    driver.writePort(TABLET_PORT, 0x00fe_0200);
    driver.events();
    const state = structuredClone(xhci.save());
    const other = createXhci(bench);
    other.unplug(1);
    xhci.writeConfig(4, 0, 2);
    other.restore(state);
    expect(driver.events()).toEqual([]);
    bench.clock.advance(1);
    expect(driver.events().map(({ type, at }) => [type, at >>> 24])).toEqual([[34, TABLET_PORT]]);
    expect(driver.portStatus(TABLET_PORT) & 3).toBe(0);
    expect(driver.control(slot, [0x80, 8, 0, 0, 0, 0, 1, 0]).code).toBe(4);
  });
});
