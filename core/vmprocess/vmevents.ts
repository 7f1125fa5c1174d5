import type { LogEntry, VmStats } from '../contract/vm.ts';
import type { DisplayMode } from '../engine/engine.ts';
import type { TimedInput } from '../machine/inputschedule.ts';
import type { LifecycleState } from '../machine/lifecycle.ts';
import { Emitter } from '../util/emitter.ts';
import type { HypervueError } from '../util/errors.ts';
import type { InputMessage } from './machinemessages.ts';
import type { StateHash } from './statehash.ts';

/** What a running machine tells those who run it. */
export class VmEvents {
  readonly onState = new Emitter<{ state: LifecycleState; error?: HypervueError }>();
  readonly onDisplayMode = new Emitter<DisplayMode>();
  /** A USB device of this computer that the machine had was pulled out. */
  readonly onUsbGone = new Emitter<null>();
  readonly onLog = new Emitter<LogEntry>();
  readonly onStats = new Emitter<VmStats>();
  readonly onDebugOutput = new Emitter<Uint8Array>();
  readonly onDebugExit = new Emitter<number>();
  /** While recording: an input reached the guest. */
  readonly onApplied = new Emitter<TimedInput<InputMessage>>();
  /** The machine came to the time at which it was to stop. */
  readonly onStopped = new Emitter<StateHash>();
  readonly onTripleFault = new Emitter<null>();
  /** HLT with interrupts off: nothing but a reset or NMI goes on from here. */
  readonly onHalted = new Emitter<null>();
}
