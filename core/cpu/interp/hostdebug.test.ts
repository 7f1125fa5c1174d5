import { describe, expect, it } from 'vitest';
import { HIGH_HALF, TestCpu } from './testing/testcpu.ts';

const HLT = 0xf4;
const EAX = 0;
const ECX = 1;
const ESI = 6;
const EDI = 7;
const le32 = (n: number) => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >>> 24) & 255];

/** Runs until the processor stops for another reason than its budget. */
function go(t: TestCpu): string {
  for (let i = 0; i < 1000; i++) {
    const exit = t.cpu.run(10_000);
    if (exit !== 'budget') return exit;
  }
  return 'budget';
}

const rip = (t: TestCpu) => Number(t.cpu.getState().rip);

describe('breakpoints of the host', () => {
  it('stop before the instruction, again and again, and change nothing the guest can see', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xb9, ...le32(1000), 0x40, 0x49, 0x75, 0xfc, HLT); // mov ecx,1000; l: inc eax; dec ecx; jnz l
    const bytes = t.ram.slice(0x10000, 0x10010);
    expect(t.cpu.run(100)).toBe('budget');
    t.cpu.setDebug({ breakpoints: [0x10006n], watchpoints: [] });
    const before = t.cpu.getState();
    for (let i = 0; i < 3; i++) {
      expect(go(t)).toBe('debug');
      expect(t.cpu.takeDebugStop()).toEqual({ cause: 'breakpoint', address: 0x10006n, rip: 0x10006n });
      expect(rip(t)).toBe(0x10006);
      t.cpu.armStep();
      expect(go(t)).toBe('debug');
      expect(t.cpu.takeDebugStop()).toEqual({ cause: 'step' });
    }
    expect(t.ram.slice(0x10000, 0x10010)).toEqual(bytes);
    expect(t.cpu.getState().dr).toEqual(before.dr);
    t.cpu.setDebug({ breakpoints: [], watchpoints: [] });
    expect(go(t)).toBe('halt');
    expect(t.reg(t.cpu.getState(), EAX)).toBe(1000);
  });

  it('are found on code that is already decoded, linked and running, from another page', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xe8, ...le32(0x11000 - 0x10005), 0x49, 0x75, 0xf8, HLT); // l: call f; dec ecx; jnz l
    t.put(0x11000, 0x40, 0x40, 0x40, 0xc3); // f: inc eax x 3; ret
    t.patch((s) => {
      s.gpr[ECX] = 100_000n;
    });
    expect(t.cpu.run(1000)).toBe('budget');
    t.cpu.setDebug({ breakpoints: [0x11002n], watchpoints: [] });
    expect(go(t)).toBe('debug');
    expect(rip(t)).toBe(0x11002);
  });

  it('compare linear addresses: the code segment base counts', () => {
    const t = new TestCpu();
    t.real(0);
    t.put(0x12340, 0x90, 0x90, 0xf4);
    t.patch((s) => {
      s.rip = 0x40n;
      s.segments.cs.base = 0x12300n;
    });
    t.cpu.setDebug({ breakpoints: [0x12341n], watchpoints: [] });
    expect(go(t)).toBe('debug');
    expect(t.cpu.takeDebugStop()).toEqual({ cause: 'breakpoint', address: 0x12341n, rip: 0x41n });
  });

  it('stop at the first instruction of an interrupt handler when that is where it is', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xfb, 0x90, 0x90, 0xeb, 0xfc);
    t.vector = 0x30;
    t.cpu.setIntr(true);
    t.cpu.setDebug({ breakpoints: [0x3300n], watchpoints: [] });
    expect(go(t)).toBe('debug');
    expect(rip(t)).toBe(0x3300);
  });
});

describe('single step of the host', () => {
  it('executes one instruction', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, 0xeb, 0x01, HLT, 0x41, HLT);
    const trail: number[] = [];
    for (let i = 0; i < 4; i++) {
      t.cpu.armStep();
      expect(go(t)).toBe('debug');
      expect(t.cpu.takeDebugStop()).toEqual({ cause: 'step' });
      trail.push(rip(t));
    }
    expect(trail).toEqual([0x10001, 0x10004, 0x10005, 0x10006]);
    expect(t.cpu.getState().halted).toBe(true);
  });

  it('executes one element of a repeated string instruction', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xf3, 0xa4, HLT);
    t.patch((s) => {
      s.gpr[ECX] = 3n;
      s.gpr[ESI] = 0x20000n;
      s.gpr[EDI] = 0x21000n;
    });
    for (const [left, at] of [
      [2, 0x10000],
      [1, 0x10000],
      [0, 0x10002],
    ]) {
      t.cpu.armStep();
      expect(go(t)).toBe('debug');
      t.cpu.takeDebugStop();
      expect([t.reg(t.cpu.getState(), ECX), rip(t)]).toEqual([left, at]);
    }
  });

  it('stops at the handler of the fault that the instruction raises', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x0f, 0x0b);
    t.cpu.armStep();
    expect(go(t)).toBe('debug');
    expect(rip(t)).toBe(0x3060);
  });

  it('holds interrupts, but a halted processor takes one and stops at its handler', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x90, 0x90, HLT);
    t.patch((s) => {
      s.rflags |= 0x200n;
    });
    t.vector = 0x30;
    t.cpu.setIntr(true);
    for (const at of [0x10001, 0x10002, 0x10003]) {
      t.cpu.armStep();
      expect(go(t)).toBe('debug');
      t.cpu.takeDebugStop();
      expect(rip(t)).toBe(at);
    }
    t.cpu.armStep();
    expect(go(t)).toBe('debug');
    t.cpu.takeDebugStop();
    expect(rip(t)).toBe(0x3300);
  });

  it('leaves the guest its own single step', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, 0x40, HLT);
    t.patch((s) => {
      s.rflags |= 0x100n;
    });
    t.cpu.armStep();
    expect(go(t)).toBe('debug');
    // The guest's #DB after one instruction.
    expect(rip(t)).toBe(0x3010);
    expect(t.reg(t.cpu.getState(), EAX)).toBe(1);
    expect(t.cpu.getState().dr[4]! & 0x4000n).toBe(0x4000n);
  });

  it('is disarmed by taking the stop', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, 0x40, HLT);
    t.cpu.armStep();
    expect(t.cpu.takeDebugStop()).toBeUndefined();
    expect(go(t)).toBe('halt');
  });
});

describe('watchpoints of the host', () => {
  it('stop after the write that touches them, with every register as after that instruction', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // mov ecx,100; l: mov [0x20000+ecx*4],ecx; dec ecx; jnz l
    t.put(0x10000, 0xb9, ...le32(100), 0x89, 0x0c, 0x8d, ...le32(0x20000), 0x49, 0x75, 0xf6, HLT);
    t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x20000n + 40n, length: 4, kind: 'write' }] });
    expect(go(t)).toBe('debug');
    expect(t.cpu.takeDebugStop()).toEqual({
      cause: 'watchpoint',
      watchpoint: { address: 0x20028n, length: 4, kind: 'write' },
      address: 0x20028n,
    });
    expect([rip(t), t.reg(t.cpu.getState(), ECX), t.guest.read32(0x20028)]).toEqual([0x1000c, 10, 10]);
    expect(go(t)).toBe('halt');
  });

  it('tell reads from writes', () => {
    for (const [kind, expected] of [
      ['read', 0x1000a],
      ['write', 0x10005],
      ['access', 0x10005],
    ] as const) {
      const t = new TestCpu();
      t.flat(0x10000);
      t.put(0x10000, 0xa3, ...le32(0x20000), 0xa1, ...le32(0x20000), HLT); // mov [m],eax; mov eax,[m]
      t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x20002n, length: 1, kind }] });
      expect(go(t)).toBe('debug');
      expect(rip(t)).toBe(expected);
    }
  });

  it('leave flags right when a read-modify-write instruction reads them and is executed again', () => {
    const run = (watch: boolean) => {
      const t = new TestCpu();
      t.flat(0x10000);
      // mov ecx,50; stc; l: adc dword [0x20000],0x7fffffff; dec ecx; jnz l
      t.put(0x10000, 0xb9, ...le32(50), 0xf9, 0x81, 0x15, ...le32(0x20000), ...le32(0x7fffffff), 0x49, 0x75, 0xf3, HLT);
      if (watch) t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x20000n, length: 4, kind: 'write' }] });
      let stops = 0;
      for (;;) {
        const exit = go(t);
        if (exit === 'halt') break;
        expect(exit).toBe('debug');
        t.cpu.takeDebugStop();
        stops++;
      }
      return { stops, value: t.guest.read32(0x20000), flags: t.cpu.getState().rflags };
    };
    const plain = run(false);
    expect(run(true)).toEqual({ ...plain, stops: 50 });
  });

  it('stop a repeated string instruction at the element that touches them', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xf3, 0xaa, HLT);
    t.patch((s) => {
      s.gpr[EAX] = 0x77n;
      s.gpr[ECX] = 0x3000n;
      s.gpr[EDI] = 0x20000n;
    });
    t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x21234n, length: 1, kind: 'write' }] });
    expect(go(t)).toBe('debug');
    expect([t.reg(t.cpu.getState(), EDI), rip(t), t.guest.read8(0x21234), t.guest.read8(0x21235)]).toEqual([0x21235, 0x10000, 0x77, 0]);
    t.cpu.takeDebugStop();
    expect(go(t)).toBe('halt');
    expect(t.guest.read8(0x22fff)).toBe(0x77);
  });

  it('find what an interrupt pushes', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xfb, 0x90, 0xeb, 0xfd);
    t.vector = 0x30;
    t.cpu.setIntr(true);
    t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x7ff8n, length: 4, kind: 'write' }] });
    expect(go(t)).toBe('debug');
    expect(t.cpu.takeDebugStop()).toMatchObject({ cause: 'watchpoint', address: 0x7ff8n });
    expect(rip(t)).toBe(0x3300);
  });

  it('leave the guest its own data breakpoints on the same place', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xa3, ...le32(0x20000), HLT);
    t.patch((s) => {
      s.dr[0] = 0x20000n;
      s.dr[5] = 0xd0001n; // L0, write, 4 bytes
    });
    t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: 0x20000n, length: 4, kind: 'write' }] });
    expect(go(t)).toBe('debug');
    expect(t.cpu.takeDebugStop()).toMatchObject({ cause: 'watchpoint' });
    expect(go(t)).toBe('halt');
    expect(TestCpu.vectorOf(t.cpu.getState())).toBe(1);
    expect(t.cpu.getState().dr[4]! & 1n).toBe(1n);
  });
});

describe('in 64-bit code', () => {
  const at = HIGH_HALF + 0x10000n;
  /** mov ecx,50; l: adc qword [rbx],rdx; dec rcx; jnz l; hlt */
  const CODE = [0xb9, ...le32(50), 0x48, 0x11, 0x13, 0x48, 0xff, 0xc9, 0x75, 0xf8, HLT];

  function start(rip: bigint): TestCpu {
    const t = new TestCpu();
    t.long(rip, [0, 0, 0x7fff_ffff_ffff_fff1n, HIGH_HALF + 0x20000n]);
    t.put(0x10000, ...CODE);
    return t;
  }

  it('breakpoints stop at the whole address and not at its alias', () => {
    const t = start(at);
    expect(t.cpu.run(20)).toBe('budget');
    t.cpu.setDebug({ breakpoints: [at + 8n], watchpoints: [] });
    expect(go(t)).toBe('debug');
    expect(t.cpu.takeDebugStop()).toEqual({ cause: 'breakpoint', address: at + 8n, rip: at + 8n });
    const low = start(0x10000n);
    low.cpu.setDebug({ breakpoints: [at + 8n], watchpoints: [] });
    expect(go(low)).toBe('halt');
  });

  it('steps go instruction by instruction, and into the handler of a fault', () => {
    const t = start(at);
    for (const next of [5n, 8n, 11n, 5n]) {
      t.cpu.armStep();
      expect(go(t)).toBe('debug');
      t.cpu.takeDebugStop();
      expect(t.cpu.getState().rip).toBe(at + next);
    }
    t.put(0x10005, 0x0f, 0x0b);
    t.cpu.armStep();
    expect(go(t)).toBe('debug');
    expect(t.cpu.getState().rip).not.toBe(at + 7n);
    expect(t.cpu.statistics().faults['6']).toBe(1);
  });

  it('watchpoints stop after the instruction, with the flags as without them', () => {
    const run = (watch: boolean) => {
      const t = start(at);
      if (watch) t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: HIGH_HALF + 0x20004n, length: 2, kind: 'write' }] });
      let stops = 0;
      for (let exit = go(t); exit !== 'halt'; exit = go(t)) {
        expect(exit).toBe('debug');
        expect(t.cpu.takeDebugStop()).toMatchObject({ cause: 'watchpoint', address: HIGH_HALF + 0x20004n });
        expect(t.cpu.getState().rip).toBe(at + 8n);
        stops++;
      }
      return { stops, value: t.guest.read32(0x20004), flags: t.cpu.getState().rflags };
    };
    expect(run(true)).toEqual({ ...run(false), stops: 50 });
  });

  it('a repeated store stops at the element that touches a watchpoint', () => {
    const t = start(at);
    t.put(0x10000, 0xf3, 0x48, 0xab, HLT); // rep stosq
    t.patch((s) => {
      s.gpr[EAX] = 0x1122334455667788n;
      s.gpr[ECX] = 0x400n;
      s.gpr[EDI] = HIGH_HALF + 0x20000n;
    });
    t.cpu.setDebug({ breakpoints: [], watchpoints: [{ address: HIGH_HALF + 0x21003n, length: 1, kind: 'write' }] });
    expect(go(t)).toBe('debug');
    expect([t.cpu.getState().gpr[EDI], t.cpu.getState().gpr[ECX]]).toEqual([HIGH_HALF + 0x21008n, 0x400n - 0x201n]);
    t.cpu.takeDebugStop();
    t.cpu.armStep();
    expect(go(t)).toBe('debug');
    t.cpu.takeDebugStop();
    expect(t.cpu.getState().gpr[EDI]).toBe(HIGH_HALF + 0x21010n);
    expect(go(t)).toBe('halt');
  });
});
