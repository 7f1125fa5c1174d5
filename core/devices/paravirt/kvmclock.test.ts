import { beforeEach, describe, expect, it } from 'vitest';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { GuestMemory } from '../../memory/guestmemory.ts';
import { PhysMap } from '../../memory/physmap.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { ManualClock } from '../../util/clock.ts';
import { Tsc } from '../timer/tsc.ts';
import { KvmClock, MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK_NEW } from './kvmclock.ts';

const RAM = 1 << 20;
const PAGE = 0x5040;
let memory: GuestMemory;
let clock: ManualClock;
let tsc: Tsc;
let device: KvmClock;

function make(): KvmClock {
  const shared = createVmMemory(RAM);
  const map = new PhysMap(shared);
  map.mapRam(0, GUEST_RAM_BASE, RAM);
  memory = new GuestMemory(shared, map, RAM);
  tsc = new Tsc(() => clock.now());
  return new KvmClock({ id: 'kvmclock', memory, clock, tsc });
}

beforeEach(() => {
  clock = new ManualClock(Date.UTC(2026, 2, 4, 5, 6, 7));
  device = make();
});

const read64 = (gpa: number) => BigInt(memory.read32(gpa)) | (BigInt(memory.read32(gpa + 4)) << 32n);

/** What a guest makes of the structure (msr.rst) when its counter reads `counter`. */
function guestTime(counter: bigint): bigint {
  expect(memory.read32(PAGE) & 1).toBe(0);
  let delta = counter - read64(PAGE + 8);
  const shift = (memory.read8(PAGE + 28) << 24) >> 24;
  delta = shift < 0 ? delta >> BigInt(-shift) : delta << BigInt(shift);
  return read64(PAGE + 16) + ((delta * BigInt(memory.read32(PAGE + 24))) >> 32n);
}

describe("KVM's clock", () => {
  it('gives machine time from the time stamp counter', () => {
    clock.advance(1_234_567);
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, BigInt(PAGE | 1));
    expect(guestTime(tsc.at(clock.now()))).toBe(1_234_567n);
    clock.advance(60_000_000_003);
    expect(guestTime(tsc.at(clock.now()))).toBe(60_001_234_570n);
    expect(memory.read8(PAGE + 29)).toBe(1);
    expect(device.readMsr(MSR_KVM_SYSTEM_TIME)).toBe(BigInt(PAGE | 1));
  });

  it('goes on without a jump when the guest sets its counter, under another version', () => {
    device.writeMsr(MSR_KVM_SYSTEM_TIME, BigInt(PAGE | 1));
    const version = memory.read32(PAGE);
    clock.advance(5_000_000);
    tsc.written(77n);
    expect(memory.read32(PAGE)).not.toBe(version);
    clock.advance(10);
    expect(tsc.at(clock.now())).toBe(87n);
    expect(guestTime(87n)).toBe(5_000_010n);
  });

  it('tells what wall time it was when the system time was 0', () => {
    clock.advance(2_500_000_000);
    for (const msr of [MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK_NEW]) {
      memory.write(0x7000, new Uint8Array(12));
      device.writeMsr(msr, 0x7000n);
      expect(memory.read32(0x7000)).toBe(2);
      expect(memory.read32(0x7004)).toBe(Date.UTC(2026, 2, 4, 5, 6, 7) / 1000);
      expect(memory.read32(0x7008)).toBeLessThan(1_000_000);
    }
  });

  it('is silent until it is enabled, and after', () => {
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, BigInt(PAGE));
    tsc.written(5n);
    expect(read64(PAGE + 16)).toBe(0n);
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, BigInt(PAGE | 1));
    const before = memory.read32(PAGE);
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, 0n);
    tsc.written(9n);
    expect(memory.read32(PAGE)).toBe(before);
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, BigInt(PAGE | 1));
    device.reset();
    tsc.written(11n);
    expect(memory.read32(PAGE)).toBe(before + 2);
  });

  it('takes any address without harm', () => {
    for (const value of [1n, 0xfffffffffffffff1n, 0x7fffffffffffffffn, BigInt(RAM - 7), 0xfee00001n]) {
      device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, value);
      device.writeMsr(MSR_KVM_WALL_CLOCK_NEW, value);
    }
    expect(device.writeMsr(0x4b564d02, 1n)).toBe(false);
    expect(device.readMsr(0x4b564d02)).toBeUndefined();
  });

  it('goes on where it was after a restore on another machine', () => {
    clock.advance(9_000_000_000);
    device.writeMsr(MSR_KVM_SYSTEM_TIME_NEW, BigInt(PAGE | 1));
    clock.advance(1_000);
    const state = device.save();
    const counter = tsc.at(clock.now());
    clock = new ManualClock();
    clock.advance(50);
    const other = make();
    other.restore(state);
    tsc.written(counter);
    expect(guestTime(counter)).toBe(9_000_001_000n);
    clock.advance(400);
    expect(guestTime(tsc.at(clock.now()))).toBe(9_000_001_400n);
  });
});
