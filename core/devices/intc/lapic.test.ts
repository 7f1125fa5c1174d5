import { expect, test } from 'vitest';
import { Bench } from '../testing/bench.ts';
import { Ioapic } from './ioapic.ts';
import { InterruptHub } from './interrupthub.ts';
import { Lapic } from './lapic.ts';
import { Pic } from './pic.ts';
import { Tsc } from '../timer/tsc.ts';

const LAPIC = 0xfee00000;
const IOAPIC = 0xfec00000;

function board(deadlines = false) {
  const bench = new Bench();
  const events: string[] = [];
  let intr = false;
  const hub = new InterruptHub((level) => {
    intr = level;
  });
  const tsc = new Tsc(() => bench.clock.now());
  const lapic: Lapic = new Lapic({
    id: 'lapic',
    mmio: bench.mmio,
    clock: bench.clock,
    tsc: deadlines ? tsc : undefined,
    nmi: () => events.push('nmi'),
    init: () => events.push('init'),
    broadcastEoi: (vector) => ioapic.endOfInterrupt(vector),
    ready: () => ioapic.retry(),
    log: bench.log,
  });
  const ioapic = new Ioapic({ id: 'ioapic', mmio: bench.mmio, apic: lapic });
  const pic = new Pic({ id: 'pic', ports: bench.ports, intr: hub.extInt, log: bench.log });
  hub.connectPic(pic);
  hub.connectApic(lapic);
  const write = (register: number, value: number) => bench.mmio.write(LAPIC + register, value, 4);
  const read = (register: number) => bench.mmio.read(LAPIC + register, 4);
  const redirect = (input: number, low: number, high = 0) => {
    for (const [register, value] of [
      [0x11 + input * 2, high],
      [0x10 + input * 2, low],
    ] as const) {
      bench.mmio.write(IOAPIC, register, 4);
      bench.mmio.write(IOAPIC + 0x10, value, 4);
    }
  };
  const entry = (input: number) => {
    bench.mmio.write(IOAPIC, 0x10 + input * 2, 4);
    return bench.mmio.read(IOAPIC + 0x10, 4);
  };
  /** Turned on, spurious vector FFh. */
  const enable = () => write(0xf0, 0x1ff);
  return { tsc, bench, events, hub, lapic, ioapic, pic, write, read, redirect, entry, enable, intr: () => intr };
}

test('after reset the 8259 gets through, and it stops when LINT0 is masked', () => {
  const { hub, intr, write, enable } = board();
  hub.extInt.set(true);
  expect(intr()).toBe(true);
  enable();
  write(0x350, 0x10700);
  expect(intr()).toBe(false);
  write(0x350, 0x00700);
  expect(intr()).toBe(true);
});

test('LINT0 in fixed mode makes its own vector of the rising edge', () => {
  const { hub, write, enable, intr } = board();
  enable();
  write(0x350, 0x00031);
  hub.extInt.set(true);
  expect(intr()).toBe(true);
  expect(hub.acknowledge()).toBe(0x31);
  expect(intr()).toBe(false);
});

test('the higher vector comes first; a lower class waits for the end of a higher one', () => {
  const { lapic, hub, enable, write, read, intr } = board();
  enable();
  lapic.deliver(0, 0x41, false);
  lapic.deliver(0, 0x62, false);
  expect(hub.acknowledge()).toBe(0x62);
  expect(read(0xa0)).toBe(0x60);
  expect(intr()).toBe(false);
  // Same class as what is in service: waits too.
  lapic.deliver(0, 0x6f, false);
  expect(intr()).toBe(false);
  write(0xb0, 0);
  expect(hub.acknowledge()).toBe(0x6f);
  write(0xb0, 0);
  expect(hub.acknowledge()).toBe(0x41);
});

test('the task priority holds back its class and below', () => {
  const { lapic, enable, write, intr } = board();
  enable();
  write(0x80, 0x50);
  lapic.deliver(0, 0x5f, false);
  expect(intr()).toBe(false);
  write(0x80, 0x40);
  expect(intr()).toBe(true);
});

test('nothing is taken while it is turned off by software, and its table stays masked', () => {
  const { lapic, intr, write, read } = board();
  lapic.deliver(0, 0x51, false);
  expect(intr()).toBe(false);
  write(0x320, 0x31);
  expect(read(0x320)).toBe(0x10031);
});

test('a one-shot timer fires once, after its count times the divider', () => {
  const { bench, enable, write, read, hub, intr } = board();
  enable();
  write(0x320, 0x61);
  write(0x3e0, 0x3); // by 16
  write(0x380, 1000);
  bench.clock.advance(8000);
  expect(read(0x390)).toBe(500);
  bench.clock.advance(7999);
  expect(intr()).toBe(false);
  bench.clock.advance(1);
  expect(hub.acknowledge()).toBe(0x61);
  expect(read(0x390)).toBe(0);
  write(0xb0, 0);
  bench.clock.advance(1_000_000);
  expect(intr()).toBe(false);
  // Periodic from now on, but there is nothing to count.
  write(0x320, 0x20061);
  bench.clock.advance(1000);
  expect([read(0x380), read(0x390), intr()]).toEqual([1000, 0, false]);
});

test('a periodic timer comes again, and a count of zero stops it', () => {
  const { bench, enable, write, hub, intr } = board();
  enable();
  write(0x320, 0x20061);
  write(0x3e0, 0xb); // by 1
  write(0x380, 1_000_000);
  for (let i = 0; i < 3; i++) {
    bench.clock.advance(1_000_000);
    expect(hub.acknowledge()).toBe(0x61);
    write(0xb0, 0);
  }
  write(0x380, 0);
  bench.clock.advance(10_000_000);
  expect(intr()).toBe(false);
});

test('periods that the host missed are made up for', () => {
  const { bench, enable, write, hub } = board();
  enable();
  write(0x3e0, 0x0b);
  write(0x320, 0x20040);
  write(0x380, 1_000_000);
  let taken = 0;
  const serve = (ns: number) => {
    for (let passed = 0; passed < ns; passed += 50_000) {
      bench.clock.advance(50_000);
      if (hub.acknowledge() !== 0x40) continue;
      taken++;
      write(0xb0, 0);
    }
  };
  // The machine thread did not run for 9.5 periods.
  const clock = bench.clock as unknown as { time: { now: number } };
  clock.time.now += 9_500_000;
  bench.clock.runDue();
  serve(10_500_000);
  expect(taken).toBe(20);
  serve(10_000_000);
  expect(taken).toBe(30);
});

test('self interrupts, NMI and INIT by the command register', () => {
  const { enable, write, hub, events } = board();
  enable();
  write(0x300, 0x40055);
  expect(hub.acknowledge()).toBe(0x55);
  write(0x310, 0);
  write(0x300, 0x00400);
  write(0x300, 0x0c500); // INIT, level, assert
  write(0x300, 0x08500); // de-assert only synchronises
  expect(events).toEqual(['nmi', 'init']);
  // To all but itself: nobody is there.
  write(0x300, 0xc0056);
  expect(hub.acknowledge()).toBe(-1);
});

test('illegal vectors and registers set their error bits', () => {
  const { enable, write, read } = board();
  enable();
  write(0x300, 0x40005);
  read(0x3f0);
  expect(read(0x280)).toBe(0);
  write(0x280, 0);
  expect(read(0x280)).toBe(0xa0);
  write(0x280, 0);
  expect(read(0x280)).toBe(0);
});

test('turning it off by its base register lets the 8259 through again; moving it moves the window', () => {
  const { lapic, bench, hub, intr, enable, write } = board();
  enable();
  write(0x350, 0x10000);
  hub.extInt.set(true);
  expect(intr()).toBe(false);
  lapic.setBase(LAPIC);
  expect(intr()).toBe(true);
  expect(bench.mmio.read(LAPIC + 0x30, 4)).toBe(0xffffffff);
  lapic.setBase(0xfed00800);
  expect(bench.mmio.read(0xfed00030, 4)).toBe(0x00050014);
  // Over the I/O APIC there is no room: the guest's mistake, and nothing throws.
  lapic.setBase(IOAPIC + 0x800);
  expect(bench.mmio.read(0xfed00030, 4)).toBe(0xffffffff);
});

test('an edge input sends one message a rise; one that comes while masked is lost', () => {
  const { enable, redirect, ioapic, hub, intr } = board();
  enable();
  redirect(2, 0x10030);
  ioapic.inputs[2]!.set(true);
  ioapic.inputs[2]!.set(false);
  redirect(2, 0x00030);
  expect(intr()).toBe(false);
  ioapic.inputs[2]!.set(true);
  expect(hub.acknowledge()).toBe(0x30);
  expect(intr()).toBe(false);
});

test('a level input asks again after the end of interrupt as long as it is high', () => {
  const { enable, redirect, entry, ioapic, hub, write, intr } = board();
  enable();
  redirect(11, 0x0a035 & ~0x2000);
  ioapic.inputs[11]!.set(true);
  expect(entry(11) & 0x4000).toBe(0x4000);
  expect(hub.acknowledge()).toBe(0x35);
  write(0xb0, 0);
  expect(hub.acknowledge()).toBe(0x35);
  ioapic.inputs[11]!.set(false);
  write(0xb0, 0);
  expect(intr()).toBe(false);
  expect(entry(11) & 0x4000).toBe(0);
});

test('a level input that is high when its entry is unmasked is delivered', () => {
  const { enable, redirect, ioapic, hub } = board();
  enable();
  redirect(16, 0x18040);
  ioapic.inputs[16]!.set(true);
  expect(hub.acknowledge()).toBe(-1);
  redirect(16, 0x08040);
  expect(hub.acknowledge()).toBe(0x40);
});

test('a level input that finds the processor not ready waits, and is delivered when it is', () => {
  const { enable, write, hub, ioapic, entry, redirect, lapic } = board();
  redirect(11, 0x8000 | 0x55);
  ioapic.inputs[11]!.set(true);
  // Remote IRR says that a processor has it: none has.
  expect(entry(11) & 0x4000).toBe(0);
  enable();
  expect(entry(11) & 0x4000).toBe(0x4000);
  expect(hub.acknowledge()).toBe(0x55);

  // Turned off and on as a whole, it has forgotten; the input asks again after its entry is written.
  lapic.setBase(0xfee00100);
  lapic.setBase(0xfee00900);
  redirect(11, 0x55);
  redirect(11, 0x8000 | 0x55);
  expect(entry(11) & 0x4000).toBe(0);
  write(0xf0, 0x1ff);
  expect(hub.acknowledge()).toBe(0x55);
});

test('INIT clears it but for its id and window, and lets the 8259 through again', () => {
  const { bench, read, hub, lapic, intr } = board();
  lapic.setBase(0xfed00900);
  const moved = (register: number) => bench.mmio.read(0xfed00000 + register, 4);
  bench.mmio.write(0xfed000f0, 0x1ff, 4);
  bench.mmio.write(0xfed00020, 0x03000000, 4);
  bench.mmio.write(0xfed00350, 0x10700, 4);
  bench.mmio.write(0xfed00300, 0x40055, 4);
  hub.extInt.set(true);
  expect(hub.acknowledge()).toBe(0x55);
  expect(intr()).toBe(false);
  lapic.init();
  expect([moved(0x20), moved(0xf0), moved(0x350), moved(0x120)]).toEqual([0x03000000, 0xff, 0x00700, 0]);
  expect(intr()).toBe(true);
  expect(read(0x20)).toBe(0xffffffff);
});

test('parts of a register read as they lie', () => {
  const { bench } = board();
  expect([bench.mmio.read(LAPIC + 0x30, 1), bench.mmio.read(LAPIC + 0x32, 2), bench.mmio.read(LAPIC + 0x34, 4)]).toEqual([0x14, 5, 0]);
});

test('messages go by physical id, logical flat mask and logical cluster', () => {
  const { lapic, write } = board();
  expect(lapic.accepts(0, false)).toBe(true);
  expect(lapic.accepts(1, false)).toBe(false);
  expect(lapic.accepts(0xff, false)).toBe(true);
  write(0xd0, 0x04000000);
  expect(lapic.accepts(0x06, true)).toBe(true);
  expect(lapic.accepts(0x03, true)).toBe(false);
  write(0xe0, 0x0fffffff);
  write(0xd0, 0x21000000);
  expect(lapic.accepts(0x23, true)).toBe(true);
  expect(lapic.accepts(0x13, true)).toBe(false);
});

test('any access to the windows leaves a state that restores', () => {
  const { bench, lapic, ioapic } = board();
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let i = 0; i < 20_000; i++) {
    const base = random(2) ? LAPIC : IOAPIC;
    const address = base + (random(4) ? random(64) * 16 : random(4096 - 4));
    const size = ([1, 2, 4] as const)[random(3)]!;
    if (random(2)) bench.mmio.write(address, random(2 ** 32), size);
    else expect(bench.mmio.read(address, size)).toBeGreaterThanOrEqual(0);
    if (random(4) === 0) ioapic.inputs[random(24)]!.set(random(2) === 1);
    if (random(8) === 0) lapic.acknowledge();
    if (random(8) === 0) bench.clock.advance(random(100_000));
  }
  const other = board();
  other.lapic.restore(structuredClone(lapic.save()));
  other.ioapic.restore(structuredClone(ioapic.save()));
  expect(other.lapic.save()).toEqual(lapic.save());
  expect(other.ioapic.save()).toEqual(ioapic.save());
});

const DEADLINE_MODE = 2 << 17;

test('the timer fires when the time stamp counter comes to its deadline, once', () => {
  const { bench, tsc, lapic, hub, write, read, enable, intr } = board(true);
  enable();
  tsc.written(5_000n);
  write(0x320, 0x41 | DEADLINE_MODE);
  expect(read(0x320)).toBe(0x41 | DEADLINE_MODE);
  lapic.tscDeadline = 105_000n;
  bench.clock.advance(99_999);
  expect([intr(), lapic.tscDeadline]).toEqual([false, 105_000n]);
  bench.clock.advance(1);
  expect([intr(), lapic.tscDeadline]).toEqual([true, 0n]);
  expect(hub.acknowledge()).toBe(0x41);
  write(0xb0, 0);
  bench.clock.advance(1_000_000_000);
  expect(intr()).toBe(false);
  // One that has passed fires at once; 0 disarms; the counting registers do nothing.
  lapic.tscDeadline = 1n;
  bench.clock.advance(1);
  expect(hub.acknowledge()).toBe(0x41);
  write(0xb0, 0);
  lapic.tscDeadline = tsc.at(bench.clock.now()) + 1000n;
  lapic.tscDeadline = 0n;
  write(0x380, 500);
  expect(read(0x390)).toBe(0);
  bench.clock.advance(1_000_000);
  expect(intr()).toBe(false);
});

test('a deadline follows the counter when the guest sets it, and is forgotten with its mode', () => {
  const { bench, tsc, lapic, write, enable, intr } = board(true);
  enable();
  write(0x320, 0x41 | DEADLINE_MODE);
  lapic.tscDeadline = 1_000_000n;
  tsc.written(999_000n);
  bench.clock.advance(1000);
  expect(intr()).toBe(true);
  lapic.tscDeadline = 2_000_000n;
  write(0x320, 0x41);
  expect(lapic.tscDeadline).toBe(0n);
  lapic.tscDeadline = 3_000_000n;
  expect(lapic.tscDeadline).toBe(0n);
});

test('without a counter to compare with there is no deadline mode', () => {
  const { write, read, enable } = board();
  enable();
  write(0x320, 0x41 | DEADLINE_MODE);
  expect(read(0x320)).toBe(0x41);
});

test('a saved deadline goes on', () => {
  const from = board(true);
  from.enable();
  from.write(0x320, 0x41 | DEADLINE_MODE);
  from.lapic.tscDeadline = 5_000n;
  const to = board(true);
  to.lapic.restore(from.lapic.save());
  to.bench.clock.advance(4_999);
  expect(to.intr()).toBe(false);
  to.bench.clock.advance(1);
  expect(to.intr()).toBe(true);
});
