import type { VmProcessStart } from '../engine/builtin/protocol.ts';
import type { RerunOptions } from './machinemessages.ts';

/** What a caller may ask of a VmHost beyond the VM's own configuration. */
export interface VmHostOptions {
  start: VmProcessStart;
  /** Entry of the machine thread. */
  machineThread: URL;
  /** isa-debug-exit for tests. */
  debugExit?: boolean;
  /** Recording and replay; needs `timekeeping: 'instructions'`. */
  rerun?: RerunOptions;
  /** Called before anything runs with what tells machines apart that would not do the same; may throw. */
  checkMachine?: (fingerprint: string) => void;
  /** A halted guest with a clock of instructions sleeps no time at all. */
  unpaced?: boolean;
  /** Start paused, before the first instruction, for a debugger. */
  startPaused?: boolean;
}
