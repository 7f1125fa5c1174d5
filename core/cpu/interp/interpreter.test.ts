import { describe, expect, it } from 'vitest';
import { TestCpu } from './testing/testcpu.ts';

const EAX = 0;
const ECX = 1;
const EBX = 3;
const ESP = 4;
const ESI = 6;
const EDI = 7;
const HLT = 0xf4;
const UD = 6;
const GP = 13;
const PF = 14;
const DB = 1;

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/** Return address, CS and EFLAGS that a fault without error code left on the 32-bit stack. */
function frame(t: TestCpu, esp: number): { eip: number; cs: number; flags: number } {
  return { eip: t.guest.read32(esp), cs: t.guest.read32(esp + 4), flags: t.guest.read32(esp + 8) };
}

describe('decoded code and writes to it', () => {
  it('executes an instruction that the one before it changed', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // mov byte [0x10008], 0x43 turns the inc eax that follows into inc ebx
    t.put(0x10000, 0xc6, 0x05, ...le32(0x10007), 0x43, 0x40, HLT);
    const s = t.untilHalt();
    expect(t.reg(s, EAX)).toBe(0);
    expect(t.reg(s, EBX)).toBe(1);
  });

  it('executes what a loop rewrites in its own body, every time round', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // mov ecx, 10; L: inc byte [imm of add]; add eax, imm8; loop L
    t.put(0x10000, 0xb9, ...le32(10), 0xfe, 0x05, ...le32(0x1000d), 0x83, 0xc0, 0x00, 0xe2, 0xf5, HLT);
    expect(t.reg(t.untilHalt(), EAX)).toBe(55);
  });

  it('sees code written through another linear alias of the page', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // Page tables at 0x100000: identity for 4 MiB, and linear 0x300000 maps to physical 0x10000.
    t.guest.write32(0x100000, 0x101003);
    for (let i = 0; i < 1024; i++) t.guest.write32(0x101000 + i * 4, (i << 12) | 3);
    t.guest.write32(0x101000 + 0x300 * 4, 0x10003);
    t.patch((s) => {
      s.cr3 = 0x100000n;
      s.cr0 = 0x80000011n;
    });
    t.put(0x10000, 0xc6, 0x05, ...le32(0x300007), 0x43, 0x40, HLT);
    const s = t.untilHalt();
    expect([t.reg(s, EAX), t.reg(s, EBX)]).toEqual([0, 1]);
  });

  it('sees code that a device wrote', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, HLT);
    t.untilHalt();
    expect(t.holdsCode(0x10000)).toBe(true);
    t.put(0x10000, 0x43);
    t.flat(0x10000);
    expect(t.reg(t.untilHalt(), EBX)).toBe(1);
  });

  it('keeps decoded code when data beside it is written', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xc6, 0x05, ...le32(0x10800), 0x43, HLT);
    t.untilHalt();
    expect(t.holdsCode(0x10000)).toBe(true);
    expect(t.guest.read8(0x10800)).toBe(0x43);
  });

  it('executes an instruction that lies in two pages, and notices a change of its second half', () => {
    const t = new TestCpu();
    t.flat(0x10ffd);
    t.put(0x10ffd, 0xb8, 0x11, 0x22, 0x33, 0x44, HLT);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0x44332211);
    t.put(0x11000, 0x55);
    t.flat(0x10ffd);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0x44552211);
  });

  it('decodes the same bytes differently in 16-bit and 32-bit code', () => {
    const t = new TestCpu();
    t.put(0x1000, 0xb8, 0x34, 0x12, 0xf4, 0xf4, 0xf4);
    t.real(0x1000);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0x1234);
    t.flat(0x1000);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0xf4f41234);
  });

  it('runs code from memory that is not RAM', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // jmp 0xf0000042: the test bus reads address & 0xff + 1 there: 43 (inc ebx), 44 (inc esp), 45...
    t.put(0x10000, 0xe9, ...le32(0xf0000042 - 0x10005));
    t.cpu.run(3);
    expect(t.reg(t.cpu.getState(), EBX)).toBe(1);
    expect(Number(t.cpu.getState().rip)).toBeGreaterThan(0xf0000042);
  });
});

describe('illegal encodings', () => {
  const cases: [string, number[]][] = [
    ['LOCK on a register destination', [0xf0, 0x01, 0xc0]],
    ['LOCK on an instruction that does not take it', [0xf0, 0x8b, 0x00]],
    ['LOCK CMP', [0xf0, 0x39, 0x08]],
    ['UD2', [0x0f, 0x0b]],
    ['LEA with a register', [0x8d, 0xc0]],
    ['CMPXCHG8B with a register', [0x0f, 0xc7, 0xc8]],
    ['0F 04', [0x0f, 0x04]],
    ['FE /7', [0xfe, 0xf8]],
    ['FF /7', [0xff, 0xf8]],
  ];
  for (const [name, bytes] of cases)
    it(`raises #UD for ${name} with the address of the instruction`, () => {
      const t = new TestCpu();
      t.flat(0x10000, [0x20000]);
      t.put(0x10000, 0x90, ...bytes, HLT);
      const s = t.untilHalt();
      expect(TestCpu.vectorOf(s)).toBe(UD);
      expect(frame(t, t.reg(s, ESP)).eip).toBe(0x10001);
    });

  it('raises #GP for an instruction of 16 bytes and executes one of 15', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, ...new Array(14).fill(0x3e), 0x40, HLT);
    expect(t.reg(t.untilHalt(), EAX)).toBe(1);
    t.flat(0x10000);
    t.put(0x10000, ...new Array(15).fill(0x3e), 0x40, HLT);
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(GP);
  });

  it('accepts LOCK on a memory destination', () => {
    const t = new TestCpu();
    t.flat(0x10000, [5, 0, 0, 0x20000]);
    t.put(0x10000, 0xf0, 0x01, 0x03, HLT);
    t.untilHalt();
    expect(t.guest.read32(0x20000)).toBe(5);
  });
});

describe('faults leave the state before the instruction', () => {
  it('a jump beyond the code segment limit raises #GP at the jump', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.patch((s) => {
      s.segments.cs.limit = 0x1ffff;
    });
    t.put(0x10000, 0x40, 0xe9, ...le32(0x20000 - 0x10006));
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(GP);
    expect(t.guest.read32(t.reg(s, ESP) + 4)).toBe(0x10001);
  });

  it('a call beyond the limit pushes nothing', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.patch((s) => {
      s.segments.cs.limit = 0x1ffff;
    });
    t.put(0x10000, 0xe8, ...le32(0x20000 - 0x10005));
    const s = t.untilHalt();
    // Error code, EIP, CS, EFLAGS only.
    expect(t.reg(s, ESP)).toBe(0x8000 - 16);
  });

  it('16-bit code stops at offset FFFF with #GP', () => {
    const t = new TestCpu();
    t.real(0xfffe);
    t.put(0xfffe, 0x90, 0x90);
    t.put(0x10000, 0x40);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(GP);
    expect(t.reg(s, EAX)).toBe(0);
  });

  it('a read-modify-write of a read-only page changes neither flags nor registers', () => {
    const t = new TestCpu();
    t.flat(0x10000, [7, 0, 0, 0x200000]);
    t.guest.write32(0x100000, 0x101003);
    for (let i = 0; i < 1024; i++) t.guest.write32(0x101000 + i * 4, (i << 12) | 3);
    t.guest.write32(0x101000 + 0x200 * 4, 0x200001);
    t.guest.write32(0x200000, 0xfffffff9);
    t.patch((s) => {
      s.cr3 = 0x100000n;
      s.cr0 = 0x80010011n;
    });
    t.put(0x10000, 0x0f, 0xc1, 0x03, HLT); // xadd [ebx], eax
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(PF);
    expect(s.cr2).toBe(0x200000n);
    expect(t.reg(s, EAX)).toBe(7);
    expect(t.guest.read32(0x200000)).toBe(0xfffffff9);
    expect(t.guest.read32(t.reg(s, ESP) + 12) & 0x8d5).toBe(0);
  });

  it('REP MOVSD that faults in the middle has exact registers and can be resumed', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0, 0x800, 0, 0, 0x8000, 0, 0x20000, 0x1ff000]);
    t.guest.write32(0x100000, 0x101003);
    for (let i = 0; i < 1024; i++) t.guest.write32(0x101000 + i * 4, (i << 12) | 3);
    t.guest.write32(0x101000 + 0x200 * 4, 0);
    for (let i = 0; i < 0x800; i++) t.guest.write32(0x20000 + i * 4, i * 3);
    t.patch((s) => {
      s.cr3 = 0x100000n;
      s.cr0 = 0x80000011n;
    });
    t.put(0x10000, 0xf3, 0xa5, HLT);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(PF);
    expect([t.reg(s, ECX), t.reg(s, ESI), t.reg(s, EDI)]).toEqual([0x400, 0x21000, 0x200000]);
    expect(t.guest.read32(t.reg(s, ESP) + 4)).toBe(0x10000);
  });
});

describe('string instructions', () => {
  it('REP MOVSB over itself repeats the pattern', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0, 9, 0, 0, 0x8000, 0, 0x20000, 0x20003]);
    t.put(0x20000, 1, 2, 3);
    t.put(0x10000, 0xf3, 0xa4, HLT);
    t.untilHalt();
    expect([...t.ram.slice(0x20000, 0x2000c)]).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
  });

  it('REP MOVSD goes down when DF is set', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0, 3, 0, 0, 0x8000, 0, 0x20008, 0x2000c]);
    for (let i = 0; i < 3; i++) t.guest.write32(0x20000 + i * 4, i + 1);
    t.put(0x10000, 0xfd, 0xf3, 0xa5, HLT);
    const s = t.untilHalt();
    expect([0, 4, 8, 12].map((o) => t.guest.read32(0x20000 + o))).toEqual([1, 1, 2, 3]);
    expect(t.reg(s, ESI)).toBe(0x1fffc);
  });

  it('16-bit addresses wrap in the middle of REP STOSB', () => {
    const t = new TestCpu();
    t.real(0x1000, [0x55, 4, 0, 0, 0x7000, 0, 0, 0xfffe]);
    t.put(0x1000, 0xf3, 0xaa, HLT);
    // The vector table's first bytes are overwritten, as on the hardware.
    const s = t.untilHalt();
    expect(t.ram[0xfffe]).toBe(0x55);
    expect(t.ram[0x1]).toBe(0x55);
    expect(t.ram[0x2]).not.toBe(0x55);
    expect(t.reg(s, EDI)).toBe(2);
  });

  it('a long REP STOSD crosses pages and marks them dirty', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0xa1b2c3d4, 5000, 0, 0, 0x8000, 0, 0, 0x20002]);
    t.put(0x10000, 0xf3, 0xab, HLT);
    const s = t.untilHalt();
    expect(t.reg(s, ECX)).toBe(0);
    expect(t.reg(s, EDI)).toBe(0x20002 + 20000);
    expect(t.guest.read32(0x20002 + 19996)).toBe(0xa1b2c3d4);
    expect(t.guest.read8(0x20002 + 20000)).toBe(0);
    expect(t.guest.read8(0x20001)).toBe(0);
  });

  it('REPNE SCASB and REPE CMPSB stop where they should', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0x63, 100, 0, 0, 0x8000, 0, 0, 0x20000]);
    t.put(0x20000, 0x61, 0x62, 0x63, 0x64);
    t.put(0x10000, 0xf2, 0xae, HLT);
    let s = t.untilHalt();
    expect([t.reg(s, ECX), t.reg(s, EDI), Number(s.rflags) & 0x40]).toEqual([97, 0x20003, 0x40]);
    t.flat(0x10000, [0, 10, 0, 0, 0x8000, 0, 0x20000, 0x20010]);
    t.put(0x20010, 0x61, 0x62, 0x73);
    t.put(0x10000, 0xf3, 0xa6, HLT);
    s = t.untilHalt();
    expect([t.reg(s, ECX), t.reg(s, ESI), Number(s.rflags) & 0x41]).toEqual([7, 0x20003, 1]);
  });

  it('REP INSW reads the port once an element', () => {
    const t = new TestCpu();
    let n = 0;
    t.portValue = () => 0x100 + n++;
    t.flat(0x10000, [0, 300, 0x1f0, 0, 0x8000, 0, 0, 0x20000]);
    t.put(0x10000, 0xf3, 0x66, 0x6d, HLT);
    t.untilHalt();
    expect(n).toBe(300);
    expect(t.guest.read16(0x20000 + 299 * 2)).toBe(0x100 + 299);
  });
});

describe('interrupts', () => {
  it('delivers an interrupt that a port write raised before the next loop turn', () => {
    const t = new TestCpu();
    t.onPortWrite = () => {
      t.vector = 0x40;
      t.cpu.setIntr(true);
    };
    t.flat(0x10000);
    // sti; nop; out 0x80, al; jmp $
    t.put(0x10000, 0xfb, 0x90, 0xe6, 0x80, 0xeb, 0xfe);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(0x40);
    expect(frame(t, t.reg(s, ESP)).eip).toBe(0x10004);
  });

  it('holds interrupts for the instruction after STI', () => {
    const t = new TestCpu();
    t.vector = 0x40;
    t.cpu.setIntr(true);
    t.flat(0x10000);
    t.put(0x10000, 0xfb, 0x40, 0x40, HLT);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(0x40);
    expect(t.reg(s, EAX)).toBe(1);
  });

  it('STI; HLT wakes up and returns behind the HLT', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xfb, HLT, 0x40);
    expect(t.cpu.run(100)).toBe('halt');
    expect(t.cpu.run(100)).toBe('halt');
    t.vector = 0x41;
    t.cpu.setIntr(true);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(0x41);
    expect(frame(t, t.reg(s, ESP)).eip).toBe(0x10002);
  });

  it('ignores INTR while IF is clear and takes an NMI all the same', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0xeb, 0xfe);
    t.vector = 0x40;
    t.cpu.setIntr(true);
    expect(t.cpu.run(1000)).toBe('budget');
    expect(t.cpu.getState().rip).toBe(0x10000n);
    t.cpu.nmi();
    expect(TestCpu.vectorOf(t.untilHalt())).toBe(2);
  });

  it('interrupts a long REP MOVSB and resumes it', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0, 0x100000, 0, 0, 0x8000, 0, 0x100000, 0x200000]);
    // sti; nop; rep movsb; hlt. Handler 0x40: inc ebx; iretd
    t.put(0x10000, 0xfb, 0x90, 0xf3, 0xa4, HLT);
    t.put(0x3400, 0x43, 0xcf);
    t.ram.fill(0x77, 0x100000, 0x200000);
    t.cpu.run(3);
    t.vector = 0x40;
    t.cpu.setIntr(true);
    const s = t.untilHalt();
    expect(t.reg(s, EBX)).toBe(1);
    expect(t.reg(s, ECX)).toBe(0);
    expect(t.ram[0x2fffff]).toBe(0x77);
  });

  it('returns from run soon after requestExit', () => {
    const t = new TestCpu();
    t.onPortWrite = () => t.cpu.requestExit();
    t.flat(0x10000);
    t.put(0x10000, 0xe6, 0x80, 0x40, 0xeb, 0xfb);
    expect(t.cpu.run(1_000_000)).toBe('budget');
    expect(t.portWrites.length).toBe(1);
  });

  it('reports a triple fault as shutdown', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.patch((s) => {
      s.idtr = { base: 0n, limit: 0 };
    });
    t.put(0x10000, 0x0f, 0x0b);
    expect(t.cpu.run(100)).toBe('shutdown');
  });
});

describe('single step', () => {
  it('traps after every instruction while TF is set, with BS in DR6', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // pushfd; or dword [esp], 0x100; popfd; inc eax; inc eax
    t.put(0x10000, 0x9c, 0x81, 0x0c, 0x24, ...le32(0x100), 0x9d, 0x40, 0x40, HLT);
    const s = t.untilHalt();
    expect(TestCpu.vectorOf(s)).toBe(DB);
    expect(t.reg(s, EAX)).toBe(1);
    expect(frame(t, t.reg(s, ESP)).eip).toBe(0x1000a);
    expect(s.dr[4]! & 0x4000n).toBe(0x4000n);
  });

  it('traps between the iterations of a repeated instruction', () => {
    const t = new TestCpu();
    t.flat(0x10000, [0, 5, 0, 0, 0x8000, 0, 0x20000, 0x20100]);
    t.patch((s) => {
      s.rflags |= 0x100n;
    });
    t.put(0x10000, 0xf3, 0xa4, HLT);
    const s = t.untilHalt();
    expect(t.reg(s, ECX)).toBe(4);
    expect(frame(t, t.reg(s, ESP)).eip).toBe(0x10000);
  });
});

describe('counting and state', () => {
  it('counts every instruction once', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    // mov ecx, 1000; L: inc eax; dec ecx; jnz L; hlt
    t.put(0x10000, 0xb9, ...le32(1000), 0x40, 0x49, 0x75, 0xfc, HLT);
    const before = t.cpu.instructions;
    t.untilHalt();
    expect(t.cpu.instructions - before).toBe(1 + 3000 + 1);
  });

  it('stops near the budget', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, 0xeb, 0xfd);
    const before = t.cpu.instructions;
    expect(t.cpu.run(1001)).toBe('budget');
    expect(t.cpu.instructions - before).toBeGreaterThanOrEqual(1001);
    expect(t.cpu.instructions - before).toBeLessThan(1100);
  });

  it('gives back the state it was given, for every combination of arithmetic flags', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    for (let bits = 0; bits < 64; bits++) {
      const flags = (bits & 1) | ((bits & 2) << 1) | ((bits & 4) << 2) | ((bits & 8) << 3) | ((bits & 16) << 3) | ((bits & 32) << 6) | 2;
      t.patch((s) => {
        s.rflags = BigInt(flags | 0x200);
      });
      expect(Number(t.cpu.getState().rflags)).toBe(flags | 0x200);
    }
  });

  it('moves to another interpreter in the middle of a program', () => {
    const a = new TestCpu();
    a.flat(0x10000, [1, 2, 3, 4, 0x8000, 6, 7, 8]);
    a.patch((s) => {
      s.xmm = Uint8Array.from({ length: 256 }, (_, i) => i);
      s.fpu.registers = Uint8Array.from({ length: 80 }, (_, i) => 255 - i);
      s.msrs['374'] = 0x1234n;
      s.dr[0] = 0x5555n;
      s.tsc = 999n;
    });
    a.put(0x10000, 0xb9, ...le32(1000), 0x40, 0x49, 0x75, 0xfc, HLT);
    a.cpu.run(500);
    const b = new TestCpu();
    b.ram.set(a.ram);
    const saved = a.cpu.getState();
    b.cpu.setState(saved);
    expect(b.cpu.getState()).toEqual(saved);
    expect(b.untilHalt().gpr).toEqual(a.untilHalt().gpr);
  });

  it('A20 off folds the second megabyte onto the first', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x20000, 0x11);
    t.put(0x120000, 0x22);
    t.put(0x10000, 0xa0, ...le32(0x120000), HLT);
    t.cpu.setA20(false);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0x11);
    t.flat(0x10000);
    t.cpu.setA20(true);
    expect(t.reg(t.untilHalt(), EAX)).toBe(0x22);
  });
});

describe('statistics', () => {
  it('count exits, faults and interrupts, and name the loop that the time goes to', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x0f, 0x0b); // ud2
    t.untilHalt();
    t.flat(0x11000);
    t.put(0x11000, 0xeb, 0xfe); // jmp $
    for (let i = 0; i < 5; i++) expect(t.cpu.run(1000)).toBe('budget');
    const statistics = t.cpu.statistics();
    expect(statistics.accelerator).toBe(t.cpu.name);
    expect(statistics.exits).toMatchObject({ budget: 5, halt: 1 });
    expect(statistics.faults).toEqual({ '6': 1 });
    expect(statistics.instructions).toBe(t.cpu.instructions);
    expect(statistics.hottest).toMatchObject([{ address: '0x11000', bits: 32, entries: 5, sampled: true }]);
    expect(statistics.hottest[0]!.instructions).toBeGreaterThanOrEqual(5000);
  });
});
