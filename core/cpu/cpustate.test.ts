import { describe, expect, it } from 'vitest';
import type { CpuState, CpuStateV1 } from './cpustate.ts';
import { TestCpu } from './interp/testing/testcpu.ts';

/** A state in which every field that can be has a value of its own. */
function filled(t: TestCpu): CpuState {
  const state = t.cpu.getState();
  let next = 0x1122334455667788n;
  const value = (): bigint => {
    next = BigInt.asUintN(64, next * 6364136223846793005n + 1442695040888963407n);
    return next;
  };
  const bytes = (array: Uint8Array): Uint8Array => array.map((_, i) => (i * 37 + 11) & 0xff);
  state.model = 'x86-64-v2';
  state.gpr = state.gpr.map(value);
  state.rip = 0xffff_8000_1234_5678n;
  state.rflags = 0x246n;
  state.cr0 = 0x80050033n;
  state.cr2 = value();
  state.cr3 = 0x12_3456_7000n;
  state.cr4 = 0x6b0n;
  state.cr8 = 5n;
  state.efer = 0xd01n;
  state.xcr0 = 7n;
  state.dr = [value(), value(), value(), value(), 0xffff0ff1n, 0x400n];
  const segment = (attributes: number) => ({ selector: 8, base: value(), limit: 0xffffffff, attributes });
  state.segments = {
    es: segment(0xc0f3),
    cs: segment(0xa09b),
    ss: segment(0xc093),
    ds: segment(0xc0f3),
    fs: segment(0xc0f3),
    gs: segment(0xc0f3),
    ldtr: segment(0x82),
    tr: segment(0x8b),
  };
  state.gdtr = { base: value(), limit: 0x7f };
  state.idtr = { base: value(), limit: 0xfff };
  for (const msr of Object.keys(state.msrs)) state.msrs[msr] = value();
  state.xmm = bytes(state.xmm);
  state.ymmHigh = bytes(state.ymmHigh).reverse();
  state.tsc = 0x1234_5678_9abcn;
  return state;
}

describe('CPU state', () => {
  it('comes back as it was put in place, 64 bits wide', () => {
    const t = new TestCpu();
    const state = filled(t);
    t.cpu.setState(state);
    expect(t.cpu.getState()).toEqual(state);
  });

  it('goes from one processor to another that was made as a different model', () => {
    const from = new TestCpu();
    const state = filled(from);
    const to = new TestCpu();
    to.cpu.setState(state);
    expect(to.cpu.getState()).toEqual(state);
  });

  it('takes version 1: a 32-bit processor with clear upper halves', () => {
    const t = new TestCpu();
    t.cpu.setState(filled(t));
    const { model, ymmHigh, ...rest } = new TestCpu().cpu.getState();
    expect([model, ymmHigh.length]).toEqual(['i686', 256]);
    const old: CpuStateV1 = { ...rest, version: 1 };
    old.xmm = old.xmm.map((_, i) => i);
    t.cpu.setState(old);
    expect(t.cpu.getState()).toEqual({ ...old, version: 2, model: 'i686', ymmHigh: new Uint8Array(256) });
  });
});
