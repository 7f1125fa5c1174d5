import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const EAGER = { piece: 20, threshold: 1 };
const CR4_PGE = 0x80n;
const CR4_PCIDE = 0x20000n;
const GLOBAL = 0x100;

/** Page table of the upper 2 MiB; the linear page that moves; the pages it shows. */
const TABLE = 0xd000;
const LINEAR = 0x2a0000;
const FIRST = 0x40000;
const SECOND = 0x41000;
const ENTRY = TABLE + ((LINEAR >> 12) & 511) * 8;

/**
 * Calls a function 60 times, which adds 1 to RBX, makes `change`, calls it 60 times more, and stops. The page at the function's address is
 * another then, whose function adds 1000. Both pages are mapped elsewhere too.
 */
function calls(change: number[], global: boolean, cr4 = 0n): bigint {
  const t = new TestCpu({ recompiler: EAGER });
  t.long(0x10000);
  t.patch((s) => {
    s.cr4 |= CR4_PGE | cr4;
  });
  t.guest.write32(0xb008, TABLE | 3);
  for (let i = 0; i < 512; i++) t.guest.write32(TABLE + i * 8, (0x200000 + i * 4096) | 3);
  const flags = 3 | (global ? GLOBAL : 0);
  t.guest.write32(ENTRY, FIRST | flags);
  t.put(FIRST, 0x48, 0x81, 0xc3, ...le32(1), 0xc3); // add rbx,1; ret
  t.put(SECOND, 0x48, 0x81, 0xc3, ...le32(1000), 0xc3);
  const loop = (at: number) => {
    const call = at + 5;
    return [0xb9, ...le32(60), 0xe8, ...le32(LINEAR - (call + 5)), 0xff, 0xc9, 0x75, 0xf7]; // mov ecx,60; l: call f; dec ecx; jnz l
  };
  const code = [...loop(0x10000)];
  code.push(0xc7, 0x04, 0x25, ...le32(ENTRY), ...le32(SECOND | flags), ...change); // mov dword [ENTRY],SECOND | flags
  code.push(...loop(0x10000 + code.length), HLT);
  t.put(0x10000, ...code);
  const state = t.untilHalt();
  expect(t.cpu.statistics().regions.compiled).toBeGreaterThan(1);
  return state.gpr[3]!;
}

const INVLPG = [0x0f, 0x01, 0x3c, 0x25, ...le32(LINEAR)];
const INVLPG_OTHER = [0x0f, 0x01, 0x3c, 0x25, ...le32(LINEAR + 0x1000)];
const RELOAD_CR3 = [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]; // mov rax,cr3; mov cr3,rax
const TOGGLE_PGE = [0x0f, 0x20, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0]; // mov rax,cr4; xor al,0x80; mov cr4,rax; and back
/** INVPCID of type `type` for address space 0 and the page that moves; its descriptor goes to 0x50000. */
const invpcid = (type: number): number[] => [
  ...[0x48, 0xc7, 0x04, 0x25, ...le32(0x50000), ...le32(0)], // mov qword [0x50000],0
  ...[0x48, 0xc7, 0x04, 0x25, ...le32(0x50008), ...le32(LINEAR)],
  ...[0xb8, ...le32(type), 0x66, 0x0f, 0x38, 0x82, 0x04, 0x25, ...le32(0x50000)], // mov eax,type; invpcid rax,[0x50000]
];

const OLD = 120n;
const NEW = 60_060n;

describe('compiled code that calls into another page', () => {
  it.each<[string, number[], boolean, bigint]>([
    ['finds the new page after INVLPG', INVLPG, false, NEW],
    ['finds the new page after INVLPG, global or not', INVLPG, true, NEW],
    ['finds the new page after a write of CR3', RELOAD_CR3, false, NEW],
    ['keeps a global page over a write of CR3', RELOAD_CR3, true, OLD],
    ['loses a global page when CR4.PGE changes', TOGGLE_PGE, true, NEW],
    ['keeps its page over INVLPG of another', INVLPG_OTHER, true, OLD],
  ])('%s', (_what, change, global, expected) => {
    expect(calls(change, global)).toBe(expected);
  });

  it.each<[string, number[], boolean, bigint]>([
    ['of one address', invpcid(0), false, NEW],
    ['of one address space', invpcid(1), false, NEW],
    ['of one address space, which keeps global pages', invpcid(1), true, OLD],
    ['of everything', invpcid(2), true, NEW],
    ['of everything but global pages', invpcid(3), false, NEW],
    ['of everything but global pages, which stay', invpcid(3), true, OLD],
  ])('finds what is there after INVPCID %s', (_what, change, global, expected) => {
    expect(calls(change, global, CR4_PCIDE)).toBe(expected);
  });
});

describe('compiled 32-bit code in long mode', () => {
  it('does not take a page above 4 GiB for one of its own', () => {
    const t = new TestCpu({ recompiler: EAGER });
    t.long(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 5]);
    // 512 GiB up: the two halves of RAM the other way round. Descriptor 0x18: 32-bit code.
    t.guest.write32(0x9008, 0xe003);
    t.guest.write32(0xe000, 0xf003);
    t.guest.write32(0xf000, 0x200083);
    t.guest.write32(0xf008, 0x000083);
    t.guest.write32(0x818, 0x0000ffff);
    t.guest.write32(0x81c, 0x00cf9b00);
    t.guest.write32(0x15000, 1);
    t.guest.write32(0x215000, 1000);
    const loop = [0xb9, ...le32(60), 0x03, 0x13, 0xff, 0xc9, 0x75, 0xfa]; // mov ecx,60; l: add edx,[rbx]; dec ecx; jnz l
    t.guest.write32(0x50000, 0x11000);
    t.guest.write32(0x50004, 0x18);
    t.guest.write32(0x50010, 0x10000);
    t.guest.write32(0x50014, 8);
    // mov rbx,0x80_0001_5000; loop; jmp far [0x50000]
    t.put(0x10000, 0x48, 0xbb, ...le32(0x15000), ...le32(0x80), ...loop, 0xff, 0x2c, 0x25, ...le32(0x50000));
    // mov ebx,0x15000; loop; dec edi; jz halt; jmp far [0x50010]. By the second round it is compiled, and the TLB has the other page.
    t.put(0x11000, 0xbb, ...le32(0x15000), ...loop, 0xff, 0xcf, 0x74, 0x06, 0xff, 0x2d, ...le32(0x50010), HLT);
    const state = t.untilHalt();
    expect(t.cpu.statistics().regions.compiled).toBeGreaterThan(1);
    expect(state.gpr[2]).toBe(5n * 60_060n);
  });
});
