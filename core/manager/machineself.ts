import type { Operation } from './operationwords.ts';
import type { Saying } from '../util/say.ts';
import type { Viewers } from '../contract/console.ts';
import type { LogEntry, VmStateName, VmStats } from '../contract/vm.ts';
import type { RunningVm } from '../engine/engine.ts';
import type { HypervueError } from '../util/errors.ts';
import type { Machine } from './machine.ts';
import type { MachineLocks } from './machinelocks.ts';
import type { PreflightParts } from './preflight.ts';

/** What a machine needs of the manager around it, and tells it. */
export interface MachineParts extends PreflightParts {
  /** An address for a network card that no machine of the library has. */
  newMac(): string;
  /** The name of another machine whose card has this address. */
  macOwner(mac: string, but: string): string | undefined;
  changed(machine: Machine): void;
  logged(machine: Machine, entry: LogEntry): void;
  /** New statistics of the running machine. */
  sampled(machine: Machine, stats: VmStats): void;
  /** Who looks at the machine, or what they may do, has changed. */
  viewed(machine: Machine, viewers: Viewers): void;
}

/** What the pieces that a machine consists of know of the whole. */
export interface MachineSelf {
  readonly id: string;
  readonly name: string;
  readonly folder: string;
  readonly parts: MachineParts;
  readonly locks: MachineLocks;
  state: VmStateName;
  /** Why it crashed, stands or can't be used. */
  problem: HypervueError | null;
  /** Its process, while there is one. */
  running(): RunningVm | undefined;
  /** Its process, in one of these states. Throws 'invalid-state'. */
  inState(operation: Operation, states: readonly VmStateName[]): RunningVm;
  wrongState(operation: Operation, what: Saying, fix?: Saying): HypervueError;
  record(level: LogEntry['level'], scope: string, message: string): void;
  /** The cables of a machine that is on are to lead where its cards say now. */
  moveCables(): Promise<void>;
  /** Tells the manager that the machine is another one now. */
  changed(): void;
}
