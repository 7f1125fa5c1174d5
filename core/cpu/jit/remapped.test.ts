/**
 * Physical memory that changes under hot code: the A20 gate, shadow RAM over a BIOS (as the PAM registers of an i440FX switch it), code in ROM, and in
 * memory of a screen. Each change is made by a port write of the program itself, sometimes right before code that it changed.
 */
import { describe, expect, it } from 'vitest';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import type { TestCpu } from '../interp/testing/testcpu.ts';
import { HLT, inBothTiers, le16, le32 } from './testing/tiers.ts';

const ROUNDS = 240;
const TABLE = 0x2000;
const SWITCH = 0x92;
/** What each round writes to the port: changes seldom at first, so that code gets hot, then in each round. */
const PATTERN = Array.from({ length: ROUNDS }, (_, i) => (i < 160 ? (i >> 5) & 1 : i & 1));
const ON = PATTERN.filter(Boolean).length;

/** The rounds count CX down, or R12: the table is written backwards. */
function table(t: TestCpu, act: (on: boolean) => void): void {
  for (const [i, value] of PATTERN.entries()) t.guest.write8(TABLE + ROUNDS - i, value);
  t.onPortWrite = (port, value) => {
    if (port === SWITCH) act(value !== 0);
  };
}

// mov bx,cx; mov al,[bx+TABLE]; out SWITCH,al
const SWITCH16 = [0x89, 0xcb, 0x8a, 0x87, ...le16(TABLE), 0xe6, SWITCH];
// mov al,[r12+TABLE]; out SWITCH,al
const SWITCH64 = [0x41, 0x8a, 0x84, 0x24, ...le32(TABLE), 0xe6, SWITCH];

/** `body` ROUNDS times in 16-bit code; HLT. */
function loop16(body: number[]): number[] {
  return [0xb9, ...le16(ROUNDS), ...body, 0x49, 0x0f, 0x85, ...le16(-(body.length + 5)), HLT];
}
/** The same in 64-bit code, where R12 counts. */
function loop64(body: number[]): number[] {
  return [0x41, 0xbc, ...le32(ROUNDS), ...body, 0x49, 0xff, 0xcc, 0x0f, 0x85, ...le32(-(body.length + 9)), HLT];
}

describe('the A20 gate', () => {
  const WRAP = { selector: 0xffff, base: 0xffff0n, limit: 0xffff };

  it('switched in real mode, with code and data of both aliases in caches', () => {
    const { state, t } = inBothTiers((cpu) => {
      table(cpu, (on) => cpu.cpu.setA20(on));
      // FFFF:0510 and on is at 500h or 100500h: inc si or inc di, thrice; retf.
      cpu.put(0x500, 0x46, 0x46, 0x46, 0xcb);
      cpu.put(0x100500, 0x47, 0x47, 0x47, 0xcb);
      cpu.guest.write16(0x600, 1);
      cpu.guest.write16(0x100600, 0x100);
      // call FFFF:0510; add bp,es:[0610h]; inc word es:[0620h]
      cpu.put(
        0x1000,
        ...loop16([...SWITCH16, 0x9a, ...le16(0x510), 0xff, 0xff, 0x26, 0x03, 0x2e, ...le16(0x610), 0x26, 0xff, 0x06, ...le16(0x620)]),
      );
      cpu.real(0x1000);
      cpu.patch((s) => {
        s.segments.es = { ...WRAP, attributes: 0x93 };
      });
    }, 0);
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
    expect(state.gpr[5]).toBe(BigInt(ROUNDS - ON + 0x100 * ON) & 0xffffn);
    expect([t.guest.read16(0x610), t.guest.read16(0x100610)]).toEqual([ROUNDS - ON, ON]);
  });

  it('switched in real mode by the code that lies at an alias', () => {
    const { state } = inBothTiers((cpu) => {
      table(cpu, (on) => cpu.cpu.setA20(on));
      for (const [at, inc] of [
        [0x700, 0x46],
        [0x100700, 0x47],
      ] as const)
        cpu.put(at, ...loop16([...SWITCH16, inc, inc, inc]));
      cpu.real(0x710);
      cpu.patch((s) => {
        s.segments.cs = { ...WRAP, attributes: 0x9b };
      });
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
  });

  it('switched under paging, with code, data and a page table at both aliases', () => {
    const { state, t } = inBothTiers((cpu) => {
      table(cpu, (on) => cpu.cpu.setA20(on));
      const CODE = 0x20000;
      // inc rsi or inc rdi, thrice; ret. In the region's own page and in another one.
      for (const at of [0x30000, 0x130000])
        cpu.put(
          at,
          ...Array(3)
            .fill([0x48, 0xff, at >> 20 ? 0xc7 : 0xc6])
            .flat(),
          0xc3,
        );
      cpu.guest.write32(0x31000, 1);
      cpu.guest.write32(0x131000, 0x1000);
      // Linear 400000h and on by a table at 108000h, or at 8000h with the gate off: it maps to 32000h or 33000h.
      cpu.long(CODE, [0, 0, 0, 0, 0x7000]);
      cpu.guest.write32(0xb010, 0x108003);
      cpu.guest.write32(0x8000, 0x32003);
      cpu.guest.write32(0x108000, 0x33003);
      cpu.guest.write32(0x32000, 3);
      cpu.guest.write32(0x33000, 0x3000);
      cpu.put(
        CODE,
        ...loop64([
          ...SWITCH64,
          // call 130000h; add ebp,[131000h]; inc dword [131010h]; add r8d,[400000h]
          ...[0xe8, ...le32(0x130000 - (CODE + 6 + SWITCH64.length + 5))],
          ...[0x03, 0x2c, 0x25, ...le32(0x131000)],
          ...[0xff, 0x04, 0x25, ...le32(0x131010)],
          ...[0x44, 0x03, 0x04, 0x25, ...le32(0x400000)],
        ]),
      );
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
    expect(state.gpr[5]).toBe(BigInt(ROUNDS - ON + 0x1000 * ON));
    expect(state.gpr[8]).toBe(BigInt(3 * (ROUNDS - ON) + 0x3000 * ON));
    expect([t.guest.read32(0x31010), t.guest.read32(0x131010)]).toEqual([ROUNDS - ON, ON]);
  });

  it('switched under paging by the code that lies at an alias', () => {
    const { state } = inBothTiers((cpu) => {
      table(cpu, (on) => cpu.cpu.setA20(on));
      for (const at of [0x30000, 0x130000])
        cpu.put(
          at,
          ...loop64([
            ...SWITCH64,
            ...Array(3)
              .fill([0x48, 0xff, at >> 20 ? 0xc7 : 0xc6])
              .flat(),
          ]),
        );
      cpu.long(0x130000, [0, 0, 0, 0, 0x7000]);
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
  });
});

describe('shadow RAM and ROM', () => {
  const BIOS = 0xf0000;
  /** Where RAM stands in for ROM, in the shared memory: guest addresses from 300000h on are not used otherwise. */
  const ROM = GUEST_RAM_BASE + 0x300000;
  const rom = (t: TestCpu): void => t.map.mapRom(BIOS, ROM, 0x10000);
  const shadow = (t: TestCpu): void => t.map.mapRam(BIOS, GUEST_RAM_BASE + BIOS, 0x10000);
  /** inc rsi in ROM, inc rdi in the RAM under it. */
  const both = (t: TestCpu, code: (inc: number[]) => number[], at = 0x100): void => {
    t.put(0x300000 + at, ...code([0x48, 0xff, 0xc6]));
    t.put(BIOS + at, ...code([0x48, 0xff, 0xc7]));
  };

  it('switched under a function of the BIOS', () => {
    const CODE = 0x20000;
    const { state } = inBothTiers((t) => {
      both(t, (inc) => [...inc, ...inc, ...inc, 0xc3]);
      table(t, (on) => (on ? shadow(t) : rom(t)));
      t.long(CODE, [0, 0, 0, 0, 0x7000]);
      t.put(CODE, ...loop64([...SWITCH64, 0xe8, ...le32(BIOS + 0x100 - (CODE + 6 + SWITCH64.length + 5))]));
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
  });

  it('switched by the BIOS itself, and in the middle of an instruction across its pages', () => {
    const { state } = inBothTiers((t) => {
      // What follows the port write lies across two pages.
      both(t, (inc) => loop64([...SWITCH64, ...inc, ...inc, ...inc]), 0x1000 - 6 - SWITCH64.length - 1);
      table(t, (on) => (on ? shadow(t) : rom(t)));
      t.long(BIOS + 0x1000 - 6 - SWITCH64.length - 1, [0, 0, 0, 0, 0x7000]);
      rom(t);
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(3 * (ROUNDS - ON)), BigInt(3 * ON)]);
  });

  it('in 16-bit code of the BIOS', () => {
    const { state } = inBothTiers((t) => {
      t.put(0x300100, ...loop16([...SWITCH16, 0x46, 0x46]));
      t.put(BIOS + 0x100, ...loop16([...SWITCH16, 0x47, 0x47]));
      table(t, (on) => (on ? shadow(t) : rom(t)));
      t.real(0x100);
      t.patch((s) => {
        s.segments.cs = { selector: 0xf000, base: BigInt(BIOS), limit: 0xffff, attributes: 0x9b };
      });
      rom(t);
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(2 * (ROUNDS - ON)), BigInt(2 * ON)]);
  });

  it('is not written by hot code in it, which writes to itself', () => {
    const { state, t } = inBothTiers((cpu) => {
      // mov byte [rip-…],… of the next instruction: in RAM it would become dec; in ROM it stays inc.
      cpu.put(0x300100, ...loop64([0xc6, 0x05, 2, 0, 0, 0, 0xce, 0x48, 0xff, 0xc6]));
      cpu.long(BIOS + 0x100, [0, 0, 0, 0, 0x7000]);
      rom(cpu);
    });
    expect(state.gpr[6]).toBe(BigInt(ROUNDS));
    expect(t.guest.read8(BIOS + 0x100 + 6 + 9)).toBe(0xc6);
  });

  it('drops what is written while it is ROM; what is written while it is RAM is code', () => {
    const CODE = 0x20000;
    const { state } = inBothTiers((t) => {
      // A function: mov eax,imm32; ret. The system writes the round into the RAM of it while that is there, and calls it in each round.
      both(t, () => [0xb8, ...le32(7), 0xc3]);
      table(t, (on) => (on ? shadow(t) : rom(t)));
      t.long(CODE, [0, 0, 0, 0, 0x7000]);
      const body = [...SWITCH64, 0x44, 0x89, 0x24, 0x25, ...le32(BIOS + 0x101)]; // mov [BIOS+101h],r12d
      t.put(CODE, ...loop64([...body, 0xe8, ...le32(BIOS + 0x100 - (CODE + 6 + body.length + 5)), 0x48, 0x01, 0xc6])); // call; add rsi,rax
    });
    const sum = PATTERN.reduce((total, on, i) => total + (on ? ROUNDS - i : 7), 0);
    expect(state.gpr[6]).toBe(BigInt(sum));
  });
});

describe('code in the memory of a screen', () => {
  it('runs, is written, and moves with its window', () => {
    const WINDOW = [0xe0000000, 0xe1000000];
    const VRAM = GUEST_RAM_BASE + 0x300000;
    const CODE = 0x20000;
    const { state } = inBothTiers((t) => {
      t.put(0x300000, 0x48, 0xff, 0xc6, 0xc3); // inc rsi; ret
      t.put(0x340000, 0x48, 0xff, 0xc7, 0xc3); // inc rdi; ret
      const at = (on: boolean): void => {
        t.map.unmapWindow(WINDOW[0]!, VRAM + (on ? 0 : 0x40000), 0x40000);
        t.map.mapWindow(WINDOW[0]!, VRAM + (on ? 0x40000 : 0), 0x40000, 3);
      };
      table(t, at);
      t.long(CODE, [0, 0, 0, 0, 0x7000]);
      // Linear 400000h: the window.
      t.guest.write32(0xb010, (WINDOW[0]! | 0x83) >>> 0);
      t.put(CODE, ...loop64([...SWITCH64, 0xe8, ...le32(0x400000 - (CODE + 6 + SWITCH64.length + 5))]));
    });
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(ROUNDS - ON), BigInt(ON)]);
  });
});
