/**
 * What is no instruction is #UD whatever the state of the floating-point unit: with CR0.TS set, which is #NM for what is one, and with an x87 exception
 * pending, #MF. Found with the host's processor; SDM volume 3, table 6-2, has both as faults of decoding, and lists #UD first.
 */
import { expect, it } from 'vitest';
import type { CpuState } from '../cpustate.ts';
import { TestCpu } from './testing/testcpu.ts';

const CODE = 0x10000;
const DATA = 0x20000n;
const HLT = 0xf4;
const UD = 6;
const MAPS = { '0F': [0x0f], '0F 38': [0x0f, 0x38], '0F 3A': [0x0f, 0x3a] };
/** Opcodes of map 0F that escape, jump, change the system's state or call it. */
const LEFT_OUT = new Set([0x00, 0x01, 0x05, 0x06, 0x07, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x34, 0x35, 0x38, 0x3a, 0xaa]);
/** Those whose modrm.reg tells instructions apart. */
const GROUPS = new Set([0x18, 0x71, 0x72, 0x73, 0xae, 0xba, 0xc7]);

/** A processor in 64-bit mode with AVX on; its state as it is (`plain`) and with CR0.TS (`switched`). `faultAt`: RIP of the last fault, on the stack. */
function processor() {
  const t = new TestCpu();
  t.long(CODE, [1, 2, 3, DATA, 0x8000, DATA, DATA, DATA]);
  // MP, NE; OSXSAVE.
  t.patch((s) => {
    s.cr0 |= 0x22n;
    s.cr4 |= 0x40000n;
    s.xcr0 = 7n;
  });
  const plain = t.cpu.getState();
  const switched: CpuState = { ...plain, cr0: plain.cr0 | 8n };
  const memory = new DataView(t.ram.buffer, t.ram.byteOffset);
  return { t, plain, switched, faultAt: () => Number(memory.getBigUint64(0x8000 - 40, true)) };
}

it('is no instruction before the floating-point unit is not available, or has an exception pending', { timeout: 120_000 }, () => {
  const { t, plain, switched, faultAt } = processor();
  const pending: CpuState = { ...plain, fpu: { ...plain.fpu, control: 0x37e, status: 0x8081 } };
  const code = new Uint8Array(24);
  const vectorFrom = (state: CpuState): number => {
    t.setState(state);
    return t.cpu.run(50) === 'halt' ? TestCpu.vectorOf(t.cpu.getState()) : -1;
  };
  const wrong: string[] = [];
  let undefinedOnes = 0;
  for (const [name, map] of Object.entries(MAPS))
    for (const prefix of [[], [0x66], [0xf3], [0xf2]])
      for (let opcode = 0; opcode < 256; opcode++) {
        if (name === '0F' && (LEFT_OUT.has(opcode) || opcode >> 4 === 8)) continue;
        for (let reg = 0; reg < (name === '0F' && GROUPS.has(opcode) ? 8 : 1); reg++)
          for (const modrm of [0x07 | (reg << 3), 0xc1 | (reg << 3)]) {
            // UD0, UD1 and what has no modrm are undefined, or not, before it is read.
            const bytes = [...prefix, ...map, opcode, modrm, 1];
            code.fill(HLT);
            code.set(bytes);
            t.guest.write(CODE, code);
            const isUndefined = vectorFrom(plain) === UD && t.cpu.getState().cr2 === plain.cr2;
            if (isUndefined && faultAt() !== CODE) continue;
            undefinedOnes += isUndefined ? 1 : 0;
            for (const state of [switched, pending])
              if ((vectorFrom(state) === UD) !== isUndefined) wrong.push(bytes.map((byte) => byte.toString(16)).join(' '));
          }
      }
  expect(wrong).toEqual([]);
  expect(undefinedOnes).toBeGreaterThan(3000);
});

/** VEX in its form of three bytes: map, pp, L, W, register of vvvv (0: none). */
const vex = (map: number, pp: number, l: number, w: number, v: number): number[] => [
  0xc4,
  0xe0 | map,
  (w << 7) | ((v ^ 15) << 3) | (l << 2) | pp,
];

it('is no VEX instruction, by its form or because AVX is off, before the floating-point unit is not available', {
  timeout: 120_000,
}, () => {
  const { t, plain, switched, faultAt } = processor();
  const code = new Uint8Array(24);
  /** Of the first instruction: VZEROUPPER has no modrm, so that another one follows here. */
  const vectorFrom = (state: CpuState): number => {
    t.setState(state);
    const vector = t.cpu.run(20) === 'halt' ? TestCpu.vectorOf(t.cpu.getState()) : -1;
    return vector === UD && faultAt() !== CODE ? -1 : vector;
  };
  const wrong: string[] = [];
  const counts = { undefined: 0, unavailable: 0, general: 0 };
  for (let map = 1; map <= 3; map++)
    for (let opcode = 0; opcode < 256; opcode++)
      for (let form = 0; form < 64; form++) {
        const bytes = [...vex(map, form & 3, (form >> 2) & 1, (form >> 3) & 1, form & 16 ? 3 : 0), opcode, form & 32 ? 0xc1 : 0x07, 1];
        code.fill(HLT);
        code.set(bytes);
        t.guest.write(CODE, code);
        const isUndefined = vectorFrom(plain) === UD;
        const vector = vectorFrom(switched);
        if (isUndefined) counts.undefined++;
        else if (vector === 7) counts.unavailable++;
        else counts.general++;
        if (isUndefined ? vector !== UD : vector !== 7 && vector !== -1) wrong.push(bytes.map((byte) => byte.toString(16)).join(' '));
      }
  expect(wrong).toEqual([]);
  // Vector instructions, and those of BMI1 and BMI2 (ANDN 8, BZHI, PEXT and PDEP 24, MULX 8, BEXTR and shifts 32, RORX 4), which CR0.TS has nothing to do with.
  expect(counts.general).toBe(76);
  expect(counts.unavailable).toBeGreaterThan(3500);
  expect(counts.undefined).toBeGreaterThan(40_000);

  // vaddps xmm0,xmm1,xmm2; andn eax,ecx,edx.
  for (const [bytes, avx] of [
    [[0xc5, 0xf0, 0x58, 0xc2], true],
    [[0xc4, 0xe2, 0x70, 0xf2, 0xc2], false],
  ] as const) {
    code.fill(HLT);
    code.set(bytes);
    t.guest.write(CODE, code);
    for (const ts of [0n, 8n]) {
      const cr0 = plain.cr0 | ts;
      expect(vectorFrom({ ...plain, cr0 })).toBe(avx && ts ? 7 : -1);
      expect(vectorFrom({ ...plain, cr0, cr4: plain.cr4 & ~0x40000n })).toBe(avx ? UD : -1);
      for (const xcr0 of [1n, 3n]) expect(vectorFrom({ ...plain, cr0, xcr0 })).toBe(avx ? UD : -1);
      // CR0.EM is not asked.
      expect(vectorFrom({ ...plain, cr0: cr0 | 4n })).toBe(avx && ts ? 7 : -1);
    }
    // In real mode there is no VEX, whatever is switched on.
    const real = new TestCpu();
    real.put(0x2000, ...bytes, HLT);
    real.real(0x2000);
    real.patch((s) => {
      s.model = 'x86-64-v3';
      s.cr0 |= 8n;
      s.cr4 = 0x40600n;
      s.xcr0 = 7n;
    });
    expect(TestCpu.vectorOf(real.untilHalt())).toBe(UD);
  }
});
