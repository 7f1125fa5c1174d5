import { describe, expect, it } from 'vitest';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { FEATURES } from './features.ts';
import { generate } from './generate.ts';
import { INSTRUCTIONS, type Instruction } from './table.ts';

const FLAG_BITS: Record<string, number> = { c: 1, p: 4, a: 0x10, z: 0x40, s: 0x80, o: 0x800, d: 0x400 };
const MANDATORY: Record<string, number[]> = { 66: [0x66], f3: [0xf3], f2: [0xf2] };
const CODE = 0x10000;
const DATA = 0x20000;

const bitsOf = (letters: string): number => [...letters].reduce((sum, letter) => sum | (FLAG_BITS[letter] ?? 0), 0);

/** Bytes of the instruction with operands [ebx] or plain registers, or undefined when it needs a set-up of its own. */
function encode(i: Instruction, memory: boolean): number[] | undefined {
  if (
    i.executor !== 'core' ||
    i.vex ||
    i.mode === 'only64' ||
    /^(callf|jmpf|retf|iret|int|into|int3|ret|call|jmp|enter|leave|bound|popf|ud|in$|out$|ins|outs|div|idiv|pop)/.test(i.mnemonic)
  )
    return undefined;
  const bytes = [...(MANDATORY[i.prefix] ?? []), ...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][i.map]!, i.opcode];
  if (i.operands.some((o) => /^[EGMR]/.test(o))) {
    if (!memory && i.operands.some((o) => o[0] === 'M')) return undefined;
    bytes.push((memory ? 0x03 : 0xc2) | ((i.extension >= 0 ? i.extension : 1) << 3));
  } else if (memory) return undefined;
  for (const operand of i.operands)
    if (/^(I[bus]|Jb)$/.test(operand)) bytes.push(operand === 'Jb' ? 0x10 : 5);
    else if (/^(I[zv]|Jz)$/.test(operand)) bytes.push(0x10, 0, 0, 0);
    else if (operand[0] === 'O' && i.mnemonic === 'mov') bytes.push(0, 0, 2, 0);
  return bytes;
}

/** State after one instruction that started with `flags`: everything but the flags as text, and the flags. */
function outcome(t: TestCpu, code: number[], flags: number, round: number): { rest: string; flags: number } {
  t.put(CODE, ...code);
  t.ram.fill(0x5a, DATA, DATA + 64);
  t.ram[DATA] = round * 37;
  t.patch((s) => {
    s.gpr = [0x81 + round * 0x1111, 3, 0x40 + round, DATA, 0x8000, DATA, DATA, DATA + 16, 0, 0, 0, 0, 0, 0, 0, 0].map(BigInt);
    s.rip = BigInt(CODE);
    s.rflags = BigInt(flags | 2);
    s.halted = false;
  });
  // HLT behind the instruction and at the branch targets.
  t.ram.fill(0xf4, CODE + code.length, CODE + 64);
  const s = t.untilHalt();
  return { rest: `${s.gpr.join()} ${s.rip} ${t.ram.slice(DATA, DATA + 64).join()}`, flags: Number(s.rflags) & 0xcd5 };
}

describe('the instruction table', () => {
  it('gives every row semantics and every opcode one meaning', () => {
    const { tables, dispatch, handlerCount } = generate();
    expect(tables).toContain('export const OPCODES');
    for (let handler = 0; handler < handlerCount; handler++) expect(dispatch).toContain(`case ${handler}: {`);
    const keys = INSTRUCTIONS.flatMap((i) =>
      ['not64', 'only64']
        .filter((mode) => i.mode === 'any' || i.mode === mode)
        .map((mode) => `${mode} ${i.vex} ${i.prefix} ${i.map}/${i.opcode}/${i.extension}`),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('names every flag that an instruction changes and every flag that it looks at', () => {
    const t = new TestCpu();
    t.features(...FEATURES);
    t.flat(CODE);
    const wrong = new Set<string>();
    for (const instruction of INSTRUCTIONS)
      for (const memory of [false, true]) {
        const code = encode(instruction, memory);
        if (!code) continue;
        const name = `${instruction.mnemonic} ${instruction.operands} ${code.map((b) => b.toString(16)).join(' ')}`;
        const written = bitsOf(instruction.flagsWritten);
        const read = bitsOf(instruction.flagsRead);
        for (let round = 0; round < 3; round++) {
          const base = [0, 0x8d5, 0x445][round]!;
          const before = outcome(t, code, base, round);
          if ((before.flags ^ base) & ~written) wrong.add(`${name} changes ${((before.flags ^ base) & ~written).toString(16)}`);
          for (const bit of Object.values(FLAG_BITS)) {
            const after = outcome(t, code, base ^ bit, round);
            if (read & bit) continue;
            if (after.rest !== before.rest) wrong.add(`${name} looks at ${bit.toString(16)}`);
            // A flag may survive when the instruction leaves all of them alone (a shift by 0); these operands never do that.
            if ((after.flags ^ before.flags) & (written | ~bit))
              wrong.add(`${name}: flag ${bit.toString(16)} leaks into ${(after.flags ^ before.flags).toString(16)}`);
          }
        }
      }
    expect([...wrong]).toEqual([]);
  });

  it('raises #UD in 64-bit mode for every opcode it does not name there', () => {
    const prefixes = new Set([0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3]);
    const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
    const t = new TestCpu();
    for (const map of [0, 1, 2, 3])
      for (let opcode = 0; opcode < 256; opcode++) {
        if (map === 0 && (prefixes.has(opcode) || (opcode & 0xf0) === 0x40)) continue;
        if (map === 1 && (opcode === 0x38 || opcode === 0x3a)) continue;
        if (INSTRUCTIONS.some((i) => !i.vex && i.mode !== 'not64' && i.map === map && i.opcode === opcode)) continue;
        t.long(CODE);
        t.put(CODE, ...escapes[map]!, opcode, 0xc0, 0xf4, 0xf4);
        expect([map, opcode, TestCpu.vectorOf(t.untilHalt())]).toEqual([map, opcode, 6]);
      }
  });

  it('raises #UD for every opcode it does not name', () => {
    const t = new TestCpu();
    t.flat(CODE);
    const prefixes = new Set([0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
    for (const map of [0, 1])
      for (let opcode = 0; opcode < 256; opcode++) {
        if ((map === 0 && prefixes.has(opcode)) || INSTRUCTIONS.some((i) => i.map === map && i.opcode === opcode)) continue;
        t.flat(CODE);
        t.put(CODE, ...(map ? [0x0f] : []), opcode, 0xc0, 0xf4, 0xf4);
        expect([map, opcode, TestCpu.vectorOf(t.untilHalt())]).toEqual([map, opcode, 6]);
      }
  });
});
