import type { CpuState, CpuStateV1 } from './cpustate.ts';
import type { DebugSettings, DebugStop } from './debugcontrol.ts';
import type { RegionSource } from './jit/codelisting.ts';
import type { AcceleratorStatistics } from './statistics.ts';

/** Why `run` came back. */
export type CpuExit =
  /** The budget is used up, or `requestExit` was called. */
  | 'budget'
  /** HLT with no interrupt pending. */
  | 'halt'
  /** Triple fault: the machine resets. */
  | 'shutdown'
  /** A debug request (breakpoint, single step) from the host. */
  | 'debug';

/** What the CPU needs from the board. All called on the machine thread from inside `run`. */
export interface CpuBus {
  portRead(port: number, size: 1 | 2 | 4): number;
  portWrite(port: number, value: number, size: 1 | 2 | 4): void;
  /** For REP INS: PortHandler.readMany. Absent: no port has it. */
  portReadMany?(port: number, size: 1 | 2 | 4, into: Uint8Array): number;
  /** For REP OUTS: PortHandler.writeMany. */
  portWriteMany?(port: number, size: 1 | 2 | 4, from: Uint8Array): number;
  /** `gpa` is a guest-physical byte address (a whole number); values are unsigned. The CPU splits accesses wider than 4 bytes. */
  mmioRead(gpa: number, size: 1 | 2 | 4): number;
  mmioWrite(gpa: number, value: number, size: 1 | 2 | 4): void;
  /** INTA cycle: the vector of the highest pending interrupt, which becomes in service; -1 when it went away (spurious). */
  acknowledgeInterrupt(): number;
  /** IA32_APIC_BASE was written by WRMSR; the value is that of bits 0..35. */
  apicBaseChanged(value: number): void;
  /** Time stamp counter value; whole number. */
  readTsc(): number;
  /** The guest's own counter, which is `readTsc` and a difference, was set to `value` now. */
  tscWritten?(value: bigint): void;
  /** RDMSR of a register that a chip of the board has: IA32_TSC_DEADLINE, KVM's clock. */
  readMsr?(msr: number): bigint;
  /** WRMSR to one; false when the value is not allowed. */
  writeMsr?(msr: number, value: bigint): boolean;
}

/** Least argument of `endAfter`: compiled code may go this far before it looks at its budget again. */
export const END_AFTER_MIN = 1024;

/**
 * A CPU that runs guest code: interpreter, recompiler or KVM. One object is one vCPU.
 * All methods are called on the machine thread, except that any thread may store 1 into the exit-request word of the mailbox.
 */
export interface Accelerator {
  readonly name: string;
  /**
   * Runs `budget` instructions and a few more at most. `exact`: never one more, and 'budget' without a request to return means exactly `budget`;
   * the deterministic clock (machine/instructionclock.ts) counts on it. For that clock all accelerators also agree on what counts:
   * an instruction is one; a repeated string instruction is one and its elements are a fraction that depends on (E)CX alone (wasm/string.ts);
   * the delivery of an exception is one; that of an interrupt is none. Interrupts are looked for after every instruction that can enable them,
   * and at the beginning of each call.
   */
  run(budget: number, exact?: boolean): CpuExit;
  /**
   * From inside a bus callback of an exact run: the run ends exactly `instructions` (at least END_AFTER_MIN) after those that `instructions`
   * counts now, unless it ends before that anyway.
   */
  endAfter(instructions: number): void;
  /** Level of the INTR pin: the interrupt controllers have something to deliver. */
  setIntr(level: boolean): void;
  /** Latches a non-maskable interrupt. */
  nmi(): void;
  /** A20 gate: false masks address bit 20. */
  setA20(enabled: boolean): void;
  /** Processor reset: `hard` as the RESET pin, `init` as an INIT message (caches and FPU kept). */
  reset(kind: 'hard' | 'init'): void;
  /** Makes `run` return soon. Safe from inside bus callbacks. */
  requestExit(): void;
  /** Drops every cached translation: the physical map changed. */
  flushTlb(): void;
  /** Drops decoded code of the 4 KiB page at this byte offset of the shared memory. */
  invalidateCode(offset: number): void;
  getState(): CpuState;
  setState(state: CpuState | CpuStateV1): void;
  /** EFLAGS.IF: a maskable interrupt can end a HLT. */
  readonly interruptsEnabled: boolean;
  /** Instructions retired since creation; exact also inside bus callbacks, where the instruction that made the call is not in it yet. */
  readonly instructions: number;
  /** Breakpoints and watchpoints of a debugger on the host, replacing the ones before. */
  setDebug(settings: DebugSettings): void;
  /**
   * The next `run` executes one instruction (one element of a repeated string instruction; or delivers the exception it raises) and gives
   * 'debug'. Interrupts wait meanwhile, except that a halted processor takes one and stops at its handler.
   */
  armStep(): void;
  /** Why `run` gave 'debug', once; undefined when it did not. Disarms a step. */
  takeDebugStop(): DebugStop | undefined;
  /** Every compiled region counts for itself from now on, which costs some speed; or none does, as at first. */
  countRegions?(on: boolean): void;
  /** What the compiled regions were made of that hold the byte `host` of the shared memory; `delta`: pages from the entry's page to that byte's. */
  compiledAt?(host: number): { source: RegionSource; delta: number }[];
  /** What it counted since its creation. Cheap enough to be asked for several times a second. */
  statistics(): AcceleratorStatistics;
  dispose(): void;
}
