/** The WebAssembly module around the code of a region (core specification, 5.5): types, imports, functions, hints. */
import type { Emitter } from './emitter.ts';
import { HELPERS, X87_HELPERS } from './helpers.ts';
import { REGION_TYPE } from './linkemitter.ts';
import { FUSED_FUNCTION_COUNT, FUSED_TYPE, fusedBodies } from './vexfma.ts';
import { FUNCREF, I32, I64, WasmCode } from './wasmcode.ts';
import { X87_FUNCTION_COUNT, X87_FUNCTION_TYPE, x87Bodies } from './x87functions.ts';

/** Index of X87_FUNCTION_TYPE, after the other types of a region module. */
const X87_TYPE = REGION_TYPE + 1;

/** The binary module of what `e` has emitted. */
export function regionModule(e: Emitter): Uint8Array<ArrayBuffer> {
  const out = new WasmCode().raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const types = new WasmCode();
  const signatures: [parameters: number[], results: number[]][] = [
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
  ];
  types.u32(signatures.length);
  for (const [parameters, results] of signatures) {
    types.byte(0x60).u32(parameters.length).raw(parameters).u32(results.length).raw(results);
  }
  out.section(1, types);
  const helpers = e.flow ? [...HELPERS, ...X87_HELPERS] : HELPERS;
  const imports = new WasmCode().u32(helpers.length + 3);
  const typeOfHelper = {
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
    x87Arith: X87_TYPE + 1,
    x87Widen: X87_TYPE + 2,
    x87Narrow: X87_TYPE + 3,
    x87Integer: X87_TYPE + 3,
    missed: X87_TYPE + 4,
  };
  for (const helper of helpers) imports.name('h').name(helper).byte(0).u32(typeOfHelper[helper]);
  imports.name('e').name('m').byte(2).byte(3).u32(1).u32(65536);
  imports.name('e').name('p').byte(3).byte(I32).byte(0);
  // The table of regions.
  imports.name('e').name('t').byte(1).byte(FUNCREF).byte(0).u32(1);
  out.section(2, imports);
  const functionCount = 1 + (e.flow ? X87_FUNCTION_COUNT : 0) + (e.usesFused ? FUSED_FUNCTION_COUNT : 0);
  const functions = new WasmCode().u32(functionCount).u32(REGION_TYPE);
  if (e.flow) for (let i = 0; i < X87_FUNCTION_COUNT; i++) functions.u32(X87_TYPE);
  if (e.usesFused) for (let i = 0; i < FUSED_FUNCTION_COUNT; i++) functions.u32(signatures.length - 1);
  out.section(3, functions);
  out.section(7, new WasmCode().u32(1).name('r').byte(0).u32(helpers.length));
  const locals = e.locals();
  if (e.c.hints.length) {
    // Before the code section; offsets count from the function's local declarations.
    const hints = new WasmCode().name('metadata.code.branch_hint').u32(1).u32(helpers.length).u32(e.c.hints.length);
    for (const [offset, likely] of e.c.hints)
      hints
        .u32(locals.length + offset)
        .u32(1)
        .byte(likely);
    out.section(0, hints);
  }
  const body = new WasmCode()
    .u32(locals.length + e.c.length)
    .raw(locals.view())
    .raw(e.c.view());
  const code = new WasmCode().u32(functionCount).raw(body.view());
  if (e.flow) x87Bodies(code);
  if (e.usesFused) fusedBodies(code);
  out.section(10, code);
  return out.view().slice();
}
