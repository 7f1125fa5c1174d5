/** Runs records (record.ts) on the host processor (native.c) and on the interpreter, and compares the states after each. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestCpu } from '../../../core/cpu/interp/testing/testcpu.ts';
import { S_XMM } from '../../../core/cpu/interp/wasm/stateoffsets.ts';
import { FEATURES } from '../../../core/cpu/x86/features.ts';
import { CPU_STATE_BASE } from '../../../core/memory/layout.ts';
import { Random } from '../fp/record.ts';
import { DOUBLES, randomDouble, randomSingle, SINGLES } from '../fp/values.ts';
import { HOST_IS_AMD } from '../hostvendor.ts';
import { LANES } from '../integers.ts';
import { type Case, encode } from './encode.ts';
import {
  CODE,
  MEMORY,
  MEMORY_SIZE,
  NO_TRAP,
  R_FLAGS,
  R_GPR,
  R_LENGTH,
  R_MEMORY,
  R_MM,
  R_MXCSR,
  R_TRAP,
  R_YMM,
  RECORD_SIZE,
} from './record.ts';

/** Flags in /proc/cpuinfo without which the host cannot serve. */
const NEEDED = ['avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'adx', 'movbe', 'aes', 'pclmulqdq', 'sse4_2', 'abm'];

/** Why the host cannot serve as the reference, or undefined when it can. */
export function unavailable(): string | undefined {
  if (process.arch !== 'x64' || process.platform !== 'linux') return 'the reference is an x86-64 Linux host';
  if (spawnSync('gcc', ['--version']).error) return 'gcc is not installed';
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' '));
  const missing = NEEDED.filter((name) => !flags.has(name));
  return missing.length ? `this processor lacks ${missing.join(', ')}` : undefined;
}

let native: string | undefined;
export function dispose(): void {
  if (native) rmSync(native, { recursive: true, force: true });
  native = undefined;
}
function runOnHost(records: Uint8Array): Uint8Array {
  if (!native) {
    native = mkdtempSync(join(tmpdir(), 'hypervue-simd-'));
    execFileSync('gcc', ['-O1', '-Wall', '-o', join(native, 'native'), 'native.c'], { cwd: import.meta.dirname });
  }
  const result = spawnSync(join(native, 'native'), { input: records, maxBuffer: records.length + 65536 });
  if (result.status !== 0 || result.stdout.length !== records.length)
    throw new Error(`the host ended with ${result.status ?? result.signal} after ${result.stdout.length} of ${records.length} bytes`);
  return result.stdout;
}

const CR0 = 0x31n; // PE ET NE
const CR4 = 0x40600n; // OSFXSR OSXMMEXCPT OSXSAVE
const XCR0 = 7n;

let machine: TestCpu | undefined;
function runOnInterpreter(records: Uint8Array, mode: 32 | 64): Uint8Array {
  machine ??= allFeatures();
  return runRecords(machine, records, mode);
}

/** A machine whose processor has every feature. */
export function allFeatures(): TestCpu {
  const t = new TestCpu();
  t.features(...FEATURES);
  return t;
}

/** Runs every record, after `sled` NOPs. The code of a record is written only where it differs from the one before. */
export function runRecords(t: TestCpu, records: Uint8Array, mode: 32 | 64, sled = 0): Uint8Array {
  if (mode === 64) t.long(CODE - sled);
  else t.flat(CODE - sled);
  t.ram.fill(0x90, CODE - sled, CODE);
  let code = '';
  const template = t.cpu.getState();
  template.cr0 |= CR0;
  template.cr4 |= CR4;
  template.xcr0 = XCR0;
  template.fpu.status = 0;
  template.fpu.tag = 0;
  const ymm = new Uint8Array(t.memory.buffer, CPU_STATE_BASE + S_XMM, 512);
  const out = records.slice();
  for (let at = 0; at < out.length; at += RECORD_SIZE) {
    const view = new DataView(out.buffer, at, RECORD_SIZE);
    const length = view.getUint8(R_LENGTH);
    const bytes = [...out.subarray(at, at + length), 0xf4];
    if (bytes.join() !== code) {
      t.put(CODE, ...bytes);
      code = bytes.join();
    }
    t.ram.set(out.subarray(at + R_MEMORY, at + R_MEMORY + MEMORY_SIZE), MEMORY);
    const state = { ...template, gpr: [...template.gpr], rflags: (view.getBigUint64(R_FLAGS, true) & 0x8d5n) | 2n };
    for (let i = 0; i < 16; i++) if (i !== 4) state.gpr[i] = view.getBigUint64(R_GPR + i * 8, true) & (mode === 32 ? 0xffffffffn : -1n);
    state.mxcsr = view.getUint32(R_MXCSR, true);
    for (let i = 0; i < 8; i++) {
      state.fpu.registers.set(out.subarray(at + R_MM + i * 8, at + R_MM + i * 8 + 8), i * 10);
      state.fpu.registers.fill(0xff, i * 10 + 8, i * 10 + 10);
    }
    t.setState(state);
    ymm.set(out.subarray(at + R_YMM, at + R_YMM + 512));
    const end = t.untilHalt(5000);
    const vector = TestCpu.vectorOf(end);
    view.setUint32(R_TRAP, vector < 0 ? NO_TRAP : vector, true);
    view.setUint32(R_MXCSR, end.mxcsr, true);
    view.setBigUint64(R_FLAGS, end.rflags & 0x8d5n, true);
    for (let i = 0; i < 16; i++) if (i !== 4 && (mode === 64 || i < 8)) view.setBigUint64(R_GPR + i * 8, end.gpr[i]!, true);
    for (let i = 0; i < 8; i++) out.set(end.fpu.registers.subarray(i * 10, i * 10 + 8), at + R_MM + i * 8);
    out.set(ymm, at + R_YMM);
    out.set(t.ram.subarray(MEMORY, MEMORY + MEMORY_SIZE), at + R_MEMORY);
  }
  return out;
}

function drawMxcsr(random: Random): number {
  const kind = random.below(10);
  if (kind < 4) return 0x1fa0 | (random.chance(30) ? random.next() & 0x3f : 0);
  let v = 0x1f80 | (random.next() & 0x3f) | (random.below(4) << 13);
  if (random.chance(40)) v |= random.next() & 0x8040;
  if (kind >= 8) v &= ~(random.next() & 0x1f80) | ~0x1f80;
  return v & 0xffff;
}

/** Halves of interest: zeros, denormals, ones, largest, infinity, NaNs. */
const HALVES = [0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff, 0x7c00, 0x7e00, 0x7d01, 0x7fff];

/** 16 bytes of vector data; `texts` draws short byte strings, for the string comparisons. */
function drawVector(random: Random, view: DataView, at: number, data: Case['data'], texts: boolean): void {
  if (texts && random.chance(70)) {
    const end = random.below(20);
    const wide = random.chance(50);
    for (let i = 0; i < 16; i++) view.setUint8(at + i, (wide ? i >> 1 : i) >= end ? 0 : wide && i & 1 ? 0 : 97 + random.below(4));
    return;
  }
  const ordinary = random.chance(60);
  for (let i = 0; i < 16; i += 8) {
    if (data === 'f32') {
      for (const k of [0, 4])
        view.setUint32(at + i + k, Number(ordinary || random.chance(50) ? randomSingle(random) : random.pick(SINGLES)), true);
    } else if (data === 'f64') view.setBigUint64(at + i, ordinary || random.chance(50) ? randomDouble(random) : random.pick(DOUBLES), true);
    else if (data === 'f16')
      for (let k = 0; k < 8; k += 2)
        view.setUint16(at + i + k, random.chance(40) ? random.pick(HALVES) | (random.next() & 0x8000) : random.next() & 0xffff, true);
    else {
      const shape = random.below(10);
      view.setBigUint64(at + i, shape < 2 ? BigInt(random.below(80)) : shape < 4 ? random.pick(LANES) : random.big(), true);
    }
  }
}

/** One test of the instruction: its bytes and a start state. */
export function makeRecord(random: Random, c: Case, mode: 32 | 64): Uint8Array {
  const record = new Uint8Array(RECORD_SIZE);
  const view = new DataView(record.buffer);
  const { bytes } = encode(random, c, mode);
  record.set(bytes);
  record[R_LENGTH] = bytes.length;
  view.setUint32(R_MXCSR, c.data === 'int' ? 0x1f80 : drawMxcsr(random), true);
  view.setUint32(R_FLAGS, random.next() & 0x8d5, true);
  const texts = c.options.includes('texts');
  for (let i = 0; i < 16; i++) {
    let v = random.chance(30) ? random.pick(LANES) : random.big();
    if (texts) v = random.chance(90) ? BigInt(random.below(20)) : v;
    else if (random.chance(20)) v = BigInt(random.below(300));
    if (mode === 32) v &= 0xffffffffn;
    view.setBigUint64(R_GPR + i * 8, v, true);
  }
  for (const [r, offset] of [
    [6, 64],
    [7, 96],
    [14, 64],
  ] as const)
    view.setBigUint64(R_GPR + r * 8, BigInt(MEMORY + offset), true);
  const vsib = c.operands.some((o) => o[0] === 'X');
  for (let i = 0; i < MEMORY_SIZE; i += 16) drawVector(random, view, R_MEMORY + i, c.data, texts);
  for (let i = 0; i < 32; i++) drawVector(random, view, R_YMM + i * 16, c.data, texts);
  if (vsib)
    // Small indices in half of the registers (the others serve as masks), so that addresses stay inside the memory.
    for (let i = 0; i < 16; i += 2)
      for (let k = 0; k < 32; k += c.options.includes('q') ? 8 : 4) {
        const v = random.below(20) - 10;
        if (c.options.includes('q')) view.setBigInt64(R_YMM + i * 32 + k, BigInt(v), true);
        else view.setInt32(R_YMM + i * 32 + k, v, true);
      }
  for (let i = 0; i < 8; i++) view.setBigUint64(R_MM + i * 8, random.chance(30) ? random.pick(LANES) : random.big(), true);
  return record;
}

const hex = (v: number | bigint): string => v.toString(16);

/** What differs between two records after the instruction. */
export function differences(c: Case, mode: 32 | 64, got: DataView, want: DataView): string[] {
  const out: string[] = [];
  const check = (name: string, a: number | bigint, b: number | bigint): void => {
    if (a !== b) out.push(`${name}: got ${hex(a)}, want ${hex(b)}`);
  };
  check('trap', got.getUint32(R_TRAP, true), want.getUint32(R_TRAP, true));
  check('mxcsr', got.getUint32(R_MXCSR, true), want.getUint32(R_MXCSR, true));
  const trapped = want.getUint32(R_TRAP, true) !== NO_TRAP;
  const defined = ~(trapped ? 0 : c.undefinedFlags);
  check('flags', got.getUint32(R_FLAGS, true) & defined, want.getUint32(R_FLAGS, true) & defined);
  for (let i = 0; i < 16; i++) if (i !== 4) check(`r${i}`, got.getBigUint64(R_GPR + i * 8, true), want.getBigUint64(R_GPR + i * 8, true));
  // VZEROALL and VZEROUPPER reach only the registers that the mode has.
  for (let i = 0; i < (mode === 64 ? 16 : 8); i++)
    for (let k = 0; k < 32; k += 8) {
      const a = got.getBigUint64(R_YMM + i * 32 + k, true);
      const b = want.getBigUint64(R_YMM + i * 32 + k, true);
      if (a === b) continue;
      if (
        c.options.includes('relative') &&
        [0, 4].every((j) => near(got.getFloat32(R_YMM + i * 32 + k + j, true), want.getFloat32(R_YMM + i * 32 + k + j, true)))
      )
        continue;
      check(`ymm${i}+${k}`, a, b);
    }
  for (let i = 0; i < 8; i++) check(`mm${i}`, got.getBigUint64(R_MM + i * 8, true), want.getBigUint64(R_MM + i * 8, true));
  for (let i = 0; i < MEMORY_SIZE; i++) check(`memory+${i}`, got.getUint8(R_MEMORY + i), want.getUint8(R_MEMORY + i));
  return out.slice(0, 6);
}
/** RCPPS and RSQRTPS: twice 1.5 * 2^-12, because the host's estimate has an error of its own. */
function near(a: number, b: number): boolean {
  return Object.is(a, b) || Math.abs(a - b) <= (3 / 4096) * Math.abs(b);
}

const UD = 6;
const GP = 13;
/** MXCSR.MM, misaligned SSE mode (AMD's APM volume 2, "SSE MXCSR Register"), which the models do not have. */
const MXCSR_MM = 0x20000;

/** AMD's processors take VPERMQ and VPERMPD without W, let MXCSR.MM be set, and choose otherwise which of several NaNs comes out of DPPS and DPPD. */
function isAmdsOwn(c: Case, found: readonly string[], got: DataView, want: DataView): boolean {
  if (/^VPERM(Q|PD)/.test(c.name)) return got.getUint32(R_TRAP, true) === UD && want.getUint32(R_TRAP, true) === NO_TRAP;
  if (/^V?LDMXCSR/.test(c.name))
    return (
      got.getUint32(R_TRAP, true) === GP && want.getUint32(R_TRAP, true) === NO_TRAP && (want.getUint32(R_MXCSR, true) & MXCSR_MM) !== 0
    );
  if (!/^V?DPP/.test(c.name) || found.some((line) => !line.startsWith('ymm'))) return false;
  for (let at = R_YMM; at < R_YMM + 16 * 32; at += 4) {
    const same = got.getUint32(at, true) === want.getUint32(at, true);
    if (!same && !(Number.isNaN(got.getFloat32(at, true)) && Number.isNaN(want.getFloat32(at, true)))) return false;
  }
  return true;
}

/** Cases per instruction; HYPERVUE_SIMD_CASES asks for more. */
export function caseCount(usual: number): number {
  return Math.max(usual, Number(process.env.HYPERVUE_SIMD_CASES ?? 0));
}

/** Runs `count` cases of one instruction both ways; gives a description of the first few that differ. */
export function disagreements(c: Case, mode: 32 | 64, count: number): string[] {
  const random = new Random([...c.name].reduce((h, ch) => Math.imul(h, 31) + ch.charCodeAt(0), Number(mode)));
  const records = new Uint8Array(count * RECORD_SIZE);
  for (let i = 0; i < count; i++) records.set(makeRecord(random, c, mode), i * RECORD_SIZE);
  const want = runOnHost(records);
  const got = runOnInterpreter(records, mode);
  const found: string[] = [];
  for (let i = 0; i < count && found.length < 3; i++) {
    const at = i * RECORD_SIZE;
    const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_SIZE);
    const list = differences(c, mode, view(got), view(want));
    if (HOST_IS_AMD && isAmdsOwn(c, list, view(got), view(want))) continue;
    const code = [...records.subarray(at, at + records[at + R_LENGTH]!)].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    if (list.length > 0) found.push(`case ${i} [${code}]: ${list.join('; ')}`);
  }
  return found;
}
