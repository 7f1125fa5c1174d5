/**
 * REP INS and REP OUTS with a device that moves many elements in one call, beside the same instruction with one that moves one element a call:
 * registers, memory, dirty pages, instruction counts, faults and what the device sees must be the same (SDM volume 2, INS, OUTS, REP).
 */
import { describe, expect, it } from 'vitest';
import { DIRTY_MAP_BASE, GUEST_RAM_BASE } from '../../memory/layout.ts';
import type { CpuBus } from '../accelerator.ts';
import { RAM_BYTES, TestCpu } from './testing/testcpu.ts';

const HLT = 0xf4;
const CODE = 0x10000;
const DATA = 0x20000;
const DATA_BYTES = 0x10000;
const DF = 0x400n;
const TF = 0x100n;

/** Repeatable numbers (xorshift). */
class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  int(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.int(of.length)]!;
  }

  chance(percent: number): boolean {
    return this.int(100) < percent;
  }
}

/** A data register with blocks of some length; the access that ends a block has effects, which see the processor. */
class BlockPort {
  readonly events: string[] = [];
  bulkCalls = 0;
  private at = 0;
  private left = 0;
  private readonly blocks: number[];
  private readonly ended: (left: number) => string;

  constructor(blocks: readonly number[], ended: (left: number) => string) {
    this.blocks = [...blocks];
    this.ended = ended;
    this.left = this.blocks.shift() ?? 0;
  }

  read(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.byte() << (8 * i);
    this.advance(size);
    return value >>> 0;
  }

  write(value: number, size: number): void {
    this.events.push(value.toString(16));
    this.advance(size);
  }

  readMany(size: number, into: Uint8Array): number {
    const count = this.beforeLast(size, into.length);
    for (let i = 0; i < count * size; i++) into[i] = this.byte();
    return count;
  }

  writeMany(size: number, from: Uint8Array): number {
    const count = this.beforeLast(size, from.length);
    for (let i = 0; i < count * size; i += size) {
      let value = 0;
      for (let b = 0; b < size; b++) value |= from[i + b]! << (8 * b);
      this.events.push((value >>> 0).toString(16));
    }
    return count;
  }

  private beforeLast(size: number, room: number): number {
    const count = Math.max(0, Math.floor(Math.min(room, this.left - 1) / size));
    this.left -= count * size;
    if (count) this.bulkCalls++;
    return count;
  }

  private byte(): number {
    return (this.at++ * 37 + 11) & 0xff;
  }

  private advance(size: number): void {
    this.left -= size;
    if (this.left > 0) return;
    this.left = this.blocks.shift() ?? 0;
    this.events.push(this.ended(this.left));
  }
}

interface Case {
  mode: 'real' | 'flat' | 'long';
  code: number[];
  gpr: (number | bigint)[];
  flags: bigint;
  /** Of ES and DS, in real and 32-bit mode. */
  limit: number;
  base: number;
  blocks: number[];
  /** Instructions of each run. */
  slices: number[];
  fill: number;
}

function makeCase(random: Random): Case {
  const mode = random.pick(['real', 'flat', 'long', 'long'] as const);
  const size = random.pick([1, 2, 4]);
  const out = random.chance(35);
  const otherAddress = random.chance(25);
  const address = mode === 'long' ? (otherAddress ? 32 : 64) : (mode === 'real') !== otherAddress ? 16 : 32;
  const prefixes = [0xf3];
  if (otherAddress) prefixes.push(0x67);
  if (size === 2 && mode !== 'real') prefixes.push(0x66);
  if (size === 4 && mode === 'real') prefixes.push(0x66);
  const code = [...prefixes, (out ? 0x6e : 0x6c) + (size === 1 ? 0 : 1), HLT];
  const down = random.chance(15);
  const base = mode === 'real' || (mode === 'flat' && address === 16) ? DATA : mode === 'flat' ? random.pick([0, 0, 0x1003]) : 0;
  const limit = random.pick([0xffff_ffff, 0xffff, 0x7fff, 0x1234, DATA + 0x8001]);
  const page = random.int(16) * 0x1000;
  const start = random.pick([page, page + 0xff0, page + 0xfff, page + random.int(0x1000), 0xfff8]) & (DATA_BYTES - 1);
  // The page that the instruction itself lies in now and then, which is all HLT behind it.
  const ownPage = mode !== 'real' && random.chance(10) && !down && base === 0;
  const index = base === DATA ? start : ownPage ? CODE + random.pick([0x800, 0xff0]) : DATA + start - base;
  const count = random.pick([0, 1, 2, 3, random.int(40), random.int(600), 256, 2048, 2048, random.int(6000), 8000]);
  const high = address === 64 ? 0n : mode === 'long' ? 0xffff_ffff_0000_0000n * BigInt(random.int(2)) : 0n;
  const wide = address === 16 ? BigInt(random.int(3)) << 16n : high;
  const gpr = [0, wide | BigInt(count), 0x1f0, 0, mode === 'real' ? 0x7000 : 0x8000, 0, wide | BigInt(index), wide | BigInt(index)];
  return {
    mode,
    code,
    gpr,
    flags: (down ? DF : 0n) | (random.chance(6) ? TF : 0n) | (random.chance(60) ? 0x200n : 0n),
    limit: mode === 'long' ? 0xffff_ffff : limit,
    base,
    blocks: Array.from({ length: 40 }, () => random.pick([512, 512, 2048, 1, 3, 7, random.int(700) + 1])),
    slices: random.chance(50) ? [100_000] : Array.from({ length: 400 }, () => random.pick([1, 2, 13, 100, 255, 256, 1000])),
    fill: ownPage ? HLT : random.int(256),
  };
}

/** Some pages of the data are not there, 12 may not be written. */
function holes(t: TestCpu): void {
  for (let page = 0; page < 512; page++) {
    const number = page - (DATA >> 12);
    t.guest.write32(0xd000 + page * 8, (page << 12) | ([2, 4, 6, 9, 11, 14].includes(number) ? 0 : number === 12 ? 1 : 3));
    t.guest.write32(0xd004 + page * 8, 0);
  }
  t.guest.write32(0xb000, 0xd003);
  t.cpu.flushTlb();
}

class Machine {
  readonly t: TestCpu;
  private port = new BlockPort([], () => '');

  constructor(bulk: boolean) {
    const many: Partial<CpuBus> = {
      portReadMany: (_port, size, into) => this.port.readMany(size, into),
      portWriteMany: (_port, size, from) => this.port.writeMany(size, from),
    };
    this.t = new TestCpu({
      bus: {
        portRead: (_port, size) => this.port.read(size),
        portWrite: (_port, value, size) => this.port.write(value, size),
        ...(bulk ? many : {}),
      },
    });
  }

  run(c: Case) {
    const { t } = this;
    const before = t.cpu.instructions;
    this.port = new BlockPort(c.blocks, (left) => {
      if (left % 3 === 1) {
        t.vector = 0x40;
        t.cpu.setIntr(true);
      }
      return `block ends after ${t.cpu.instructions - before}`;
    });
    t.ram.fill(c.fill, CODE, DATA + DATA_BYTES + 0x4000);
    for (let i = 0; i < DATA_BYTES && c.fill !== HLT; i++) t.ram[DATA + i] = i * 5 + (i >> 8);
    t.vector = -1;
    t.cpu.setIntr(false);
    if (c.mode === 'real') t.real(CODE & 0xffff, c.gpr.map(Number));
    else if (c.mode === 'flat') t.flat(CODE, c.gpr.map(Number));
    else t.long(CODE, c.gpr);
    if (c.mode === 'long') holes(t);
    t.put(c.mode === 'real' ? 0x0600 : CODE, ...c.code);
    t.patch((s) => {
      s.rflags = 2n | c.flags;
      if (c.mode === 'real') s.rip = 0x600n;
      if (c.mode === 'long') s.cr0 |= 0x10000n;
      else for (const name of ['es', 'ds'] as const) s.segments[name] = { ...s.segments[name], base: BigInt(c.base), limit: c.limit };
    });
    t.cpu.invalidateCode(GUEST_RAM_BASE + CODE);
    const dirty = new Uint8Array(t.memory.buffer, DIRTY_MAP_BASE + (GUEST_RAM_BASE >> 12), RAM_BYTES >> 12);
    dirty.fill(0);
    const stops: unknown[] = [];
    for (const slice of c.slices) {
      const exit = t.cpu.run(slice, true);
      const { rip, gpr, rflags } = t.cpu.getState();
      stops.push([exit, t.cpu.instructions - before, rip, rflags, gpr[1], gpr[6], gpr[7]]);
      if (exit !== 'budget') break;
    }
    return {
      stops,
      events: this.port.events,
      state: t.cpu.getState(),
      dirty: [...dirty.keys()].filter((page) => dirty[page]),
      bulkCalls: this.port.bulkCalls,
    };
  }
}

describe('REP INS and OUTS with a device that moves many elements a call', () => {
  it('are those with one that moves one a call, in all modes, sizes and directions, with faults and slices anywhere', () => {
    const single = new Machine(false);
    const bulk = new Machine(true);
    const random = new Random(20);
    const seen = { bulk: 0, faults: 0, interrupts: 0, partial: 0 };
    for (let n = 0; n < 600; n++) {
      const c = makeCase(random);
      const expected = single.run(c);
      const got = bulk.run(c);
      const name = `case ${n}: ${JSON.stringify({ ...c, blocks: c.blocks.slice(0, 4), slices: c.slices.slice(0, 4) }, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v))}`;
      expect(got.stops, name).toEqual(expected.stops);
      expect(got.events, name).toEqual(expected.events);
      expect(got.state, name).toEqual(expected.state);
      expect(got.dirty, name).toEqual(expected.dirty);
      expect(Buffer.compare(bulk.t.ram, single.t.ram), name).toBe(0);
      const vector = TestCpu.vectorOf(got.state);
      if (got.bulkCalls) seen.bulk++;
      if (vector === 14 || vector === 13) seen.faults++;
      if (vector === 0x40) seen.interrupts++;
      if (got.bulkCalls && vector === 14) seen.partial++;
    }
    // The cases reach what they are for.
    expect(Math.min(seen.bulk / 4, seen.faults, seen.interrupts, seen.partial), JSON.stringify(seen)).toBeGreaterThan(10);
  });
});
