import { expect } from 'vitest';
import type { Device } from '../../bus/device.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import {
  BIOS_ROM_MAX,
  CPU_STATE_BASE,
  CPU_STATE_SIZE,
  DECODE_CACHE_BASE,
  GUEST_RAM_BASE,
  OPTION_ROM_MAX,
  ROM_BASE,
  TLB_BASE,
  VRAM_BASE,
} from '../../memory/layout.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { Bench } from './bench.ts';

/** How the conformance suite builds one kind of device and gets it away from its power-on state. */
export interface DeviceEntry<D extends Device = Device> {
  /** Class name, as the meta-test finds it in the source. */
  name: string;
  create(bench: Bench): D;
  /** Drives the device through its registers until as many state fields as possible differ from a fresh one. */
  mutate(device: D, bench: Bench): void;
  /** Brings work under way to an end, for devices that give up a command when they are restored; the machine saves only at such a moment. */
  settle?(device: D, bench: Bench): void;
  /** Top-level state fields that outlive a power reset on purpose: battery-backed CMOS, the medium in a drive, ... */
  kept?: readonly string[];
  /** The device has nothing to save but its version. */
  stateless?: boolean;
}

/** Keeps the device's type inside one entry and hides it outside. */
export function entry<D extends Device>(definition: DeviceEntry<D>): DeviceEntry {
  return definition as unknown as DeviceEntry;
}

function without(state: DeviceState, keys: readonly string[]): Record<string, unknown> {
  const copy: Record<string, unknown> = { ...state };
  for (const key of keys) delete copy[key];
  return copy;
}

function mutated(definition: DeviceEntry): { device: Device; bench: Bench } {
  const bench = new Bench();
  const device = definition.create(bench);
  definition.mutate(device, bench);
  return { device, bench };
}

export function checkMutateChangesState(definition: DeviceEntry): void {
  const fresh = definition.create(new Bench()).save();
  if (definition.stateless) expect(fresh).toEqual({ version: fresh.version });
  else expect(mutated(definition).device.save()).not.toEqual(fresh);
}

/** The state goes through a deep copy, into a machine whose clock shows another time. */
export function checkRestoreGivesEqualState(definition: DeviceEntry): void {
  const { device } = mutated(definition);
  const state = device.save();
  const bench = new Bench();
  bench.clock.advance(7_777_777_777);
  const restored = definition.create(bench);
  restored.restore(structuredClone(state));
  expect(restored.save()).toEqual(state);
}

/** As a machine does that becomes an earlier one without being made anew. */
export function checkRestoresAfterUse(definition: DeviceEntry): void {
  const state = mutated(definition).device.save();
  const { device, bench } = mutated(definition);
  const random = randomNumbers(999);
  const ports = [...(bench.ports as unknown as { ranges: (object | undefined)[] }).ranges.keys()];
  for (let i = 0; i < 2000; i++) {
    if (ports.length) bench.ports.write(ports[random(ports.length)]!, random(2 ** 32), [1, 2, 4][random(3)] as 1 | 2 | 4);
    bench.clock.advance(random(1_000_000));
  }
  device.reset('power');
  bench.clock.disarmAll();
  device.restore(structuredClone(state));
  expect(device.save()).toEqual(state);
}

export function checkSaveSharesNothing(definition: DeviceEntry): void {
  const { device } = mutated(definition);
  const state = device.save();
  const copy = structuredClone(state);
  device.reset('power');
  expect(state).toEqual(copy);
}

export function checkPowerResetEqualsFresh(definition: DeviceEntry): void {
  const kept = definition.kept ?? [];
  const fresh = definition.create(new Bench()).save();
  const { device } = mutated(definition);
  device.reset('power');
  expect(without(device.save(), kept)).toEqual(without(fresh, kept));
}

export function checkHardResetKeepsWorking(definition: DeviceEntry): void {
  const { device } = mutated(definition);
  device.reset('hard');
  const state = device.save();
  const again = definition.create(new Bench());
  again.restore(structuredClone(state));
  expect(again.save()).toEqual(state);
}

export function checkRejectsBadState(definition: DeviceEntry): void {
  const device = definition.create(new Bench());
  const state = device.save();
  expect(() => device.restore({ ...state, version: 999 })).toThrow(expect.objectContaining({ kind: 'unsupported' }));
  const fields = Object.keys(state).filter((key) => key !== 'version');
  if (fields.length === 0) return;
  const { [fields[0]!]: _dropped, ...damaged } = state;
  expect(() => device.restore({ ...damaged, version: state.version })).toThrow(expect.objectContaining({ kind: 'corrupt' }));
}

/** A small generator with a fixed seed, so that a failure comes again. */
function randomNumbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** A guest may do anything to a device's ports: nothing throws, and the state reached can be saved and restored. */
export function checkSurvivesRandomPortAccess(definition: DeviceEntry): void {
  const bench = new Bench();
  const device = definition.create(bench);
  const ranges = (bench.ports as unknown as { ranges: (object | undefined)[] }).ranges;
  const ports = [...ranges.keys()].filter((port) => ranges[port] !== undefined);
  if (ports.length === 0) return;
  const random = randomNumbers(12345);
  for (let i = 0; i < 20_000; i++) {
    const port = ports[random(ports.length)]!;
    const size = [1, 1, 1, 2, 4][random(5)] as 1 | 2 | 4;
    if (random(2)) bench.ports.write(port, random(2 ** 32), size);
    else expect(bench.ports.read(port, size)).toBeLessThan(2 ** (8 * size));
    if (random(8) === 0) bench.clock.advance(random(3_000_000));
    if (i % 2000 !== 0) continue;
    definition.settle?.(device, bench);
    const state = device.save();
    const again = definition.create(new Bench());
    again.restore(structuredClone(state));
    expect(again.save()).toEqual(state);
  }
}

/** Shared memory that belongs to no device: processor state, TLB, ROMs, decode cache, and what lies around video memory and RAM. */
const FOREIGN = [
  [CPU_STATE_BASE, CPU_STATE_BASE + CPU_STATE_SIZE],
  [TLB_BASE, TLB_BASE + 65536],
  [ROM_BASE, ROM_BASE + BIOS_ROM_MAX + OPTION_ROM_MAX],
  [DECODE_CACHE_BASE, DECODE_CACHE_BASE + 65536],
  [VRAM_BASE - 65536, VRAM_BASE],
  [GUEST_RAM_BASE - 65536, GUEST_RAM_BASE],
] as const;

/**
 * Ports, memory windows and configuration space in one storm, over RAM full of rubbish for DMA engines to follow: nothing throws, no answer is wider than
 * asked, and no byte outside RAM and video memory changes.
 */
export function checkSurvivesRandomBusAccess(definition: DeviceEntry): void {
  const bench = new Bench();
  const device = definition.create(bench);
  const random = randomNumbers(54321);
  const shared = new Uint8Array(bench.memory.memory.buffer);
  for (let at = GUEST_RAM_BASE; at < GUEST_RAM_BASE + (1 << 20); at++) shared[at] = random(256);
  const foreign = FOREIGN.map(([start, end]) => shared.slice(start, end));
  const ports = (bench.ports as unknown as { ranges: (object | undefined)[] }).ranges;
  const { ranges } = bench.mmio as unknown as { ranges: { base: number; length: number }[] };
  const pci = device instanceof PciDevice ? device : undefined;
  for (let i = 0; i < 6_000; i++) {
    const size = [1, 2, 4][random(3)] as 1 | 2 | 4;
    const value = random(4) ? random(2 ** 32) : [0, 1, 0xffffffff, 0xfee00000, 0x000c0000][random(5)]!;
    const read = random(2) === 0;
    const limit = 2 ** (8 * size);
    switch (random(3)) {
      case 0: {
        if (!pci) break;
        const offset = random(256 / size) * size;
        if (read) expect(pci.readConfig(offset, size)).toBeLessThan(limit);
        else pci.writeConfig(offset, value, size);
        break;
      }
      case 1: {
        const range = ranges[random(ranges.length)];
        if (!range) break;
        // Aligned, as the processor splits the rest.
        const gpa = range.base + random(Math.min(range.length, random(2) ? 0x1000 : range.length) / 4) * 4 + random(4 / size) * size;
        if (read) expect(bench.mmio.read(gpa, size)).toBeLessThan(limit);
        else bench.mmio.write(gpa, value, size);
        break;
      }
      default: {
        let port = random(0x10000);
        while (ports[port] === undefined && port < 0xffff) port++;
        if (read) expect(bench.ports.read(port, size)).toBeLessThan(limit);
        else bench.ports.write(port, value, size);
      }
    }
    if (random(8) === 0) bench.clock.advance(random(3_000_000));
    if (random(500) === 0) device.reset(random(2) ? 'hard' : 'power');
  }
  FOREIGN.forEach(([start, end], index) => {
    const before = foreign[index]!;
    const changed = shared.subarray(start, end).findIndex((byte, at) => byte !== before[at]);
    expect(changed, `shared memory from 0x${start.toString(16)}`).toBe(-1);
  });
}
