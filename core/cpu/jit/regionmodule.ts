/** The WebAssembly module around the code of regions (core specification, 5.5): types, imports, functions, elements, hints. */
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { HELPERS, X87_HELPERS } from './helpers.ts';
import { REGION_TYPE } from './linkemitter.ts';
import { FUSED_FUNCTION_COUNT, FUSED_TYPE, fusedBodies } from './vexfma.ts';
import { FUNCREF, I32, I64, OP, WasmCode } from './wasmcode.ts';
import { X87_FUNCTION_COUNT, X87_FUNCTION_TYPE, x87Bodies } from './x87functions.ts';

/** Code of one region function. */
export interface RegionBody {
  /** Declarations of its locals, then its instructions. */
  code: Uint8Array<ArrayBuffer>;
  /** Offsets in `code` of branches that are nearly always (1) or hardly ever (0) taken. */
  hints: [offset: number, likely: number][];
  /** It calls the functions of x87functions.ts, of vexfma.ts. */
  x87: boolean;
  fused: boolean;
}

/** Index of X87_FUNCTION_TYPE, after the other types of a region module. */
const X87_TYPE = REGION_TYPE + 1;
const SIGNATURES: [parameters: number[], results: number[]][] = [
  [[I64, I32, I32, I32], [I64]],
  [[I64, I64, I32, I32, I32], [I32]],
  [[I64, I64, I64, I32, I32], [I32]],
  [[I32, I32, I64], [I32]],
  [[I32, I64, I64, I64], []],
  [[I32], [I32]],
  [[], []],
  [[I32, I64], [I32]],
  X87_FUNCTION_TYPE,
  [[I32, I32, I64, I32, I64], [I64]],
  [[I64, I32], [I64]],
  [[I32, I64, I32], [I64]],
  [[I32, I64], []],
  FUSED_TYPE,
  [[I32, I32], [I32]],
  [[], [I32]],
  [[I32], [I64]],
];
const FUSED = X87_TYPE + 5;
const TYPE_OF_HELPER = {
  read: 0,
  readW: 0,
  write: 1,
  writeV: 2,
  exec: 3,
  flags: 4,
  condition: 5,
  settle: 6,
  system: 3,
  leave: 3,
  segment: FUSED + 1,
  pushFlags: FUSED + 2,
  popFlags: 5,
  timeStamp: FUSED + 3,
  userAccess: 5,
  x87Arith: X87_TYPE + 1,
  x87Widen: X87_TYPE + 2,
  x87Narrow: X87_TYPE + 3,
  x87Integer: X87_TYPE + 3,
  missed: X87_TYPE + 4,
};
/** Of 64 KiB: what lies before the guest's memory. V8 lets accesses to constant addresses in it go unguarded, and merges them with others. */
const FIXED_PAGES = GUEST_RAM_BASE / 0x10000;
const IMPORTED = [...HELPERS, ...X87_HELPERS];
/** Function of a module that the regions' own code begins with: imports, then what regions share, have the same numbers in every module. */
export const FIRST_REGION = IMPORTED.length + X87_FUNCTION_COUNT + FUSED_FUNCTION_COUNT;

/** In place of shared functions that no region of the module calls. */
function nothing(section: WasmCode, count: number): void {
  for (let i = 0; i < count; i++) section.u32(3).u32(0).byte(OP.unreachable).end();
}

/**
 * Hints that V8 reads when it is told to (the compilation hints of its own, before the code section): a byte for each function, here to be compiled at
 * once, by the optimising compiler and no other.
 */
const COMPILATION_HINTS = 'compilationHints';
const OPTIMIZED_AT_ONCE = 0b10_10_10;

let begin: Uint8Array | undefined;

/** What every module begins with: types and imports. */
function head(): Uint8Array {
  if (begin) return begin;
  const types = new WasmCode().u32(SIGNATURES.length);
  for (const [parameters, results] of SIGNATURES) types.byte(0x60).u32(parameters.length).raw(parameters).u32(results.length).raw(results);
  const imports = new WasmCode().u32(IMPORTED.length + 4);
  for (const helper of IMPORTED) imports.name('h').name(helper).byte(0).u32(TYPE_OF_HELPER[helper]);
  imports.name('e').name('m').byte(2).byte(3).u32(FIXED_PAGES).u32(65536);
  imports.name('e').name('p').byte(3).byte(I32).byte(0);
  imports.name('e').name('i').byte(3).byte(I32).byte(0);
  imports.name('e').name('t').byte(1).byte(FUNCREF).byte(0).u32(1);
  begin = new WasmCode().raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]).section(1, types).section(2, imports).view();
  return begin;
}

/**
 * The binary module of these regions. It imports, from `e`, the memory, the table of regions, the number of the first region in that, and where the
 * memory of the module in the pool begins; it puts its regions into the table itself. `optimized`: V8 is to compile them by its optimising compiler only.
 */
export function regionModule(regions: readonly RegionBody[], optimized = false): Uint8Array<ArrayBuffer> {
  const code = WasmCode.scratch(256 + regions.reduce((sum, region) => sum + region.code.length + 5, 0));
  code.u32(X87_FUNCTION_COUNT + FUSED_FUNCTION_COUNT + regions.length);
  if (regions.some(({ x87 }) => x87)) x87Bodies(code);
  else nothing(code, X87_FUNCTION_COUNT);
  if (regions.some(({ fused }) => fused)) fusedBodies(code);
  else nothing(code, FUSED_FUNCTION_COUNT);
  for (const region of regions) code.u32(region.code.length).raw(region.code);
  const out = WasmCode.scratch(code.length + 4096).raw(head());
  const functions = new WasmCode().u32(X87_FUNCTION_COUNT + FUSED_FUNCTION_COUNT + regions.length);
  for (let i = 0; i < X87_FUNCTION_COUNT; i++) functions.u32(X87_TYPE);
  for (let i = 0; i < FUSED_FUNCTION_COUNT; i++) functions.u32(FUSED);
  for (let i = 0; i < regions.length; i++) functions.u32(REGION_TYPE);
  out.section(3, functions);
  const elements = new WasmCode().u32(1).u32(0).byte(OP.globalGet).u32(1).end().u32(regions.length);
  for (let i = 0; i < regions.length; i++) elements.u32(FIRST_REGION + i);
  out.section(9, elements);
  const hinted = regions.flatMap(({ hints }, i) => (hints.length ? [{ hints, i }] : []));
  if (hinted.length) {
    // Before the code section; offsets count from the function's local declarations.
    const section = new WasmCode().name('metadata.code.branch_hint').u32(hinted.length);
    for (const { hints, i } of hinted) {
      section.u32(FIRST_REGION + i).u32(hints.length);
      for (const [offset, likely] of hints) section.u32(offset).u32(1).byte(likely);
    }
    out.section(0, section);
  }
  if (optimized) {
    const count = X87_FUNCTION_COUNT + FUSED_FUNCTION_COUNT + regions.length;
    const section = new WasmCode().name(COMPILATION_HINTS).u32(count);
    for (let i = 0; i < count; i++) section.byte(OPTIMIZED_AT_ONCE);
    out.section(0, section);
  }
  out.section(10, code);
  code.release();
  const module = out.view().slice();
  out.release();
  return module;
}
