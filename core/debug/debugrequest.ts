import type { CpuState } from '../cpu/cpustate.ts';
import type { DebugSettings, DebugStop } from '../cpu/debugcontrol.ts';
import type { RegionSource } from '../cpu/jit/codelisting.ts';
import type { GuestProfile } from '../cpu/statistics.ts';

/** Linear addresses go through the page tables that are current. */
export type AddressSpaceName = 'linear' | 'physical';

/** What a debugger asks of the machine thread. Plain data: it crosses threads. */
export type DebugRequest =
  /** The debugger comes or goes. Going removes its breakpoints. */
  | { op: 'attach' }
  | { op: 'detach' }
  | { op: 'state' }
  | { op: 'setState'; state: CpuState }
  | { op: 'read'; space: AddressSpaceName; address: bigint; length: number }
  | { op: 'write'; space: AddressSpaceName; address: bigint; bytes: Uint8Array }
  | { op: 'translate'; address: bigint }
  | { op: 'settings'; settings: DebugSettings }
  /** Lets the guest run: one instruction, or until something stops it. */
  | { op: 'go'; step: boolean }
  /** Stops the guest; the answer comes when it stands. */
  | { op: 'halt' }
  /** Compiled regions that hold the instruction at a linear address. */
  | { op: 'compiled'; address: bigint }
  /** Compiled regions count their entries and exits from now on, or no longer. */
  | { op: 'countRegions'; on: boolean }
  /** From the first one on, accesses to device registers are counted. */
  | { op: 'profile' };

/** Answers by `op`. */
export interface DebugAnswers {
  attach: null;
  detach: null;
  state: CpuState;
  setState: null;
  /** What could be read from the start; shorter than asked where memory ends. */
  read: Uint8Array;
  /** Bytes written. */
  write: number;
  /** Guest-physical address; null where nothing is mapped. */
  translate: bigint | null;
  settings: null;
  go: null;
  halt: null;
  /** With the linear address of each entry's page. */
  compiled: { source: RegionSource; linear: bigint }[];
  countRegions: null;
  profile: GuestProfile;
}

/** A debugger's view of a machine, from another thread than the guest's. */
export interface DebugTarget {
  /** Name shown by `monitor info name`. */
  readonly name: string;
  readonly running: boolean;
  request<K extends DebugRequest['op']>(request: Extract<DebugRequest, { op: K }>): Promise<DebugAnswers[K]>;
  /** The guest stopped: by itself (`stop`), by `halt` or somebody's pause (undefined). Comes after the machine stands. */
  onStopped(listener: (stop: DebugStop | undefined) => void): { dispose(): void };
  /** The machine is gone: turned off or crashed. */
  onEnded(listener: () => void): { dispose(): void };
  reset(): Promise<void>;
  kill(): Promise<void>;
}
