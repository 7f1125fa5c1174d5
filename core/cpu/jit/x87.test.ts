import { afterEach, describe, expect, it, vi } from 'vitest';
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import type { CpuState } from '../cpustate.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { SJ_INSTRUCTIONS, SJ_STEPS } from '../interp/wasm/jitoffsets.ts';

const CODE = 0x10000;
const SOURCE = 0x20000;
const TARGET = 0x24000;
const TURNS = 120;
/** Random programs of each mode; HYPERVUE_X87_PROGRAMS asks for more. */
const PROGRAMS = Number(process.env.HYPERVUE_X87_PROGRAMS ?? 40);
const TS = 8n;
const NE = 0x20n;

type Mode = 32 | 64;

/** Deterministic random numbers. */
class Random {
  private state: number;
  constructor(seed: number) {
    this.state = Math.imul(seed, 0x9e3779b1) | 1;
  }
  below(n: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (Math.imul(x, 0x85ebca6b) >>> 8) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const DOUBLES = [0, -0, 1, -1.5, 0.1, Math.PI, -2e10, 1e-300, 5e-324, 1e300, -7, 12345.678, 0.5, 1e-5, Infinity, NaN];

interface Run {
  control: number;
  /** Registers in use, from R7 downward, and TOP there; tags as they are otherwise. */
  depth: number;
  status?: number;
  patch?: (state: CpuState) => void;
}

/** MOV ECX, turns; body; DEC ECX; JNZ; HLT. */
function loop(body: number[], mode: Mode): number[] {
  const dec = mode === 32 ? [0x49] : [0xff, 0xc9];
  const back = -(body.length + dec.length + 6);
  return [0xb9, TURNS & 0xff, TURNS >> 8, 0, 0, ...body, ...dec, 0x0f, 0x85, back & 0xff, (back >> 8) & 0xff, 0xff, 0xff, 0xf4];
}

function registers(depth: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(80);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 8; i++) {
    view.setUint32(i * 10, i < 8 - depth ? i + 1 : random.below(1 << 24) << (8 * random.below(2)), true);
    view.setUint32(i * 10 + 4, 0x80000000 | (random.below(1 << 24) << 7), true);
    view.setUint16(i * 10 + 8, 0x3ffc + random.below(8) + 0x8000 * random.below(2), true);
  }
  return bytes;
}

function outcomes(accelerator: string, body: number[], mode: Mode, runs: Run[], seed: number) {
  vi.stubEnv('HYPERVUE_ACCEL', accelerator);
  const t = new TestCpu();
  if (mode === 32) t.features('sse3');
  t.put(CODE, ...loop(body, mode));
  const data = new DataView(t.memory.buffer, t.ram.byteOffset);
  const seen = runs.map((run) => {
    const random = new Random(seed);
    for (let i = 0; i < 64; i++) {
      if (random.below(3))
        data.setFloat64(SOURCE + i * 8, random.below(8) ? (random.below(20001) - 10000) / 7 : random.pick(DOUBLES), true);
      else {
        data.setFloat32(SOURCE + i * 8, random.below(4) ? (random.below(2001) - 1000) / 3 : random.pick(DOUBLES), true);
        data.setInt32(SOURCE + i * 8 + 4, random.below(2) ? random.below(100) - 50 : 0x40091234, true);
      }
    }
    t.ram.fill(0, TARGET, TARGET + 0x1000);
    const gprs = [0, 0, 0, 0, 0x8000, SOURCE + 8, SOURCE, TARGET, 0, 0, 0, 0, SOURCE, SOURCE + 16];
    if (mode === 32) t.flat(CODE, gprs);
    else t.long(CODE, gprs);
    t.patch((s) => {
      s.cr0 |= NE;
      s.cr4 = mode === 32 ? 0x600n : s.cr4;
      const top = (8 - run.depth) & 7;
      s.fpu.control = run.control;
      s.fpu.status = (top << 11) | (run.status ?? 0);
      s.fpu.tag = 0xffff >> (2 * run.depth);
      s.fpu.registers = registers(run.depth, random);
      run.patch?.(s);
    });
    const state = t.untilHalt();
    return { vector: TestCpu.vectorOf(state), state, stack: t.ram.slice(0x7f00, 0x8000), data: t.ram.slice(SOURCE, TARGET + 0x1000) };
  });
  const counter = (at: number) => Number(new DataView(t.memory.buffer).getBigUint64(CPU_STATE_BASE + at, true));
  return { seen, inRegions: counter(SJ_INSTRUCTIONS), steps: counter(SJ_STEPS) };
}

function expectSame(body: number[], mode: Mode, runs: Run[], seed = 1) {
  const want = outcomes('', body, mode, runs, seed);
  const got = outcomes('jit', body, mode, runs, seed);
  expect(got.seen).toEqual(want.seen);
  return got;
}

/** A program of random instructions that keeps the stack between what it starts with and full, except where it is told not to. */
class Program {
  readonly bytes: number[] = [];
  private readonly random: Random;
  private readonly mode: Mode;
  private readonly start: number;
  private depth: number;

  constructor(random: Random, mode: Mode, start: number) {
    this.random = random;
    this.mode = mode;
    this.start = start;
    this.depth = start;
  }

  private readonly reads: readonly [op: number, reg: number][] = [
    ...[0, 1, 4, 5, 6, 7].flatMap((reg): [number, number][] => [0xd8, 0xdc, 0xda, 0xde].map((op) => [op, reg])),
    [0xd8, 2],
    [0xdc, 2],
    [0xde, 2],
  ];
  private readonly stores: readonly [op: number, reg: number, pops: boolean][] = [
    [0xd9, 2, false],
    [0xd9, 3, true],
    [0xdd, 2, false],
    [0xdd, 3, true],
    [0xdb, 7, true],
    [0xdb, 2, false],
    [0xdb, 3, true],
    [0xdf, 2, false],
    [0xdf, 3, true],
    [0xdf, 7, true],
    [0xdd, 1, true],
    [0xdb, 1, true],
    [0xd9, 7, false],
    [0xdd, 7, false],
  ];

  /** Memory operand relative to the source or the target, through different bases and segments. */
  private memory(op: number, reg: number, target: boolean): void {
    const { random } = this;
    const disp = random.below(15) * 8;
    if (this.mode === 32 && !random.below(6)) this.bytes.push(random.pick([0x26, 0x36, 0x3e]));
    if (this.mode === 64 && !random.below(6)) this.bytes.push(random.pick([0x26, 0x36, 0x64]));
    if (target) this.bytes.push(op, 0x47 | (reg << 3), disp);
    else if (this.mode === 64 && !random.below(4)) {
      if (random.below(2)) this.bytes.push(0x41, op, 0x45 | (reg << 3), disp);
      else this.bytes.push(0x41, op, 0x44 | (reg << 3), 0x24, disp);
    } else this.bytes.push(op, random.pick([0x46, 0x45]) | (reg << 3), disp);
  }

  private st(): number {
    return this.random.below(Math.max(1, this.depth));
  }

  step(): void {
    const { random, bytes } = this;
    const kind = random.below(32);
    if (this.depth < 1 || (kind < 6 && this.depth < 8)) {
      this.depth++;
      if (kind < 4 || this.depth < 2) {
        const [op, reg] = random.pick([
          [0xd9, 0],
          [0xdd, 0],
          [0xdd, 0],
          [0xdb, 0],
          [0xdf, 0],
          [0xdf, 5],
          [0xdb, 5],
        ] as const);
        this.memory(op, reg, false);
      } else if (kind === 4) bytes.push(0xd9, 0xe8 + random.below(7));
      else bytes.push(0xd9, 0xc0 + random.below(this.depth - 1));
      return;
    }
    if (kind < 11) {
      const [op, reg, pops] = random.pick(this.stores);
      this.memory(op, reg, true);
      if (pops) this.depth--;
    } else if (kind < 16) this.memory(...random.pick(this.reads), false);
    else if (kind < 21) bytes.push(random.pick([0xd8, 0xdc]), 0xc0 + random.pick([0, 1, 4, 5, 6, 7]) * 8 + this.st());
    else if (kind < 23 && this.depth > 1) {
      bytes.push(0xde, 0xc0 + random.pick([0, 1, 4, 5, 6, 7]) * 8 + 1 + random.below(this.depth - 1));
      this.depth--;
    } else if (kind < 25) bytes.push(0xd9, 0xc8 + this.st());
    else if (kind === 25) bytes.push(0xdb, random.pick([0xe8, 0xf0]) + this.st());
    else if (kind === 26) bytes.push(random.pick([0xda, 0xdb]), 0xc0 + random.below(4) * 8 + this.st());
    else if (kind === 27) {
      // A comparison and what programs do with it: FNSTSW AX; SAHF or TEST; a jump over something.
      bytes.push(0xd8, 0xd0 + this.st(), 0xdf, 0xe0, 0x9e);
      this.skip();
    } else if (kind === 28) bytes.push(0xd9, random.pick([0xe0, 0xe1, 0xe4, 0xe5, 0xfa, 0xfc, 0xd0]));
    else if (kind === 29) bytes.push(...random.pick([[0x9b], [0xdd, 0xd0 + this.st()], [0xdb, 0xe2], [0xd9, 0xfd], [0xd9, 0xf8]]));
    else if (kind === 30) this.skip();
    else this.rare();
  }

  /** JNB, JZ and the like over an instruction that leaves the stack where it is, sometimes over one that does not. */
  private skip(): void {
    const { random } = this;
    const inner = new Program(random, this.mode, this.depth);
    inner.bytes.push(0xdc, 0xc0 + random.below(2) * 8 + this.st());
    if (!random.below(8)) inner.bytes.push(0xd9, 0xe8);
    this.bytes.push(random.pick([0x73, 0x74, 0x76, 0x7a]), inner.bytes.length, ...inner.bytes);
  }

  /** What is executed by the interpreter, or upsets the stack. */
  private rare(): void {
    const { random, bytes } = this;
    switch (random.below(11)) {
      case 0:
        bytes.push(0xd9, random.pick([0xf0, 0xfe, 0xff]));
        return;
      case 1:
        bytes.push(0xd9, random.pick([0xf6, 0xf7]));
        return;
      case 2:
        bytes.push(0xdd, 0xc0 + random.below(8));
        return;
      case 3:
        bytes.push(0xdf, 0xc0 + random.below(8));
        return;
      case 4:
        // MOVD MM1, EAX; EMMS.
        bytes.push(0x0f, 0x6e, 0xc8, 0x0f, 0x77);
        return;
      case 5:
        bytes.push(0xd9, 0xf4, 0xdd, 0xd8);
        return;
      case 6:
        // FNSTCW, OR, FLDCW: rounding toward zero or back.
        bytes.push(0xd9, 0x7f, 0x70, 0x80, random.pick([0x4f, 0x77]), 0x71, 0x0c, 0xd9, 0x6f, 0x70);
        return;
      case 7:
        // FXSAVE and FXRSTOR.
        bytes.push(0x0f, 0xae, 0x87, 0, 2, 0, 0, ...(random.below(2) ? [0xd9, 0xe8] : []), 0x0f, 0xae, 0x8f, 0, 2, 0, 0);
        return;
      case 8:
        // FNSTENV, which masks everything, and sometimes FLDENV.
        bytes.push(0xd9, 0x77, 0x50, ...(random.below(2) ? [0xd9, 0xe8, 0xd9, 0x67, 0x50] : []));
        return;
      case 9:
        // FNSTCW, AND, FLDCW: another precision.
        bytes.push(0xd9, 0x7f, 0x70, 0x80, 0x67, 0x71, random.pick([0x0c, 0x0e]), 0xd9, 0x6f, 0x70);
        return;
      default:
        bytes.push(0xdf, 0xe0, 0x66, 0x01, 0x47, 0x74);
    }
  }

  finish(): number[] {
    while (this.depth > this.start) {
      this.memory(0xdd, 3, true);
      this.depth--;
    }
    while (this.depth < this.start) {
      this.memory(0xdd, 0, false);
      this.depth++;
    }
    return this.bytes;
  }
}

const CONTROLS = [0x37f, 0x37f, 0x27f, 0x77f, 0xf7f, 0xb7f, 0x07f, 0x1332, 0x35f, 0x372, 0x37e];

describe('x87 instructions in regions', () => {
  afterEach(() => vi.unstubAllEnvs());

  describe.each([32, 64] as const)('%i-bit', (mode) => {
    let inRegions = 0;
    it.each(Array.from({ length: PROGRAMS }, (_, i) => i + 1))('random program %i does what the interpreter does', (seed) => {
      const random = new Random(seed * 2 + mode);
      const depth = random.below(5);
      const program = new Program(random, mode, depth);
      for (let i = 0, n = 4 + random.below(24); i < n; i++) program.step();
      const runs: Run[] = CONTROLS.map((control) => ({ control, depth }));
      runs.push({ control: 0x37f, depth: depth + 1 }, { control: 0x37f, depth: 8 });
      if (depth) runs.push({ control: 0x37f, depth: depth - 1 });
      inRegions += expectSame(program.finish(), mode, runs, seed).inRegions;
    });
    it('most of that happened in regions', () => {
      expect(inRegions).toBeGreaterThan(PROGRAMS * TURNS * 20);
    });

    const PLAIN: Run = { control: 0x37f, depth: 0 };
    // FLD m64; FMUL m64; FADD m64; FSTP m64.
    const plain = [0xdd, 0x46, 0x08, 0xdc, 0x4e, 0x18, 0xdc, 0x46, 0x28, 0xdd, 0x5f, 0x08];

    it('never leaves the region for ordinary values', () => {
      expect(expectSame(plain, mode, [PLAIN, PLAIN], 5).steps).toBeLessThan(5);
    });

    it('raises #NM and #MF where the interpreter does', () => {
      // FLDPI; FSQRT, which is inexact; FSTP.
      const { seen } = expectSame([0xd9, 0xeb, 0xd9, 0xfa, 0xdd, 0x5f, 0x08], mode, [
        PLAIN,
        { ...PLAIN, patch: (s) => void (s.cr0 |= TS) },
        { ...PLAIN, control: 0x37e, status: 0x8081 },
        { ...PLAIN, control: 0x35f },
      ]);
      expect(seen.map((s) => s.vector)).toEqual([-1, 7, 16, 16]);
    });

    it('leaves the state as it was before an instruction whose operand faults', () => {
      // FLD1; FLD1; FADD m64 beyond what is mapped, when EDX or EBX say so.
      const body = [0xd9, 0xe8, 0xd9, 0xeb, ...(mode === 32 ? [0xdc, 0x02] : [0xdc, 0x03]), 0xde, 0xc9, 0xdd, 0xd8];
      const at = (address: bigint) => (s: CpuState) => {
        s.gpr[mode === 32 ? 2 : 3] = address;
      };
      const ok = { ...PLAIN, patch: at(BigInt(SOURCE)) };
      // In 32 bits without paging nothing faults; what is not there reads as ones.
      const { seen } = expectSame(body, mode, [ok, { ...PLAIN, patch: at(0x7f_0000_0000n & (mode === 32 ? 0xffff_ffffn : ~0n)) }]);
      expect(seen[0]!.vector).toBe(-1);
      if (mode === 64) expect(seen[1]!.vector).toBe(14);
    });
  });
});
