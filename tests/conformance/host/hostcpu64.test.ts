/**
 * 64-bit code against the processor this test runs on: single instructions of the table with every kind of operand, runs of instructions,
 * and stack, branch and string instructions. Flags that the manual leaves undefined are masked.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import type { Feature } from '../../../core/cpu/x86/features.ts';
import {
  CODE,
  CODE_SIZE,
  DATA,
  EDGE,
  GS_BASE,
  type LongCase,
  type Next,
  plainRows,
  random,
  runCase,
  singleCase,
  specialCase,
  WINDOW,
} from './longcases.ts';

const SOURCE = fileURLToPath(new URL('native64.c', import.meta.url));
/** HYPERVUE_CPU_ROUNDS asks for more, each with operands of its own. */
const ROUNDS = Math.max(1, Number(process.env.HYPERVUE_CPU_ROUNDS ?? 1));
const SEED = 64_2024;
const CASES = 10_000;

// struct record of native64.c.
const R_ENDS = CODE_SIZE;
const R_END = R_ENDS + 4;
const R_FLAGS = R_END + 4;
const R_WINDOW = R_FLAGS + 8;
const R_GPR = R_WINDOW + 8;
const R_DATA = R_GPR + 128;
const RECORD = R_DATA + 2 * WINDOW;
const FAULTED = 255;
const TSS = 0x1000;
const FAULT_STACK = 0x7000;
/** Where TestCpu.long() puts it. */
const IDT = 0xc000;
const FLAGS = 0xcd5n;

/** Linux calls LZCNT by the name of its group. */
function hostHas(feature: Feature): boolean {
  const flags = existsSync('/proc/cpuinfo') ? /^flags.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0].split(/\s+/) : undefined;
  return flags?.includes(feature === 'lzcnt' ? 'abm' : feature) ?? false;
}

let folder: string | undefined;
function native(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  if (folder) return path.join(folder, 'native64');
  folder = mkdtempSync(path.join(tmpdir(), 'hostcpu64-'));
  try {
    execFileSync('gcc', ['-O1', '-no-pie', '-Wl,-Ttext-segment=0x10000000', '-o', path.join(folder, 'native64'), SOURCE], {
      stdio: 'ignore',
    });
    return path.join(folder, 'native64');
  } catch {
    return undefined;
  }
}

function pack(cases: readonly LongCase[]): Buffer {
  const input = Buffer.alloc(cases.length * RECORD);
  cases.forEach((c, n) => {
    const at = n * RECORD;
    input.set(c.code, at);
    input.set(c.ends, at + R_ENDS);
    input.writeBigUInt64LE(BigInt(c.flags), at + R_FLAGS);
    input.writeBigUInt64LE(BigInt(c.window), at + R_WINDOW);
    c.gpr.forEach((v, i) => {
      input.writeBigUInt64LE(v, at + R_GPR + 8 * i);
    });
    input.set(c.data, at + R_DATA);
  });
  return input;
}

const read64 = (t: TestCpu, at: number): bigint => BigInt(t.guest.read32(at)) | (BigInt(t.guest.read32(at + 4)) << 32n);

/** Differences between the host's results and ours. */
function compare(cases: readonly LongCase[], results: Buffer): string[] {
  const t = new TestCpu();
  t.long(CODE);
  const state = t.cpu.getState();
  state.segments.gs.base = BigInt(GS_BASE);
  // Faults are taken on a stack of their own (IST 1), so that they leave the code's alone.
  state.segments.tr = { selector: 0x28, base: BigInt(TSS), limit: 0x67, attributes: 0x8b };
  t.guest.write32(TSS + 0x24, FAULT_STACK);
  for (let vector = 0; vector < 32; vector++) t.ram[IDT + 16 * vector + 4] = 1;
  const wrong: string[] = [];
  cases.forEach((c, n) => {
    const at = n * RECORD;
    t.ram.fill(0xcc, CODE, CODE + 256);
    t.put(CODE, ...c.code);
    for (const end of c.ends) t.put(CODE + end, 0xf4);
    t.ram.fill(0, DATA - 0x1000, DATA + 0x1000);
    t.ram.fill(0, EDGE - 0x1000, EDGE);
    t.put(c.window, ...c.data);
    state.gpr = c.gpr.slice();
    state.rip = BigInt(CODE);
    state.rflags = BigInt(c.flags);
    state.halted = false;
    t.cpu.setState(state);
    const end = t.untilHalt(5000);
    const say = (what: string): void => {
      wrong.push(`#${n} ${c.what} [${c.code.map((b) => b.toString(16).padStart(2, '0')).join(' ')}]: ${what}`);
    };
    const faulted = TestCpu.vectorOf(end) >= 0;
    const left = faulted ? FAULTED : c.ends.indexOf(Number(end.rip) - 1 - CODE);
    if (results[at + R_END] !== left) {
      say(`ended at ${left}${faulted ? ` (vector ${TestCpu.vectorOf(end)})` : ''}, not ${results[at + R_END]}`);
      return;
    }
    if (c.undefinedResult) return;
    for (let r = 0; r < 16; r++) {
      const theirs = results.readBigUInt64LE(at + R_GPR + 8 * r);
      // SS and RSP are the first that a fault pushes.
      const ours = faulted && r === 4 ? read64(t, FAULT_STACK - 16) : end.gpr[r]!;
      if (ours !== theirs) say(`register ${r} is ${ours.toString(16)}, not ${theirs.toString(16)}, was ${c.gpr[r]!.toString(16)}`);
    }
    if (Buffer.compare(results.subarray(at + R_DATA, at + RECORD), t.ram.subarray(c.window, c.window + 2 * WINDOW)) !== 0) say('memory');
    if (faulted) return;
    const flags = (results.readBigUInt64LE(at + R_FLAGS) ^ end.rflags) & FLAGS & ~BigInt(c.undefinedFlags);
    if (flags) say(`flags differ in ${flags.toString(16)}`);
  });
  return wrong;
}

describe('64-bit code against the host processor', () => {
  afterAll(() => {
    if (folder) rmSync(folder, { recursive: true, force: true });
  });
  const rows = plainRows(hostHas);
  const kinds: [string, (next: Next) => LongCase | undefined][] = [
    ['single instructions', (next) => singleCase(rows, next)],
    ['runs of instructions', (next) => runCase(rows, next)],
    ['stack, branch and string instructions', specialCase],
    ['single instructions where memory ends', (next) => singleCase(rows, next, true)],
    ['stack and string instructions where memory ends', (next) => specialCase(next, true)],
  ];
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, make] of kinds)
      it(`agree on registers, memory, faults and defined flags: ${name}, seed ${SEED + round}`, (context) => {
        const program = native();
        if (!program) {
          console.log('skipped: needs x86-64 Linux and gcc');
          context.skip();
          return;
        }
        const next = random(SEED + round);
        const cases: LongCase[] = [];
        while (cases.length < CASES) {
          const c = make(next);
          if (c) cases.push(c);
        }
        const { stdout } = spawnSync(program, { input: pack(cases), maxBuffer: 1 << 30 });
        expect(stdout.length).toBe(cases.length * RECORD);
        expect(compare(cases, stdout).slice(0, 20)).toEqual([]);
      });
});
