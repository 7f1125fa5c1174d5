import { describe, expect, it } from 'vitest';
import { TestCpu } from './testing/testcpu.ts';

const GP = 13;
const HLT = 0xf4;
const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

function cpuid(t: TestCpu, leaf: number): number[] {
  t.flat(0x10000, [leaf]);
  t.put(0x10000, 0x0f, 0xa2, HLT);
  const s = t.untilHalt();
  return [0, 3, 1, 2].map((r) => t.reg(s, r));
}

/** RDMSR or WRMSR: EDX:EAX, or the vector of the fault. */
function msr(t: TestCpu, number: number, value?: bigint): bigint | number {
  const [low, high] = value === undefined ? [0, 0] : [Number(value & 0xffffffffn), Number(value >> 32n)];
  t.flat(0x10000, [low, number, high]);
  t.put(0x10000, 0x0f, value === undefined ? 0x32 : 0x30, HLT);
  const s = t.untilHalt();
  const vector = TestCpu.vectorOf(s);
  return vector >= 0 ? vector : BigInt(t.reg(s, 0)) | (BigInt(t.reg(s, 2)) << 32n);
}

describe('what a guest is told about being virtual', () => {
  it('is the interface of KVM with its clock, and the frequencies', () => {
    const t = new TestCpu({ paravirt: true });
    const [max, ...signature] = cpuid(t, 0x40000000);
    expect(max).toBe(0x40000010);
    expect(String.fromCharCode(...signature.flatMap(le32))).toBe('KVMKVMKVM\0\0\0');
    expect(cpuid(t, 0x40000001)).toEqual([0x0100000b, 0, 0, 0]);
    expect(cpuid(t, 0x40000010)).toEqual([1_000_000, 1_000_000, 0, 0]);
    expect(cpuid(t, 0x40000002)).toEqual([0, 0, 0, 0]);
    // Hypervisor bit and TSC deadline.
    expect(cpuid(t, 1)[2]! >>> 24).toBe(0x81);
    expect(cpuid(t, 0x80000007)[3]).toBe(0x100);
  });

  it('is nothing of that when it is turned off', () => {
    const t = new TestCpu();
    expect(cpuid(t, 0x40000000).slice(1)).not.toEqual([0x4b4d564b, 0x564b4d56, 0x4d]);
    expect(cpuid(t, 1)[2]! & 0x01000000).toBe(0);
    for (const number of [0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x6e0]) {
      expect(msr(t, number)).toBe(GP);
      expect(msr(t, number, 0n)).toBe(GP);
    }
  });

  it('no hypercall exists: KVM answers so, a processor without a hypervisor faults', () => {
    const vmcall = (paravirt: boolean) => {
      const t = new TestCpu({ paravirt });
      t.flat(0x10000, []);
      t.put(0x10000, 0xb8, ...le32(10), 0x0f, 0x01, 0xc1, 0xf4);
      const s = t.untilHalt();
      return TestCpu.vectorOf(s) < 0 ? t.reg(s, 0) | 0 : `vector ${TestCpu.vectorOf(s)}`;
    };
    expect([vmcall(true), vmcall(false)]).toEqual([-1000, 'vector 6']);
  });

  it('the board answers the registers, all 64 bits of them', () => {
    const written: [number, bigint][] = [];
    const t = new TestCpu({
      paravirt: true,
      bus: {
        readMsr: (number) => BigInt(number) * 0x1_0000_0001n,
        writeMsr: (number, value) => {
          written.push([number, value]);
          return value !== 13n;
        },
      },
    });
    for (const number of [0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x6e0]) {
      expect(msr(t, number)).toBe(BigInt(number) * 0x1_0000_0001n);
      expect(msr(t, number, 0xfedcba98_76543210n)).not.toBe(GP);
      expect(written.pop()).toEqual([number, 0xfedcba98_76543210n]);
    }
    expect(msr(t, 0x4b564d01, 13n)).toBe(GP);
    // Not offered: asynchronous page faults, steal time, EOI, poll control.
    for (const number of [0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05]) expect(msr(t, number)).toBe(GP);
  });

  it('the board hears of every write to the time stamp counter', () => {
    const told: bigint[] = [];
    const t = new TestCpu({ bus: { tscWritten: (value) => told.push(value) } });
    told.length = 0;
    t.tsc = 1000;
    msr(t, 0x10, 0x1_00000005n);
    expect(told.at(-1)).toBe(0x1_00000005n);
    t.tsc += 7;
    expect(msr(t, 0x10)).toBe(0x1_0000000cn);
    const state = t.cpu.getState();
    t.cpu.setState(state);
    expect(told.at(-1)).toBe(0x1_0000000cn);
  });
});

describe('the time stamp counter of 64-bit models', () => {
  /** In 64-bit mode, with the counter at `tsc`. */
  function make(): TestCpu {
    const t = new TestCpu();
    t.patch((s) => {
      s.model = 'x86-64-v2';
    });
    return t;
  }

  it('has a frequency that CPUID tells, and never stops', () => {
    const t = make();
    expect(cpuid(t, 0)[0]).toBe(0x16);
    expect(cpuid(t, 0x15)).toEqual([1, 1, 1_000_000_000, 0]);
    expect(cpuid(t, 0x16)).toEqual([1000, 1000, 100, 0]);
    expect(cpuid(t, 0x80000007)).toEqual([0, 0, 0, 0x100]);
    expect(cpuid(t, 6)[0]! & 4).toBe(4);
    expect(cpuid(t, 7)[1]! & 2).toBe(2);
  });

  it('is moved by IA32_TSC_ADJUST, which sums up what was written to the counter', () => {
    const t = make();
    t.tsc = 1000;
    const now = msr(t, 0x10) as bigint;
    expect(msr(t, 0x3b)).toBe(0n);
    msr(t, 0x10, now + 500n);
    expect(msr(t, 0x3b)).toBe(500n);
    msr(t, 0x3b, 200n);
    expect(msr(t, 0x10)).toBe(now + 200n);
    msr(t, 0x3b, 0xffffffff_ffffff9cn);
    expect(msr(t, 0x10)).toBe(now - 100n);
    // Part of the processor's state.
    const other = make();
    other.tsc = 1000;
    other.cpu.setState(t.cpu.getState());
    expect(msr(other, 0x3b)).toBe(0xffffffff_ffffff9cn);
    expect(msr(other, 0x10)).toBe(now - 100n);
  });

  it('has no adjustment on the 32-bit model', () => {
    expect(msr(new TestCpu(), 0x3b)).toBe(GP);
    expect(msr(new TestCpu(), 0x3b, 1n)).toBe(GP);
  });
});
