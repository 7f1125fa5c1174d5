/** An exported function that only other WebAssembly calls. */
export type WasmFunction = (...values: never[]) => unknown;

/** Exports of the interpreter module (interp/wasm/jit.ts, jitsystem.ts, jitregisters.ts, timestamp.ts) that the recompiler and its regions call. */
export interface InstallHelpers {
  jitInstall(host: number, mode: number, user: number, index: number): void;
  jitUninstall(host: number, mode: number, user: number, index: number): void;
  jitWatchPage(host: number, on: number): void;
  /** Byte of the shared memory where the page `delta` pages from the hot (or reporting) one begins, which is that of byte `host`; 0: unknown. */
  jitPageBeside(host: number, delta: number): number;
  /** Address of 1024 bytes, valid until the next call, that say where control went in the page (CodePage.reached); 0: nothing known. */
  jitReached(host: number, mode: number): number;
  jitDecode(record: number, host: number, mode: number): void;
}

/** By the names of HELPERS. */
export interface RegionHelpers {
  read: WasmFunction;
  readW: WasmFunction;
  write: WasmFunction;
  writeV: WasmFunction;
  exec: WasmFunction;
  flags: WasmFunction;
  condition: WasmFunction;
  settle: WasmFunction;
  system: WasmFunction;
  leave: WasmFunction;
  segment: WasmFunction;
  pushFlags: WasmFunction;
  popFlags: WasmFunction;
  timeStamp: WasmFunction;
  userAccess: WasmFunction;
  x87Arith: WasmFunction;
  x87Widen: WasmFunction;
  x87Narrow: WasmFunction;
  x87Integer: WasmFunction;
  missed: WasmFunction;
}

export type Helpers = InstallHelpers & RegionHelpers;

/** Indices of the imported functions of a region module, in the order of its import section. */
export const HELPER = {
  read: 0,
  readW: 1,
  write: 2,
  writeV: 3,
  exec: 4,
  flags: 5,
  condition: 6,
  settle: 7,
  missed: 8,
  system: 9,
  leave: 10,
  segment: 11,
  pushFlags: 12,
  popFlags: 13,
  timeStamp: 14,
  userAccess: 15,
} as const;
export const HELPERS = Object.keys(HELPER) as (keyof typeof HELPER)[];

/** Those for x87 instructions, imported after the others. */
export const X87_HELPER = {
  x87Arith: HELPERS.length,
  x87Widen: HELPERS.length + 1,
  x87Narrow: HELPERS.length + 2,
  x87Integer: HELPERS.length + 3,
} as const;
export const X87_HELPERS = Object.keys(X87_HELPER) as (keyof typeof X87_HELPER)[];
