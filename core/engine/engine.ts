import type { ChannelViewer, ScreenText, Viewers, ViewingAction } from '../contract/console.ts';
import type { GdbListen } from '../contract/debug.ts';
import type { DriveId, DrivePolicy } from '../contract/drives.ts';
import type { ChannelKind } from '../contract/methods.ts';
import type { ByteChannel } from '../contract/transport.ts';
import type { UsbSelector } from '../contract/usb.ts';
import type { Drive, LogEntry, VmConfig, VmStateName, VmStats } from '../contract/vm.ts';
import type { ProfileRequest } from '../debug/readprofile.ts';
import type { GuestProfile } from '../cpu/statistics.ts';
import type { GdbArchitecture } from '../debug/registers.ts';
import type { Disposable } from '../util/disposable.ts';
import type { HypervueError } from '../util/errors.ts';
import type { Saying } from '../util/say.ts';

/** What an engine can do; the UI enables a control only when the capability is there, and shows `reason` otherwise. */
export interface EngineCapabilities {
  available: boolean;
  reason: Saying;
  pause: boolean;
  hotMediaChange: boolean;
  /** A running machine's state can be saved to a file and restored from it. */
  saveState: boolean;
  /** Snapshots of running machines, with their memory. */
  liveSnapshots: boolean;
  maxMemoryMiB: number;
  maxVcpus: number;
}

/** Runs machines: the built-in hypervisor, QEMU or a libvirt host. */
export interface Engine {
  readonly id: string;
  readonly name: string;
  capabilities(): Promise<EngineCapabilities>;
  /**
   * Resolves once the machine runs; rejects with a HypervueError that names the object and the way out. `watch` gets the machine before it starts,
   * to subscribe to what it says meanwhile. `restore`: goes on from a saved state instead of from power-on. `passphrase`
   * opens encrypted disks. `cables`: sockets of networks' processes, by network card.
   */
  start(
    config: VmConfig,
    folder: string,
    watch?: (vm: RunningVm) => void,
    restore?: RestoreFrom,
    passphrase?: string,
    cables?: { [card: string]: string },
  ): Promise<RunningVm>;
}

export interface RestoreFrom {
  /** Absolute path of the state file. */
  file: string;
  /** The file is removed before the guest runs on: what it does from then on would not fit it any more. */
  consume: boolean;
}

/** How far writing a state has come, in bytes, and a way to end it: the machine then goes on as if nothing had been, and nothing is left. */
export interface StateWatch {
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

export interface SnapshotRequest {
  /** Absolute path for the memory, processor and devices; null for the disks alone. */
  stateFile: string | null;
  /** Name of the snapshots inside the images. */
  tag: string;
  /** Ids of the drives whose images take part. */
  disks: string[];
}

export interface SnapshotTaken {
  /** How long the guest stood, milliseconds. */
  pauseMs: number;
  /** Size of the state file. */
  stateBytes: number;
  /** It was written in a hurry and can be packed. */
  packable: boolean;
}

export interface RevertRequest {
  /** Absolute path of the snapshot's memory, processor and devices. */
  stateFile: string;
  /** Name of the snapshots inside the images. */
  tag: string;
  /** Ids of the drives whose images have one. */
  disks: string[];
}

export interface DisplayMode {
  width: number;
  height: number;
  text: boolean;
  absolutePointer: boolean;
  /** A driver in the guest takes the size that a viewer asks for. */
  resizable: boolean;
}

/** A machine under way. Every method rejects with 'vm-crashed' or 'invalid-state' once it has ended. */
export interface RunningVm {
  readonly state: VmStateName;
  /** Process id of the machine's process on this host, where it has one. */
  readonly pid?: number | undefined;
  readonly display: DisplayMode | undefined;
  /** A PNG file of the screen as it was at the end, where the engine could take one. Set before 'off' or 'crashed' is told. */
  readonly lastPicture?: Uint8Array | undefined;
  /** `error` is set with 'crashed'. After 'off' or 'crashed' nothing more comes. */
  onState(listener: (state: VmStateName, error?: HypervueError) => void): Disposable;
  onDisplayMode(listener: (mode: DisplayMode) => void): Disposable;
  onLog(listener: (entry: LogEntry) => void): Disposable;
  onStats(listener: (stats: VmStats) => void): Disposable;
  pause(): Promise<void>;
  resume(): Promise<void>;
  reset(): Promise<void>;
  /** Presses the ACPI power button. */
  shutdown(): Promise<void>;
  /** Presses the ACPI power button, and starts the guest again once it has turned the machine off; the state stays 'running' all the time. */
  restart(): Promise<void>;
  forceOff(): Promise<void>;
  screenshot(maxWidth?: number): Promise<{ width: number; height: number; png: Uint8Array }>;
  screenText(): Promise<ScreenText | null>;
  /** `progress` hears of the characters typed. */
  typeText(text: string, delayMs: number, progress?: (done: number, total: number) => void): Promise<void>;
  cancelTyping(): Promise<void>;
  sendKeys(keys: readonly string[]): Promise<void>;
  changeMedium(drive: string, path: string | null, readOnly: boolean): Promise<void>;
  /** Plugs the cable of a network card into the socket of a network's process; null pulls it out. */
  plugCable(card: string, socket: string | null): Promise<void>;
  /** Gives the machine a USB device of this computer, takes it back, and which it has. */
  attachUsb(device: UsbSelector): Promise<void>;
  detachUsb(device: UsbSelector): Promise<void>;
  listUsb(): Promise<UsbSelector[]>;
  setDrivePolicy(drive: string, policy: DrivePolicy): Promise<void>;
  /** Makes the disk in a drive larger; the guest is told. */
  growDisk(drive: string, sizeBytes: number): Promise<void>;
  /** Plugs a USB drive into the machine, as the one with the number `at` of its drives. `passphrase`: of an encrypted image, when it is another than the machine's. */
  plugDrive(drive: Drive, at: number, passphrase?: string): Promise<void>;
  /** Pulls a USB drive out; what its guest has written by then is on stable storage, and the image is closed. */
  unplugDrive(drive: DriveId): Promise<void>;
  /** From now on the disk in a drive is the image at `file`, which reads as the one that is there now; that one is not written to any more. The guest notices nothing. */
  overlayDisk(drive: string, file: string): Promise<void>;
  /** Lets gdb attach; gives the line to type in gdb. */
  openGdb(address: GdbListen, architecture?: GdbArchitecture): Promise<{ command: string }>;
  closeGdb(): Promise<void>;
  /** Writes the state to `file`, then ends the machine ('off'). When it fails the machine goes on. */
  saveState(file: string, watch?: StateWatch): Promise<void>;
  /** Memory and disks of one moment, while the guest runs on. Leaves nothing when it fails. */
  snapshot(request: SnapshotRequest, watch?: StateWatch): Promise<SnapshotTaken>;
  /**
   * The machine, which is on, becomes what it was when the snapshot was taken, without a new process: consoles stay connected. Rejects with 'unsupported' when that can't be done now;
   * the machine goes on then. After another failure it is off, or still what it was.
   */
  revert(request: RevertRequest): Promise<void>;
  /** Deletes the snapshots called `tag` inside the images of these drives. */
  deleteDiskSnapshots(disks: string[], tag: string): Promise<void>;
  profile(options: ProfileRequest): Promise<GuestProfile>;
  /** `viewer` says who looks, when the channel is the picture. */
  openChannel(kind: ChannelKind, viewer?: ChannelViewer): Promise<ByteChannel>;
  /** Who looks at the picture; `you` is the id of the one with this key. */
  viewers(key?: string): Promise<Viewers & { you: string | null }>;
  setViewing(key: string, action: ViewingAction, viewer?: string): Promise<void>;
  onViewers(listener: (viewers: Viewers) => void): Disposable;
  /** A USB device of this computer that the machine had was pulled out. */
  onUsbGone(listener: () => void): Disposable;
  /** Holds a serial line in the break state for a moment. */
  serialBreak(port: number): Promise<void>;
}
