import type { GdbListen } from '../../contract/debug.ts';
import type { DriveId, DrivePolicy } from '../../contract/drives.ts';
import type { ScreenText, Viewers, ViewingAction } from '../../contract/console.ts';
import type { ErrorDto } from '../../contract/errors.ts';
import type { UsbSelector } from '../../contract/usb.ts';
import type { Drive, LogEntry, VmConfig, VmStateName, VmStats } from '../../contract/vm.ts';
import type { ProfileRequest } from '../../debug/readprofile.ts';
import type { GuestProfile } from '../../cpu/statistics.ts';
import type { GdbArchitecture } from '../../debug/registers.ts';
import type { DisplayMode, RestoreFrom, RevertRequest, SnapshotRequest, SnapshotTaken } from '../engine.ts';

/**
 * Messages between the manager's process and a VM process (core/vmprocess), over child_process IPC with `serialization: 'advanced'` or a utility
 * process's parent port. Structured-clone values only.
 */
export interface VmProcessStart {
  /** Opens encrypted disks; kept in memory only. */
  passphrase?: string;
  config: VmConfig;
  /** Absolute VM folder; relative drive paths resolve against it. */
  folder: string;
  /** Folder with bios-256k.bin and vgabios-stdvga.bin. */
  firmwareFolder: string;
  /** UEFI image for a machine with that firmware; looked for when absent. */
  uefiImage?: string;
  /** Where UEFI keeps its variables; in the VM folder when absent. */
  nvramFile?: string;
  /** Compiled interpreter. */
  cpuWasmPath: string;
  /** Where the VM process listens (Unix socket, or named pipe on Windows) for byte channels: the first line sent is `kind\n`. */
  channelSocket: string;
  /** Sockets of networks' processes that cables of network cards lead to, by card. */
  cables?: { [card: string]: string };
  /** Goes on from this state. */
  restore?: RestoreFrom;
}

export interface VmCalls {
  start: { params: VmProcessStart; result: null };
  pause: { params: null; result: null };
  resume: { params: null; result: null };
  reset: { params: null; result: null };
  shutdown: { params: null; result: null };
  restart: { params: null; result: null };
  forceOff: { params: null; result: null };
  screenshot: { params: { maxWidth?: number }; result: { width: number; height: number; png: Uint8Array } };
  screenText: { params: null; result: ScreenText | null };
  typeText: { params: { text: string; delayMs: number }; result: null };
  cancelTyping: { params: null; result: null };
  sendKeys: { params: { keys: string[] }; result: null };
  viewers: { params: { key?: string }; result: Viewers & { you: string | null } };
  setViewing: { params: { key: string; action: ViewingAction; viewer?: string }; result: null };
  serialBreak: { params: { port: number }; result: null };
  openGdb: { params: { address: GdbListen; architecture?: GdbArchitecture }; result: { command: string } };
  closeGdb: { params: null; result: null };
  profile: { params: ProfileRequest; result: GuestProfile };
  saveState: { params: { file: string }; result: null };
  snapshot: { params: SnapshotRequest; result: SnapshotTaken };
  revert: { params: RevertRequest; result: null };
  /** Ends `saveState` and `snapshot` calls that are under way with 'cancelled', unless they are done in the same breath. */
  cancelState: { params: null; result: null };
  deleteDiskSnapshots: { params: { disks: string[]; tag: string }; result: null };
  setDrivePolicy: { params: { drive: string; policy: DrivePolicy }; result: null };
  overlayDisk: { params: { drive: string; file: string }; result: null };
  growDisk: { params: { drive: string; sizeBytes: number }; result: null };
  /** As the drive with this number of all. */
  plugDrive: { params: { drive: Drive; at: number; passphrase?: string }; result: null };
  unplugDrive: { params: { drive: DriveId }; result: null };
  /** Null: the cable is pulled out. */
  plugCable: { params: { card: string; socket: string | null }; result: null };
  /** Of this computer. */
  attachUsb: { params: { device: UsbSelector }; result: null };
  detachUsb: { params: { device: UsbSelector }; result: null };
  listUsb: { params: Record<string, never>; result: UsbSelector[] };
  changeMedium: { params: { drive: string; path: string | null; readOnly: boolean }; result: null };
}
export type VmCallName = keyof VmCalls;

export type ToVmProcess = { [K in VmCallName]: { id: number; call: K; params: VmCalls[K]['params'] } }[VmCallName];

/** Sharp enough for the console of a machine that is off, in a few hundred kilobytes at most. */
export const LAST_PICTURE_WIDTH = 1280;

export type FromVmProcess =
  | { type: 'ready' }
  | { type: 'result'; id: number; result: unknown }
  | { type: 'error'; id: number; error: ErrorDto }
  /** Of the call with this id: bytes. */
  | { type: 'progress'; id: number; done: number; total: number }
  | { type: 'state'; state: VmStateName; error?: ErrorDto }
  | { type: 'display'; mode: DisplayMode }
  | { type: 'viewers'; viewers: Viewers }
  /** A USB device of this computer that the machine had was pulled out. */
  | { type: 'usbGone' }
  /** The screen as the machine leaves it, at most LAST_PICTURE_WIDTH wide: a PNG file. Before the state that ends it. */
  | { type: 'picture'; png: Uint8Array }
  | { type: 'log'; entry: LogEntry }
  | { type: 'stats'; stats: VmStats };

/**
 * A process of ours as its launcher sees it. The one seam between desktop and headless: Electron implements it with
 * utilityProcess.fork, the server with child_process.fork.
 */
export interface ProcessHandle<To, From> {
  readonly pid: number | undefined;
  send(message: To): void;
  onMessage(listener: (message: From) => void): void;
  /** Once; `signal` when a signal ended it. */
  onExit(listener: (code: number | null, signal: string | null) => void): void;
  /** Text the process wrote to stdout or stderr, for the log. */
  onOutput(listener: (text: string) => void): void;
  kill(): void;
}

export type VmProcessHandle = ProcessHandle<ToVmProcess, FromVmProcess>;

export interface ProcessLauncher<To = ToVmProcess, From = FromVmProcess> {
  /** Starts a process; `name` of the machine or network is for process listings. */
  launch(name: string): ProcessHandle<To, From>;
}
