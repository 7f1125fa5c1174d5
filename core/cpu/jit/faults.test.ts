import { describe, expect, it } from 'vitest';
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { STAT_REGION_FAULTS } from '../interp/wasm/stateoffsets.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';

const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];
const HLT = 0xf4;
const CR0_WP = 0x10000n;
/** Everything at once. */
const EAGER = { piece: 20, threshold: 1 };
/** Page table of the upper 2 MiB, what the handler notes, and those 2 MiB. */
const TABLE = 0xd000;
const LOG = 0x20000;
const DATA = 0x200000;

/** 64-bit mode with the upper 2 MiB in pages of 4 KiB whose entries have `flags`. */
function paged(recompiler: boolean, flags: number): TestCpu {
  const t = new TestCpu(recompiler ? { recompiler: EAGER } : {});
  // RDX, RBX, RSI, R15.
  t.long(0x10000, [0, 0, 0x1234_5678_9abcn, 5, 0x8000, 0, DATA, 0, 0, 0, 0, 0, 0, 0, 0, LOG]);
  t.guest.write32(0xb008, TABLE | 3);
  t.patch((s) => {
    s.cr0 |= CR0_WP;
  });
  for (let i = 0; i < 512; i++) t.guest.write32(TABLE + i * 8, (DATA + i * 4096) | flags);
  for (let at = DATA; at < DATA + 0x200000; at += 4) t.guest.write32(at, Math.imul(at, 0x9e3779b1));
  // Handler of #PF: notes CR2, the error code and RIP at R15, makes the page present and writable.
  const handler = [
    ...[0x50, 0x0f, 0x20, 0xd0], // push rax; mov rax,cr2
    ...[0x49, 0x89, 0x07, 0x48, 0xc1, 0xe8, 0x0c, 0x25, ...le32(0x1ff)], // mov [r15],rax; shr rax,12; and eax,0x1ff
    ...[0x80, 0x0c, 0xc5, ...le32(TABLE), 0x03], // or byte [TABLE+rax*8],3
    ...[0x48, 0x8b, 0x44, 0x24, 0x08, 0x49, 0x89, 0x47, 0x08], // mov rax,[rsp+8]; mov [r15+8],rax
    ...[0x48, 0x8b, 0x44, 0x24, 0x10, 0x49, 0x89, 0x47, 0x10], // mov rax,[rsp+16]; mov [r15+16],rax
    ...[0x49, 0x83, 0xc7, 0x18, 0x58, 0x48, 0x83, 0xc4, 0x08], // add r15,24; pop rax; add rsp,8
    ...[0x0f, 0x20, 0xd7, 0x0f, 0x01, 0x3f, 0x48, 0xcf], // mov rdi,cr2; invlpg [rdi]; iretq
  ];
  t.put(0x30000, ...handler);
  t.guest.write32(0xc000 + 14 * 16, 0x00080000);
  t.guest.write32(0xc004 + 14 * 16, 0x00038e00);
  return t;
}

const body = [
  ...[0x48, 0x8b, 0x46, 0x08, 0x48, 0x01, 0xc3], // mov rax,[rsi+8]; add rbx,rax
  ...[0x48, 0x89, 0x8e, ...le32(0x1008)], // mov [rsi+0x1008],rcx
  ...[0x48, 0x11, 0x96, ...le32(0x2010)], // adc [rsi+0x2010],rdx
  ...[0x0f, 0x10, 0x86, ...le32(0x3010)], // movups xmm0,[rsi+0x3010]
  ...[0x0f, 0x11, 0x86, ...le32(0x4020)], // movups [rsi+0x4020],xmm0
  ...[0x48, 0x13, 0x86, ...le32(0x4ffc)], // adc rax,[rsi+0x4ffc]: crosses
  ...[0x48, 0x89, 0x86, ...le32(0x5ffc)], // mov [rsi+0x5ffc],rax: crosses
  ...[0xff, 0xb6, ...le32(0x7000), 0x5d], // push qword [rsi+0x7000]; pop rbp
  ...[0x48, 0x87, 0x9e, ...le32(0x8000)], // xchg [rsi+0x8000],rbx
];

const run = (recompiler: boolean, flags: number) => {
  const t = paged(recompiler, flags);
  // mov ecx,50; l: ...; add rsi,0x9000; dec ecx; jnz l; hlt
  const tail = [0x48, 0x81, 0xc6, ...le32(0x9000), 0xff, 0xc9];
  t.put(0x10000, 0xb9, ...le32(50), ...body, ...tail, 0x0f, 0x85, ...le32(-(body.length + tail.length + 6)), HLT);
  const state = t.untilHalt();
  return { state, log: t.ram.slice(LOG, LOG + 0x8000), data: t.ram.slice(DATA, DATA + 0x200000), t };
};

describe('page faults in compiled code', () => {
  it.each([
    ['of pages that are not present', 0x2],
    ['of pages that are read-only, with write protection on', 0x1],
  ])('%s come with every register, CR2 and error code as in the interpreter', (_what, flags) => {
    const interpreted = run(false, flags);
    const compiled = run(true, flags);
    const { faults } = compiled.t.cpu.statistics();
    expect(new DataView(compiled.t.memory.buffer).getUint32(CPU_STATE_BASE + STAT_REGION_FAULTS, true)).toBeGreaterThan(50);
    expect(faults['14']).toBeGreaterThan(100);
    expect(faults).toEqual(interpreted.t.cpu.statistics().faults);
    expect(compiled.state).toEqual(interpreted.state);
    expect(Buffer.compare(compiled.log, interpreted.log)).toBe(0);
    expect(Buffer.compare(compiled.data, interpreted.data)).toBe(0);
  });

  it('count like others: a run ends although the guest does nothing but fault', () => {
    const t = paged(true, 0x2);
    // l: mov rax,[rsi]; jmp l, and a handler that changes nothing: add rsp,8; iretq.
    t.put(0x10000, 0x48, 0x8b, 0x06, 0xeb, 0xfb);
    t.put(0x30000, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf);
    for (let i = 0; i < 50; i++) {
      const before = t.cpu.instructions;
      expect(t.cpu.run(1000)).toBe('budget');
      expect(t.cpu.instructions - before).toBeLessThan(1100);
    }
  });
});
