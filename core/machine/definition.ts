import type { BootEntry } from '../contract/boot.ts';
import type { CpuModel } from '../contract/cpumodels.ts';
import type { DriveId, DriveKind } from '../contract/drives.ts';
import type { NetPlace, NicModel } from '../contract/networks.ts';

/** A drive bay of the `pc` machine; whether a medium is in it is the BlockDevice's business. */
export interface DriveBay {
  id: DriveId;
  kind: DriveKind;
  /** False: every write is on stable storage before it is answered, and the guest sees no write cache. */
  writeCache: boolean;
}

/** A network card; where its cable leads is the PacketBackend's business. */
export interface CardBay {
  id: NetPlace;
  model: NicModel;
  /** `52:54:00:12:34:56`. */
  mac: string;
  /** Expansion ROM that starts a system from the network: of cards in the boot order. */
  bootRom?: Uint8Array;
}

export interface BootImages {
  kernel: Uint8Array;
  initrd: Uint8Array | undefined;
}

/** Images for direct boot, already read into memory. */
export interface DirectBoot extends BootImages {
  /** Files that they were read from. */
  files?: { kernel: string; initrd: string | undefined };
  /** Reads them once more: then they are let go as soon as the guest has them. May throw. */
  again?: () => BootImages;
  /** The guest has them from before. */
  booted?: boolean;
  cmdline: string;
  /** Name of the kernel file, for messages. */
  label: string;
}

/** Everything the board needs to know, independent of files and hosts. */
export interface MachineDefinition {
  name: string;
  /** RFC 4122, for SMBIOS. */
  uuid: string;
  cpuModel: CpuModel;
  /** Bytes, a multiple of 1 MiB. */
  ramBytes: number;
  /** Bytes, a power of two from 1 MiB to 32 MiB. */
  vramBytes: number;
  /** A VirtIO display that is a VGA too, with GPU_MEMORY_BYTES behind guest RAM; a VGA alone when absent. */
  display?: 'virtio';
  /** System BIOS image (SeaBIOS), up to 1 MiB. */
  bios: Uint8Array;
  /** VGA BIOS image. */
  vgaBios: Uint8Array;
  drives: DriveBay[];
  cards: CardBay[];
  /** A USB controller, and whether a tablet is plugged into it; none when absent. */
  usb?: { tablet: boolean };
  bootOrder: BootEntry[];
  bootMenu: boolean;
  /** How long the firmware waits for the key of its menu; as long as it likes when absent. */
  bootMenuSeconds?: number | undefined;
  directBoot: DirectBoot | undefined;
  /** 0 to 2 16550A ports: COM1, COM2. */
  serialPorts: number;
  hpet: boolean;
  /** Offers what guests under KVM make use of: its clock, frequencies, the APIC timer's deadline mode. */
  paravirt: boolean;
  /**
   * What machine time is made of: the host's clock, or the instructions executed, so that every run is the same (InstructionClock). `startMs`: wall
   * time at the start, epoch milliseconds; `paced`: a halted guest sleeps for as long as on real hardware instead of no time at all.
   */
  time: { source: 'host' } | { source: 'instructions'; startMs: number; paced: boolean };
  /** Added to UTC for the real-time clock, milliseconds (time zone of the host for `localtime`). */
  clockOffsetMs: number;
  /** isa-debug-exit at port 0xF4 and the test device, for tests. */
  debugExit: boolean;
}
