/** An exported function that only other WebAssembly calls. */
export type WasmFunction = (...values: never[]) => unknown;

/** Exports of the interpreter module (interp/wasm/jit.ts) that the recompiler and its regions call. */
export interface InstallHelpers {
  jitInstall(host: number, mode: number, index: number): number;
  jitUninstall(host: number, mode: number, index: number): void;
  jitWatchPage(host: number, on: number): void;
  jitDecode(record: number, host: number, mode: number): void;
}

/** By the names of emitter.ts HELPERS. */
export interface RegionHelpers {
  read: WasmFunction;
  readW: WasmFunction;
  write: WasmFunction;
  writeV: WasmFunction;
  exec: WasmFunction;
  flags: WasmFunction;
  condition: WasmFunction;
  settle: WasmFunction;
}

export type Helpers = InstallHelpers & RegionHelpers;
