/** Runs codes from many states on the interpreter, the recompiler and the host, and makes what differs small. */
import type { CodeBits } from '../../../core/cpu/x86/disassemble.ts';
import { HOST_IS_AMD } from '../hostvendor.ts';
import { isAmdsOwn } from './amd.ts';
import { type Code, drawCode, listingOf } from './code.ts';
import { differences, instructionAt, repetitionOverwritten } from './compare.ts';
import { hasSegments, runOnHost } from './host.ts';
import * as L from './layout.ts';
import { FuzzMachine, hasTable, type HowToRun, isSystem, type Mode } from './machine.ts';
import { drawState } from './state.ts';
import { SELECTORS as V86_SELECTORS } from './v86.ts';

/** States that each code is run from. */
export const STATES = 5;
/** Codes whose cases are in memory at once. */
const BATCH = 400;
/** Instructions between two samples of the recompiler, by seed: regions of every length and entry. */
const PIECES = [1, 3, 20, 200, 5000];

export interface Finding {
  seed: number;
  state: number;
  /** What disagrees: the recompiler with the interpreter, or the interpreter with the host. */
  between: 'recompiler' | 'host';
  text: string;
}
export interface Totals {
  cases: number;
  /** Compared with the host. */
  onHost: number;
  /** Ended in nothing within the limit. */
  endless: number;
  /** Instructions of compiled regions. */
  compiled: number;
  findings: Finding[];
}

interface Machines {
  interpreter: FuzzMachine;
  recompiler: FuzzMachine;
}
const machines = new Map<Mode, Machines>();
const extraOf = (mode: Mode): 'system' | 'segments' | 'v86' | undefined =>
  isSystem(mode) ? 'system' : hasTable(mode) ? 'segments' : mode === 'v86' ? 'v86' : undefined;
const bitsOf = (mode: Mode): CodeBits => (mode === 'long' || mode === 'system' ? 64 : mode === 'segments16' || mode === 'v86' ? 16 : 32);

function machinesOf(mode: Mode): Machines {
  let known = machines.get(mode);
  if (!known) machines.set(mode, (known = { interpreter: new FuzzMachine(mode, 'interp'), recompiler: new FuzzMachine(mode, 'jit') }));
  return known;
}

const part = (records: Uint8Array, index: number): Uint8Array => records.subarray(index * L.RECORD_SIZE, (index + 1) * L.RECORD_SIZE);
const vectorOf = (record: Uint8Array): number => new DataView(record.buffer, record.byteOffset).getUint32(L.R_VECTOR, true);
const pieceOf = (seed: number): number => PIECES[(seed >>> 1) % PIECES.length]!;

function statesOf(mode: Mode, code: Code, seed: number): Uint8Array {
  const records = new Uint8Array(STATES * L.RECORD_SIZE);
  for (let i = 0; i < STATES; i++)
    drawState(
      part(records, i),
      code,
      (Math.imul(seed, 0x9e3779b1) + i * 0x85ebca6b) >>> 0,
      mode === 'v86' ? V86_SELECTORS : hasTable(mode),
    );
  return records;
}

/**
 * The first state leaves the code decoded. Then its beginning is compiled; or, for every other seed, the second state runs with a sample behind every
 * instruction, so that regions begin all over the code, and go on in the pages beside theirs. The last states of some seeds run in slices, out of and
 * into regions everywhere. Code of users also goes on from a state that was taken and set; that empties the TLB, and systems may have changed page tables.
 */
function howToRun(mode: Mode, seed: number, state: number): HowToRun {
  const forced = seed % 2 === 0;
  const slice = state > 1 && seed % 7 === 3 ? 1 + ((seed >>> 4) % 40) : undefined;
  return {
    piece: !forced && state === 1 ? 1 : pieceOf(seed),
    compile: forced && state > 0,
    slice,
    restore: seed % 3 === 0 && !isSystem(mode),
  };
}

function onRecompiler(machine: FuzzMachine, records: Uint8Array, seed: number): Uint8Array {
  const out = new Uint8Array(records.length);
  for (let i = 0; i < records.length / L.RECORD_SIZE; i++) machine.run(part(records, i), part(out, i), howToRun(machine.mode, seed, i));
  return out;
}

/** What hosts have beyond x86-64-v3: instructions that the table does not know, and VAES and VPCLMULQDQ. */
const NEWER = /\(bad\)|\bv(pclmul|aes).* ymm/;

/**
 * What the host is no reference for: calls of its kernel, instructions that its processor has and the guest's has not (then it executed them, or
 * faulted for another reason), and groups 6 and 7, which its kernel executes in place of the processor (UMIP).
 */
function beyond(got: Uint8Array, want: Uint8Array, code: Code): boolean {
  if (vectorOf(want) === L.END_SYSCALL) return true;
  const view = new DataView(want.buffer, want.byteOffset);
  const ripOf = (record: Uint8Array): bigint => new DataView(record.buffer, record.byteOffset).getBigUint64(L.R_RIP, true);
  const faultAt = (record: Uint8Array): bigint => new DataView(record.buffer, record.byteOffset).getBigUint64(L.R_CR2, true);
  if (vectorOf(got) === 6 && (vectorOf(want) !== 6 || ripOf(got) !== ripOf(want)) && NEWER.test(instructionAt(got, code))) return true;
  // Whether an access that reaches beyond 4 GiB is one beyond the limit (SDM volume 3, 5.3: may, or may not).
  const end = instructionAt(want, code);
  if (code.roles.bits !== 64 && vectorOf(want) === 13 && vectorOf(got) === 14 && ripOf(got) === ripOf(want) && /[fg]s:/.test(end))
    return true;
  // Whether the 16th byte of an instruction is fetched before 15 are found to be the most: hosts do and don't, depending on what the 15 are.
  const sixteenth = ripOf(got) + 15n;
  if (vectorOf(want) === 13 && vectorOf(got) === 14 && ripOf(got) === ripOf(want) && faultAt(got) === sixteenth && sixteenth % 4096n === 0n)
    return true;
  // Which accesses are checked for alignment, and before or after what else, differs.
  if (vectorOf(got) === 17 || vectorOf(want) === 17) return true;
  let at = L.R_CODE + Number(view.getBigUint64(L.R_RIP, true)) - view.getUint32(L.R_CODE_AT, true);
  if (at < L.R_CODE || at >= L.R_CODE2) return false;
  while (PREFIXES.has(want[at]!)) at++;
  return want[at] === 0x0f && want[at + 1]! < 2;
}
const PREFIXES = new Set([
  0x66,
  0x67,
  0xf2,
  0xf3,
  0xf0,
  0x2e,
  0x36,
  0x3e,
  0x26,
  0x64,
  0x65,
  ...Array.from({ length: 16 }, (_, i) => 0x40 | i),
]);

/** Differences for which nothing but a mistake accounts. */
function differencesFromHost(mode: Mode, start: Uint8Array, got: Uint8Array, want: Uint8Array, code: Code): string[] {
  if (beyond(got, want, code)) return [];
  const found = differences(got, want, code, true);
  if (!found.length || (HOST_IS_AMD && isAmdsOwn(found, got, want, code))) return [];
  return leftTheCode(mode, start, code) || overwritten(start, got, want, code) ? [] : found;
}

/** A repetition has written over itself on one of the two. */
const overwritten = (start: Uint8Array, got: Uint8Array, want: Uint8Array, code: Code): boolean =>
  repetitionOverwritten(start, got, code) || repetitionOverwritten(start, want, code);

/**
 * Executed instructions that were not drawn, from a return address that something wrote to: they may read or leave what is undefined, or be of those that
 * the host is not asked about. HLT is what lies behind the code.
 */
function leftTheCode(mode: Mode, start: Uint8Array, code: Code): boolean {
  const visited = new Set<number>();
  const end = new Uint8Array(L.RECORD_SIZE);
  machinesOf(mode).interpreter.run(start, end, { visited });
  const drawn = new Set(code.places.map(({ address }) => address));
  return [...visited].some((address) => {
    const second = address >= code.at2 && address < code.at2 + L.CODE2_SIZE;
    if (!second && (address < code.at || address >= code.at + L.CODE_SIZE)) return false;
    return !drawn.has(address) && start[second ? L.R_CODE2 + address - code.at2 : L.R_CODE + address - code.at] !== L.HLT;
  });
}

export interface RunOptions {
  mode: Mode;
  seed: number;
  codes: number;
  host: boolean;
  /** Stop after so many findings. */
  most?: number;
  minimise?: boolean;
}

/** System code, where both machines are compared after each case, with their system registers and memory. */
function fuzzSystem(options: RunOptions): Totals {
  const { mode } = options;
  const totals: Totals = { cases: 0, onHost: 0, endless: 0, compiled: 0, findings: [] };
  const compiledBefore = machinesOf(mode).recompiler.compiledInstructions;
  for (let i = 0; i < options.codes && totals.findings.length < (options.most ?? 10); i++) {
    const seed = (options.seed + i) >>> 0;
    const code = drawCode(seed, bitsOf(mode), extraOf(mode));
    const records = statesOf(mode, code, seed);
    totals.cases += STATES;
    const { found, state, endless } = systemDifference(mode, code, records, seed);
    totals.endless += endless;
    if (found.length)
      totals.findings.push({
        seed,
        state,
        between: 'recompiler',
        text: describe(options, code, records, state, 'recompiler', found, seed),
      });
  }
  totals.compiled = machinesOf(mode).recompiler.compiledInstructions - compiledBefore;
  return totals;
}

/** The first state of the code after which the machines differ. */
function systemDifference(mode: Mode, code: Code, records: Uint8Array, seed: number): { found: string[]; state: number; endless: number } {
  const { interpreter, recompiler } = machinesOf(mode);
  const want = new Uint8Array(L.RECORD_SIZE);
  const got = new Uint8Array(L.RECORD_SIZE);
  let endless = 0;
  for (let state = 0; state < records.length / L.RECORD_SIZE; state++) {
    interpreter.run(part(records, state), want);
    recompiler.run(part(records, state), got, howToRun(mode, seed, state));
    if (vectorOf(want) === L.END_BUDGET) {
      endless++;
      recompiler.takeMemory(interpreter);
      continue;
    }
    const found = differences(got, want, { ...code, unknown: 0, places: [] }, false);
    const [a, b] = [recompiler.systemState(), interpreter.systemState()];
    if (a !== b) found.push(firstDifference(a, b));
    const memory = Buffer.compare(recompiler.systemMemory, interpreter.systemMemory);
    if (memory) found.push('memory of the system');
    if (!found.length) continue;
    const lost = recompiler.tablesLost || interpreter.tablesLost;
    recompiler.takeMemory(interpreter);
    const start = part(records, state);
    if (!lost && !repetitionOverwritten(start, want, code) && !repetitionOverwritten(start, got, code)) return { found, state, endless };
  }
  return { found: [], state: 0, endless };
}

function firstDifference(a: string, b: string): string {
  let at = 0;
  while (a[at] === b[at]) at++;
  const from = Math.max(0, a.lastIndexOf('"', a.lastIndexOf('"', at) - 2) - 30);
  return `system state: ${a.slice(from, at + 30)}, not ${b.slice(from, at + 30)}`;
}

export function fuzz(options: RunOptions): Totals {
  if (isSystem(options.mode)) return fuzzSystem(options);
  const { mode } = options;
  const bits = bitsOf(mode);
  const { interpreter, recompiler } = machinesOf(mode);
  const totals: Totals = { cases: 0, onHost: 0, endless: 0, compiled: 0, findings: [] };
  const compiledBefore = recompiler.compiledInstructions;
  const most = options.most ?? 10;
  const host = options.host && (!(hasTable(mode) || mode === 'v86') || hasSegments());
  for (let first = 0; first < options.codes && totals.findings.length < most; first += BATCH) {
    const count = Math.min(BATCH, options.codes - first);
    const batch = Array.from({ length: count }, (_, i) => {
      const seed = (options.seed + first + i) >>> 0;
      const code = drawCode(seed, bits, extraOf(mode));
      const records = statesOf(mode, code, seed);
      const want = new Uint8Array(records.length);
      for (let k = 0; k < STATES; k++) interpreter.run(part(records, k), part(want, k));
      return { seed, code, records, want, got: onRecompiler(recompiler, records, seed) };
    });
    const asked = batch.flatMap((entry) =>
      entry.code.hostless || !host
        ? []
        : Array.from({ length: STATES }, (_, state) => ({ entry, state })).filter(
            ({ state }) => vectorOf(part(entry.want, state)) !== L.END_BUDGET,
          ),
    );
    const native = new Uint8Array(asked.length * L.RECORD_SIZE);
    asked.forEach(({ entry, state }, i) => {
      native.set(part(entry.records, state), i * L.RECORD_SIZE);
    });
    const answers = asked.length ? runOnHost(native) : native;
    totals.onHost += asked.length;
    const report = (entry: (typeof batch)[number], state: number, between: Finding['between'], found: string[]): void => {
      if (totals.findings.length >= most) return;
      const text = describe(options, entry.code, entry.records, state, between, found, entry.seed);
      totals.findings.push({ seed: entry.seed, state, between, text });
    };
    for (const entry of batch)
      for (let state = 0; state < STATES; state++) {
        totals.cases++;
        const want = part(entry.want, state);
        if (vectorOf(want) === L.END_BUDGET) {
          totals.endless++;
          continue;
        }
        const got = part(entry.got, state);
        const found = differences(got, want, entry.code, false);
        if (found.length && !overwritten(part(entry.records, state), got, want, entry.code)) {
          report(entry, state, 'recompiler', found);
          break;
        }
      }
    const reported = new Set<number>();
    asked.forEach(({ entry, state }, i) => {
      if (reported.has(entry.seed)) return;
      const want = part(answers, i);
      const got = part(entry.want, state);
      const found = differencesFromHost(mode, part(entry.records, state), got, want, entry.code);
      if (!found.length) return;
      reported.add(entry.seed);
      report(entry, state, 'host', found);
    });
  }
  totals.compiled = recompiler.compiledInstructions - compiledBefore;
  return totals;
}

/** Differences of `state` with other code bytes. */
function disagree(mode: Mode, code: Code, records: Uint8Array, state: number, between: Finding['between'], seed: number): string[] {
  const { interpreter, recompiler } = machinesOf(mode);
  if (isSystem(mode)) return systemDifference(mode, code, records.slice(0, (state + 1) * L.RECORD_SIZE), seed).found;
  const want = new Uint8Array(L.RECORD_SIZE);
  interpreter.run(part(records, state), want);
  if (vectorOf(want) === L.END_BUDGET) return [];
  const start = part(records, state);
  if (between === 'recompiler') {
    const got = part(onRecompiler(recompiler, records.slice(0, (state + 1) * L.RECORD_SIZE), seed), state);
    return overwritten(start, got, want, code) ? [] : differences(got, want, code, false);
  }
  return differencesFromHost(mode, start, want, runOnHost(start), code);
}

const kindsOf = (found: string[]): string => found.map((line) => line.split(/[:+]/)[0]).join();

/** NOPs out what the difference does not need. */
function minimise(
  mode: Mode,
  code: Code,
  records: Uint8Array,
  state: number,
  between: Finding['between'],
  seed: number,
): { records: Uint8Array; found: string[] } {
  let best = records.slice();
  let found = disagree(mode, code, best, state, between, seed);
  if (!found.length) return { records, found };
  const ends = code.places.map(({ address }, i) => {
    const next = code.places[i + 1]?.address ?? address + 1;
    return next > address && next - address <= 15 ? next : address + 1;
  });
  for (let i = code.places.length - 1; i >= 0; i--) {
    const { address, unknown } = code.places[i]!;
    // Without what defines flags again others would differ.
    if (unknown & ~(code.places[i + 1]?.unknown ?? unknown)) continue;
    const [start, offset] = address >= code.at && address < code.at + L.CODE_SIZE ? [code.at, L.R_CODE] : [code.at2, L.R_CODE2];
    const attempt = best.slice();
    for (let k = 0; k < STATES; k++) part(attempt, k).fill(0x90, offset + address - start, offset + ends[i]! - start);
    const now = disagree(mode, code, attempt, state, between, seed);
    if (now.length && kindsOf(now) === kindsOf(found)) {
      best = attempt;
      found = now;
    }
  }
  return { records: best, found };
}

function describe(
  options: RunOptions,
  code: Code,
  records: Uint8Array,
  state: number,
  between: Finding['between'],
  found: string[],
  seed: number,
): string {
  const { mode } = options;
  const bits = bitsOf(mode);
  const small = options.minimise === false ? { records, found } : minimise(mode, code, records, state, between, seed);
  const record = part(small.records, state);
  const view = new DataView(record.buffer, record.byteOffset);
  const end = new Uint8Array(L.RECORD_SIZE);
  machinesOf(mode).interpreter.run(record, end);
  const endView = new DataView(end.buffer);
  const withoutNops = (lines: string[]): string[] => lines.filter((line) => !/ 90 +nop$/.test(line));
  const lines = [
    between === 'recompiler' ? 'The recompiler and the interpreter disagree:' : 'The interpreter and the host disagree:',
    ...(small.found.length ? small.found : [...found, '(not when run again)']).slice(0, 10).map((line) => `  ${line}`),
    ...withoutNops(listingOf(record.subarray(L.R_CODE, L.R_CODE + L.CODE_SIZE), code.at, bits)),
  ];
  const second = withoutNops(listingOf(record.subarray(L.R_CODE2, L.R_CODE2 + L.CODE2_SIZE), code.at2, bits));
  if (second.length > 1 || (second.length && !/ ret/.test(second[0]!))) lines.push('  function:', ...second);
  const names = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
  const registers = names
    .slice(0, bits === 64 ? 16 : 8)
    .map((name, r) => `${name}=${view.getBigUint64(L.R_GPR + r * 8, true).toString(16)}`);
  lines.push(`  from ${registers.join(' ')} flags=${view.getUint32(L.R_FLAGS, true).toString(16)}`);
  lines.push(
    `  interpreter: vector ${endView.getUint32(L.R_VECTOR, true)} error ${endView.getUint32(L.R_ERROR, true).toString(16)} at ${endView.getBigUint64(L.R_RIP, true).toString(16)} cr2 ${endView.getBigUint64(L.R_CR2, true).toString(16)}`,
  );
  lines.push(`  npx node tests/conformance/fuzz/fuzz.ts --mode ${mode} --seed ${seed} --codes 1`);
  return lines.join('\n');
}
