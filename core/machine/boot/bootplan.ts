import type { GuestMemory } from '../../memory/guestmemory.ts';

/** RAM below its end that SeaBIOS keeps for ACPI tables and its own data (BUILD_MAX_HIGHTABLE and MAX_ACPI), generously. */
export const FIRMWARE_TOP_BYTES = 512 * 1024;
/** Where parts of an image, and what is handed over beside them, may lie: between what the BIOS uses at boot and the boot ROM's own data. */
export const LOW_MEMORY_START = 0x8000;
export const LOW_MEMORY_END = 0x9a000;
/** The boot ROM's own data, below the EBDA. */
export const HANDOFF_SEGMENT = LOW_MEMORY_END / 16;
export const HIGH_MEMORY_START = 0x100000;

/** How the boot ROM enters an image once it is in memory. */
export type Entry =
  /** Real mode at segment:0 with DS = ES = FS = GS = SS = `dataSegment`. */
  | { mode: 'real'; codeSegment: number; dataSegment: number; stackPointer: number }
  /** 32-bit protected mode, paging off, EAX = `eax`, EBX = `ebx`. */
  | { mode: 'protected'; address: number; eax: number; ebx: number };

/** A checked image: what the boot ROM has done to memory, and where it jumps. */
export interface BootPlan {
  entry: Entry;
  /** Puts everything into guest memory. `memoryMap` is what INT 15h E820h answered: entries of 20 bytes. */
  load(memory: GuestMemory, memoryMap: Uint8Array): void;
}
