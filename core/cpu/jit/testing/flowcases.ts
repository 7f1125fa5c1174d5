import { expect, vi } from 'vitest';
import { CPU_STATE_BASE } from '../../../memory/layout.ts';
import { TestCpu } from '../../interp/testing/testcpu.ts';
import { SJ_ENTRIES, SJ_INSTRUCTIONS } from '../../interp/wasm/jitoffsets.ts';

export const PAGE_TABLE = 0xd000;
const PAGES = 512;
export const TURNS = 400;

/** Little-endian bytes of 32 bits. */
export const dword = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
/** Displacement from the end of an instruction at `at` of `length` bytes. */
export const to = (target: number, at: number, length: number): number[] => dword(target - at - length);
export const HLT = 0xf4;

/** 64-bit mode with the first 2 MiB in pages of 4 KiB, each at its own address. */
export function paged(t: TestCpu, rip: number, gpr: number[]): void {
  t.long(rip, gpr);
  t.guest.write32(0xb000, PAGE_TABLE | 3);
  t.guest.write32(0xb004, 0);
  for (let page = 0; page < PAGES; page++) {
    t.guest.write32(PAGE_TABLE + page * 8, (page << 12) | 3);
    t.guest.write32(PAGE_TABLE + page * 8 + 4, 0);
  }
  // Every translation anew.
  t.patch((s) => {
    s.cr3 = 0x9000n;
  });
}

/** All that can be seen after the runs, on the interpreter alone and with the recompiler: the same, and the recompiler compiled. */
export function expectSame(runs: (t: TestCpu) => unknown[]) {
  const outcome = (accelerator: string) => {
    vi.stubEnv('HYPERVUE_ACCEL', accelerator);
    const t = new TestCpu();
    const seen = runs(t);
    const counter = (at: number) => Number(new DataView(t.memory.buffer).getBigUint64(CPU_STATE_BASE + at, true));
    return { seen, ram: t.ram.slice(), inRegions: counter(SJ_INSTRUCTIONS), entries: counter(SJ_ENTRIES) };
  };
  const want = outcome('');
  const got = outcome('jit');
  expect(got.seen).toEqual(want.seen);
  expect(Buffer.compare(got.ram, want.ram)).toBe(0);
  expect(want.inRegions).toBe(0);
  expect(got.inRegions).toBeGreaterThan(TURNS);
  return got;
}

/** Runs again from `rip` until HLT, with every translation anew. */
export function runFrom(t: TestCpu, rip: number): unknown {
  t.patch((s) => {
    s.rip = BigInt(rip);
    s.gpr[4] = 0x8000n;
    s.halted = false;
    s.cr3 = 0x9000n;
  });
  const state = t.untilHalt();
  return [state, TestCpu.vectorOf(state)];
}
