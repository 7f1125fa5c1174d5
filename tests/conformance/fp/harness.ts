/** Runs test records on the host processor (oracle.c) and on the interpreter (guestloop.asm), and compares. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SJ_INSTRUCTIONS } from '../../../core/cpu/interp/wasm/jitoffsets.ts';
import { CPU_STATE_BASE } from '../../../core/memory/layout.ts';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import { HOST_IS_AMD } from '../hostvendor.ts';
import { differences, differInUnderflow, type Tolerance } from './compare.ts';
import { NO_TRAP, R_EFLAGS, R_LENGTH, R_TRAP, Random, RECORD_SIZE } from './record.ts';

const here = import.meta.dirname;
const RECORDS = 0x40000;
const BATCH = 4096;

function withFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'hypervue-fp-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Why the host cannot serve as the reference, or undefined when it can. */
export function unavailable(): string | undefined {
  if (process.arch !== 'x64' || process.platform !== 'linux') return 'the reference for floating point is an x86-64 Linux host';
  for (const tool of ['gcc', 'nasm']) if (spawnSync(tool, ['--version']).error) return `${tool} is not installed`;
  return undefined;
}

let oracle: { path: string; folder: string } | undefined;
/** Compiles the oracle once; dispose() removes it. */
function oraclePath(): string {
  if (!oracle) {
    const folder = mkdtempSync(join(tmpdir(), 'hypervue-fp-'));
    const path = join(folder, 'oracle');
    execFileSync('gcc', ['-O1', '-Wall', '-o', path, 'oracle.c'], { cwd: here });
    oracle = { path, folder };
  }
  return oracle.path;
}
export function dispose(): void {
  if (oracle) rmSync(oracle.folder, { recursive: true, force: true });
  oracle = undefined;
}

export function runOnHost(records: Uint8Array): Uint8Array {
  const result = spawnSync(oraclePath(), { input: records, maxBuffer: records.length + 65536 });
  if (result.status !== 0 || result.stdout.length !== records.length)
    throw new Error(`the oracle ended with ${result.status ?? result.signal} after ${result.stdout.length} of ${records.length} bytes`);
  return result.stdout;
}

const images = new Map<boolean, Uint8Array>();
/** `fixed`: all records have the same instruction, written to SLOT beforehand. */
function guestImage(fixed: boolean): Uint8Array {
  let image = images.get(fixed);
  if (!image) {
    image = withFolder((folder) => {
      const path = join(folder, 'guestloop.bin');
      execFileSync('nasm', ['-f', 'bin', ...(fixed ? ['-dFIXED'] : []), '-o', path, 'guestloop.asm'], { cwd: here });
      return readFileSync(path);
    });
    images.set(fixed, image);
  }
  return image;
}
/** Where the instruction is executed. */
const SLOT = 0x11000 + 120;
const SLOT_BYTES = 15;

/** One interpreter for all tests: the state every record starts from is loaded in full. */
let interpreter: TestCpu | undefined;
export function runOnInterpreter(records: Uint8Array): Uint8Array {
  interpreter ??= new TestCpu();
  return run(interpreter, records, false);
}

/** One machine with a recompiler, whatever HYPERVUE_ACCEL says. The records have one instruction, so that its place becomes a region. */
let recompiler: TestCpu | undefined;
export function runInRegions(records: Uint8Array): Uint8Array {
  if (!recompiler) {
    const before = process.env.HYPERVUE_ACCEL;
    process.env.HYPERVUE_ACCEL = 'jit';
    recompiler = new TestCpu();
    if (before === undefined) delete process.env.HYPERVUE_ACCEL;
    else process.env.HYPERVUE_ACCEL = before;
  }
  return run(recompiler, records, true);
}
/** Guest instructions executed in regions so far. */
export function instructionsInRegions(): number {
  return recompiler ? Number(new DataView(recompiler.memory.buffer).getBigUint64(CPU_STATE_BASE + SJ_INSTRUCTIONS, true)) : 0;
}

function run(t: TestCpu, records: Uint8Array, fixed: boolean): Uint8Array {
  const out = records.slice();
  for (let from = 0; from < records.length; from += BATCH * RECORD_SIZE) {
    const part = out.subarray(from, Math.min(from + BATCH * RECORD_SIZE, out.length));
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < part.length; at += RECORD_SIZE) {
      part.fill(0x90, at + part[at + R_LENGTH]!, at + R_LENGTH);
      view.setUint32(at + R_TRAP, NO_TRAP, true);
    }
    t.guest.write(0x10000, guestImage(fixed));
    if (fixed) t.guest.write(SLOT, part.slice(0, SLOT_BYTES));
    t.guest.write(RECORDS, part);
    t.flat(0x10000, [0, 0, RECORDS + part.length, 0, 0x2fff0, RECORDS]);
    t.patch((s) => {
      s.cr0 = 0x31n;
      s.cr4 = 0x600n;
    });
    t.untilHalt(part.length * 2);
    part.set(t.ram.subarray(RECORDS, RECORDS + part.length));
    for (let at = 0; at < part.length; at += RECORD_SIZE) view.setUint32(at + R_EFLAGS, view.getUint32(at + R_EFLAGS, true) & 0x8d5, true);
  }
  return out;
}

/** Cases per instruction; HYPERVUE_FP_CASES asks for more. */
export function caseCount(usual: number): number {
  return Math.max(usual, Number(process.env.HYPERVUE_FP_CASES ?? 0));
}

/** Runs `count` cases of one instruction both ways; gives a description of the first few that differ. */
export function disagreements<I extends Tolerance & { name: string; bytes: readonly number[] }>(
  instruction: I,
  make: (random: Random, instruction: I, index: number) => DataView,
  count: number,
  run: (records: Uint8Array) => Uint8Array = runOnInterpreter,
): string[] {
  const random = new Random(instruction.bytes.reduce((h, b) => Math.imul(h, 31) + b + 1, 17));
  const records = new Uint8Array(count * RECORD_SIZE);
  for (let i = 0; i < count; i++) records.set(new Uint8Array(make(random, instruction, i).buffer), i * RECORD_SIZE);
  const want = runOnHost(records);
  const got = run(records);
  const found: string[] = [];
  for (let i = 0; i < count && found.length < 3; i++) {
    const at = i * RECORD_SIZE;
    const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_SIZE);
    const list = differences(view(got), view(want), instruction);
    if (list.length > 0 && !(HOST_IS_AMD && instruction.ownUnderflow && differInUnderflow(view(got), view(want))))
      found.push(`case ${i}: ${list.join('; ')}; start ${Buffer.from(records.subarray(at, at + RECORD_SIZE)).toString('hex')}`);
  }
  return found;
}
