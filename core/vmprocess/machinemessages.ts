import type { ErrorDto } from '../contract/errors.ts';
import type { BlockInfo } from '../backend/block.ts';
import type { DriveId } from '../contract/driveplaces.ts';
import type { Placement } from '../backend/placement.ts';
import type { BlockStatus } from '../backend/asyncblock.ts';
import type { CpuState } from '../cpu/cpustate.ts';
import type { DebugStop } from '../cpu/debugcontrol.ts';
import type { DebugRequest } from '../debug/debugrequest.ts';
import type { LogLevel } from '../util/logger.ts';
import type { DriveBay, MachineDefinition } from '../machine/definition.ts';
import type { TimedInput } from '../machine/inputschedule.ts';
import type { StateValue } from '../snapshot/snapshottable.ts';
import type { HostUsbRequest } from '../platform/usbfs/hostusbdevice.ts';
import type { UsbNews } from './remoteusb.ts';
import type { StateHash } from './statehash.ts';

/** Given to the machine thread when it starts (worker data); `port` carries everything afterwards. */
export interface MachineThreadData {
  memory: WebAssembly.Memory;
  definition: MachineDefinition;
  cpuWasm: WebAssembly.Module;
  /** Media present at start, by drive id. */
  media: { [drive: string]: BlockInfo };
  /** What both threads know of each card's cable, by card id. */
  cables: { [card: string]: SharedArrayBuffer };
  /** Message port to the compile thread; without it only the interpreter runs. */
  compilePort: unknown;
  port: unknown;
  /** With a clock of instructions only: what to tell of and what to do by itself. */
  rerun?: RerunOptions;
  /** A saved state follows with `restore` before anything runs. */
  restoring?: boolean;
}

/** What the machine thread saves: everything but RAM and video memory. */
export type MachineTree = { [part: string]: StateValue };

/** Answer to `saveState`: the machine stands now. */
export interface SavedMachine {
  tree: MachineTree;
  /** False: a drive was in the middle of a command, which will fail after a restore. */
  settled: boolean;
  /** The guest had been paused before. */
  wasPaused: boolean;
  /** Host time at which the guest stopped, epoch milliseconds with fractions. */
  stoppedAt: number;
}

export interface RerunOptions {
  /** Report every input that reaches the guest as `applied`. */
  record?: boolean;
  /** Inputs of a recording; others are ignored. */
  replay?: readonly TimedInput<InputMessage>[];
  /** Recompile all the same; for comparing with the interpreter. */
  recompile?: boolean;
  /** Pause at this machine time, nanoseconds, and report the state as `stopped`. */
  stopAt?: number;
}

/** Given to the compile thread. */
export interface CompileThreadData {
  memory: WebAssembly.Memory;
  port: unknown;
}

/** Requests that the machine thread answers with `done`. */
export type MachineCommand = 'pause' | 'resume' | 'reset' | 'powerButton' | 'stop' | 'cpuState' | 'stateHash' | 'saveState' | 'stand';

/** What the world does to the guest. */
export type InputMessage =
  | { t: 'media'; drive: string; info: BlockInfo | undefined }
  /** The medium in the drive has become larger. */
  | { t: 'resized'; drive: string; info: BlockInfo }
  | { t: 'key'; code: number; down: boolean }
  | { t: 'absolute'; x: number; y: number; buttons: number; width: number; height: number }
  | { t: 'relative'; dx: number; dy: number; buttons: number }
  /** The size that the picture had better have. */
  | { t: 'displaySize'; width: number; height: number }
  | { t: 'serialInput'; index: number; bytes: Uint8Array }
  | { t: 'serialBreak'; index: number }
  | { t: 'button'; button: 'reset' | 'power' }
  /** From the cable of a network card: a FrameBatch. */
  | { t: 'frames'; card: string; frames: Uint8Array<ArrayBuffer> }
  | { t: 'carrier'; card: string; up: boolean }
  /** Of a USB device of this computer. */
  | { t: 'usb'; news: UsbNews }
  /** A USB drive comes, with its image in it, or is pulled out. */
  | { t: 'plugDrive'; bay: DriveBay; info: BlockInfo | undefined }
  | { t: 'unplugDrive'; drive: DriveId };

/** What a guest asks of a drive; addresses and lengths are bytes. `fua`: on stable storage before it is answered. */
export type BlockOperation =
  | { op: 'read'; offset: number; views: readonly Uint8Array[] }
  | { op: 'write'; offset: number; views: readonly Uint8Array[]; fua?: true }
  | { op: 'flush' }
  | { op: 'discard'; offset: number; length: number }
  | { op: 'zero'; offset: number; length: number; unmap: boolean };
/** Answered with `blockDone`. */
export type BlockRequest = { t: 'block'; drive: string; id: number } & BlockOperation;

/** The machine thread may read and write there by itself. */
export interface Grant {
  places: readonly GrantedPlace[];
  /** Other for each medium of the process. */
  medium: number;
  /** Of the medium's DirectGate. */
  shared: SharedArrayBuffer;
}

/** Holds as long as `DirectGate.stamp` for it is `stamp`. */
export interface GrantedPlace {
  place: Placement;
  /** It may be taken back alone, not only with all others. */
  movable: boolean;
  stamp: number;
}

export type ToMachine =
  | { t: 'command'; id: number; command: MachineCommand }
  /** Answered with `done` as well. */
  | { t: 'debug'; id: number; request: DebugRequest }
  /**
   * Answered with `done`: the machine is the saved one; its memory was filled before. `changed`: it had run, and stood, and these pages of its memory were made other ones, by byte
   * offset / 4096.
   */
  | { t: 'restore'; id: number; tree: MachineTree; changed?: Uint32Array }
  | { t: 'blockDone'; drive: string; id: number; status: BlockStatus; grant?: Grant }
  | InputMessage;

export type FromMachine =
  | { t: 'started' }
  | { t: 'failed'; error: ErrorDto }
  | {
      t: 'done';
      id: number;
      error?: ErrorDto;
      cpuState?: CpuState;
      stateHash?: StateHash;
      debug?: unknown;
      saved?: SavedMachine;
      /** Of `stand`: nothing is under way that would come to its end later. */
      standsFree?: boolean;
      at?: number;
    }
  | { t: 'applied'; timed: TimedInput<InputMessage> }
  | { t: 'stopped'; stateHash: StateHash }
  | BlockRequest
  /** A network card sends: a FrameBatch. */
  | { t: 'frames'; card: string; frames: Uint8Array<ArrayBuffer> }
  /** What the guest asks of a USB device of this computer; a `submit` is answered with news that it has ended. */
  | ({ t: 'usb'; connector: number } & (
      | { op: 'submit'; id: number; request: HostUsbRequest }
      | { op: 'cancel'; id: number }
      | { op: 'reset' }
    ))
  /** There is room again for what comes on its cable. */
  | { t: 'framesTaken'; card: string }
  | { t: 'serialOutput'; index: number; bytes: Uint8Array }
  | { t: 'debugOutput'; bytes: Uint8Array }
  /** New contents of the flash memory from `offset`, bytes from its start. */
  | { t: 'flash'; offset: number; bytes: Uint8Array }
  /** ACPI S5. */
  | { t: 'powerOff'; stateHash?: StateHash }
  | { t: 'debugExit'; code: number }
  /** Triple fault; the machine was reset, as hardware does. */
  | { t: 'tripleFault' }
  /** HLT with interrupts off. */
  | { t: 'halted' }
  /** The guest stopped at what a debugger set. */
  | { t: 'debugStop'; stop: DebugStop }
  | { t: 'pointerMode'; absolute: boolean }
  | { t: 'leds'; leds: number }
  | { t: 'log'; level: LogLevel; scope: string; message: string };
