/**
 * Every core instruction of the table, with random operands, against the processor this test runs on. Flags that the manual leaves
 * undefined are masked (SDM volume 2, each instruction's "Flags Affected").
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import { FEATURES, type Feature } from '../../../core/cpu/x86/features.ts';
import { INSTRUCTIONS, type Instruction } from '../../../core/cpu/x86/table.ts';
import { undefinedFlags, ZF } from '../flags.ts';
import { INTEGERS } from '../integers.ts';
import { random } from './longcases.ts';

const SOURCE = fileURLToPath(new URL('native.c', import.meta.url));
/** HYPERVUE_CPU_ROUNDS asks for more, each with operands of its own. */
const ROUNDS = Math.max(1, Number(process.env.HYPERVUE_CPU_ROUNDS ?? 1));
const CASES = 40_000;
const SEED = 2024;
const DATA = 0x208000;
const TEST_SIZE = 120;
const RESULT_SIZE = 104;

interface HostTest {
  row: Instruction;
  code: number[];
  gpr: number[];
  flags: number;
  data: number[];
}

/** The host processor has it, too. Linux calls LZCNT by the name of its group. */
function hostHas(feature: Feature): boolean {
  const flags = existsSync('/proc/cpuinfo') ? /^flags.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0].split(/\s+/) : undefined;
  return flags?.includes(feature === 'lzcnt' ? 'abm' : feature) ?? false;
}

/** Control flow, stack and port instructions, and encodings that 64-bit mode changed. */
const SKIP = /^(push|pop|call|ret|jmp|j|loop|enter|leave|bound|in$|out$|ins$|outs$|int|iret|ud|salc|daa|das|aa|nop$)/;
const ROWS = INSTRUCTIONS.filter(
  (i) =>
    i.executor === 'core' &&
    i.mode !== 'only64' &&
    !i.vex &&
    (i.feature === undefined || hostHas(i.feature)) &&
    !SKIP.test(i.mnemonic) &&
    (i.map > 0 || !((i.opcode >= 0x40 && i.opcode <= 0x4f) || i.opcode === 0x82 || (i.opcode >= 0xa0 && i.opcode <= 0xa3))),
);

function makeTests(count: number, seed: number): HostTest[] {
  const next = random(seed);
  const value = (): number => (next() & 1 ? Number(INTEGERS[next() % INTEGERS.length]! & 0xffffffffn) : next()) >>> 0;
  const immediate = (bytes: number): number[] => {
    const v = value();
    return [v & 255, (v >> 8) & 255, (v >> 16) & 255, v >>> 24].slice(0, bytes);
  };
  const tests: HostTest[] = [];
  while (tests.length < count) {
    const row = ROWS[next() % ROWS.length]!;
    const operands = row.operands;
    const narrow = (next() & 3) === 0 && row.mnemonic !== 'bswap';
    const string = /^(movs|cmps|stos|lods|scas)$/.test(row.mnemonic);
    const code: number[] = [];
    if (string && next() & 1) code.push(next() & 1 ? 0xf3 : 0xf2);
    if (narrow) code.push(0x66);
    if (row.prefix === 'f3' || row.prefix === 'f2') code.push(Number.parseInt(row.prefix, 16));
    code.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!);
    code.push(row.opcode);
    const gpr = Array.from({ length: 8 }, value);
    // ESP holds the host's stack.
    if (operands.includes('Zv') && (row.opcode & 7) === 4) continue;
    if (operands.some((o) => /^[EGM]/.test(o))) {
      let reg = row.extension >= 0 ? row.extension : next() & 7;
      if (row.extension < 0 && reg === 4 && !operands.includes('Gb')) reg = 5;
      if (operands.some((o) => o[0] === 'M') || next() & 1) {
        const operandInIndex = reg === 1 || operands.includes('c') || string || /^(mul|imul|div|idiv|cmpxchg8b)$/.test(row.mnemonic);
        if (next() & 1 && !operandInIndex && !operands.includes('Gb')) {
          // [ebx + ecx * scale + disp8]
          code.push(0x44 | (reg << 3), 0x0b | ((next() & 3) << 6), next() & 7);
          gpr[1] = next() & 3;
        } else code.push(0x43 | (reg << 3), next() & 0x1f);
        gpr[3] = DATA + 8;
        if (/^bt/.test(row.mnemonic) && operands[1]![0] === 'G') {
          if (reg === 3) continue;
          gpr[reg] = next() & 127;
        }
      } else {
        let rm = next() & 7;
        if (rm === 4 && !operands.includes('Eb')) rm = 6;
        code.push(0xc0 | (reg << 3) | rm);
      }
    }
    if (row.mnemonic === 'xlat') {
      gpr[3] = DATA;
      gpr[0] = ((gpr[0]! & ~0xff) | (next() & 63)) >>> 0;
    }
    if (string) {
      gpr[6] = DATA + 16 + (next() & 15);
      gpr[7] = DATA + 16 + (next() & 15);
      gpr[1] = next() % 4;
    }
    for (const operand of operands)
      if (/^I[bus]$/.test(operand)) code.push(...immediate(1));
      else if (operand === 'Iz' || operand === 'Iv') code.push(...immediate(narrow ? 2 : 4));
    tests.push({
      row,
      code,
      gpr,
      flags: 2 | (next() & 0x8d5) | (string ? next() & 0x400 : 0),
      data: Array.from({ length: 64 }, () => (next() & 1 ? next() & 255 : [0, 255, 128, 127][next() & 3]!)),
    });
  }
  return tests;
}

/** Flags that mean nothing after the instruction. */
function meaningless(test: HostTest): number {
  const { operands } = test.row;
  const count = operands.includes('c') ? test.gpr[1]! : operands.includes('Ib') ? test.code[test.code.length - 1]! : 1;
  const size = operands[0] === 'Eb' ? 8 : test.code[0] === 0x66 ? 16 : 32;
  return undefinedFlags(test.row, size, count & 255);
}

function buildNative(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'hostcpu-'));
  try {
    execFileSync('gcc', ['-O1', '-o', path.join(folder, 'native'), SOURCE], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
}

describe('core instructions against the host processor', () => {
  // The second run keeps the decoder from its flat forms (generate.ts): the general ones check segments.
  const runs = Array.from({ length: ROUNDS }, (_, round) => [true, false].map((flat) => ({ flat, seed: SEED + round }))).flat();
  for (const { flat, seed } of runs)
    it(`agree on registers, memory, faults and defined flags, ${flat ? 'flat' : 'with segment limits'}, seed ${seed}`, (context) => {
      const folder = buildNative();
      if (!folder) {
        console.log('skipped: needs x86-64 Linux and gcc');
        context.skip();
        return;
      }
      const tests = makeTests(CASES, seed);
      const input = Buffer.alloc(tests.length * TEST_SIZE);
      tests.forEach((test, i) => {
        const at = i * TEST_SIZE;
        test.gpr.forEach((v, j) => {
          input.writeUInt32LE(v >>> 0, at + j * 4);
        });
        input.writeUInt32LE(test.flags, at + 32);
        input.writeUInt32LE(test.code.length, at + 36);
        input.set(test.code, at + 40);
        input.set(test.data, at + 56);
      });
      const run = spawnSync(path.join(folder, 'native'), { input, maxBuffer: 1 << 30 });
      rmSync(folder, { recursive: true, force: true });
      const results = run.stdout;
      expect(results.length).toBe(tests.length * RESULT_SIZE);

      const t = new TestCpu();
      t.features(...FEATURES.filter(hostHas));
      t.flat(0x10000);
      const state = t.cpu.getState();
      if (!flat) state.segments.ds.limit = 0xffffff;
      const wrong: string[] = [];
      tests.forEach((test, i) => {
        const at = i * RESULT_SIZE;
        t.put(0x10000, ...test.code, 0xf4);
        t.ram.fill(0, DATA - 256, DATA + 256);
        t.put(DATA, ...test.data);
        state.gpr = Array.from({ length: 16 }, (_, j) => BigInt(j === 4 ? 0x8000 : (test.gpr[j] ?? 0) >>> 0));
        state.rip = 0x10000n;
        state.rflags = BigInt(test.flags);
        state.halted = false;
        t.cpu.setState(state);
        const end = t.untilHalt(5000);
        const faulted = TestCpu.vectorOf(end) >= 0;
        const say = (what: string): void => {
          wrong.push(`${test.row.mnemonic} ${test.row.operands} [${test.code.map((b) => b.toString(16)).join(' ')}] #${i}: ${what}`);
        };
        if ((results.readUInt32LE(at + 36) !== 0) !== faulted) say('only one of them faulted');
        if (faulted) return;
        // A 16-bit shift double by more than its size leaves the result undefined as well.
        const mask = meaningless(test);
        if (!/^sh[lr]d$/.test(test.row.mnemonic) || !(mask & ZF))
          for (let r = 0; r < 8; r++) if (r !== 4 && t.reg(end, r) !== results.readUInt32LE(at + r * 4)) say(`register ${r}`);
        const flags = (results.readUInt32LE(at + 32) ^ Number(end.rflags)) & 0xcd5 & ~mask;
        if (flags) say(`flags differ in ${flags.toString(16)}`);
        if (!(mask & ZF) && Buffer.compare(results.subarray(at + 40, at + 104), t.ram.subarray(DATA, DATA + 64)) !== 0) say('memory');
      });
      expect(wrong.slice(0, 20)).toEqual([]);
    });
});
