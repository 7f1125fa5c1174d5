/**
 * What a debugger on the host (GDB stub, tests) asks of an accelerator. Nothing of it is visible to the guest: no memory byte, no debug
 * register and no flag changes. While any of it is active an accelerator may run slower, and one that runs compiled code interprets.
 */
export interface Watchpoint {
  /** Linear address of the first byte. */
  address: bigint;
  /** 1..4096. */
  length: number;
  kind: 'write' | 'read' | 'access';
}

export interface DebugSettings {
  /** Linear addresses: `run` gives 'debug' before the instruction there executes. */
  breakpoints: readonly bigint[];
  /** `run` gives 'debug' after the instruction that touched one. */
  watchpoints: readonly Watchpoint[];
}

/** Why `run` gave 'debug'. */
export type DebugStop =
  /** `address` is the linear one; it differs from RIP where the code segment has a base. */
  | { cause: 'breakpoint'; address: bigint; rip: bigint }
  /** `watchpoint` is one of the settings; `address` the linear address that was touched. */
  | { cause: 'watchpoint'; watchpoint: Watchpoint; address: bigint }
  | { cause: 'step' };

/** Most of each that an accelerator takes. */
export const MAX_BREAKPOINTS = 1024;
export const MAX_WATCHPOINTS = 64;
