/**
 * The one map of a VM's shared WebAssembly.Memory. Every thread of a VM process and the AssemblyScript
 * interpreter agree on these byte offsets, so this file is compiled by both TypeScript and AssemblyScript:
 * plain `export const NAME = literal` only, values below 2^31 except GUEST_RAM_MAX, which only TypeScript reads.
 *
 * Everything except guest RAM has a fixed place; guest RAM comes last and is as large as the machine wants.
 */

/** AssemblyScript static data (`asc --memoryBase`): 1 MiB. */
export const AS_STATIC_BASE = 0x0000_1000;

/** CPU state block of vCPU 0 (see core/cpu/interp/wasm/state.ts): 64 KiB. */
export const CPU_STATE_BASE = 0x0010_0000;
export const CPU_STATE_SIZE = 0x0001_0000;

/** Mailbox words between threads (see core/memory/mailbox.ts): 4 KiB. */
export const MAILBOX_BASE = 0x0011_0000;

/** Display registers published by the VGA for the scan-out threads (see core/devices/display): 64 KiB. */
export const DISPLAY_REGS_BASE = 0x0012_0000;
export const DISPLAY_REGS_SIZE = 0x0001_0000;

/** Scratch for device <-> CPU block transfers (string I/O): 64 KiB. */
export const IO_SCRATCH_BASE = 0x0013_0000;
export const IO_SCRATCH_SIZE = 0x0001_0000;

/** Counters of compiled regions while somebody profiles them (core/cpu/jit/regioncounters.ts): 512 KiB. */
export const JIT_COUNTERS_BASE = 0x0014_0000;
export const JIT_COUNTERS_SIZE = 0x0008_0000;

/** When the run loop was last seen at a place of the memory, by hash of that (core/cpu/jit/codecache.ts): 64 KiB. */
export const JIT_USED_BASE = 0x001c_0000;
export const JIT_USED_SIZE = 0x0001_0000;

/** Software TLB of vCPU 0: 2 MiB, format private to the accelerators. */
export const TLB_BASE = 0x0020_0000;
export const TLB_SIZE = 0x0020_0000;

/**
 * Physical map: one u32 for each 4 KiB guest-physical page below 4 GiB (4 MiB).
 * Bits 31..12 = byte offset of the page in this memory, bits 11..0 = PM_* flags.
 * An entry of 0 is unmapped: the access goes to the MMIO bus.
 */
export const PHYS_MAP_BASE = 0x0040_0000;
export const PHYS_MAP_SIZE = 0x0040_0000;
/** Reads go straight to memory. */
export const PM_READ = 1;
/** Writes go straight to memory. Without it writes go to the MMIO bus, or are dropped when PM_ROM is set. */
export const PM_WRITE = 2;
/** Read-only memory: writes are dropped. */
export const PM_ROM = 4;

/**
 * Dirty map: one byte for each 4 KiB page of this memory (index = byte offset >> 12), 1 MiB.
 * A writer stores its data first, then 0xff here. Each consumer owns one bit, clears it first, then reads the data.
 */
export const DIRTY_MAP_BASE = 0x0080_0000;
export const DIRTY_MAP_SIZE = 0x0010_0000;
export const DIRTY_DISPLAY = 1;
export const DIRTY_SNAPSHOT = 2;
/** Nobody clears this one: a page of guest RAM without it holds the zeros that it began with. */
export const DIRTY_WRITTEN = 4;

/**
 * Code map: one byte for each 4 KiB page of this memory; nonzero when an accelerator holds decoded or
 * compiled code of that page. Whoever writes such a page other than through the CPU calls Accelerator.invalidate.
 */
export const CODE_MAP_BASE = 0x0090_0000;
export const CODE_MAP_SIZE = 0x0010_0000;

/** ROM images: VGA BIOS and option ROMs (up to 1 MiB), system BIOS or UEFI firmware (up to 4 MiB). */
export const ROM_BASE = 0x00a0_0000;
export const OPTION_ROM_BASE = 0x00a0_0000;
export const OPTION_ROM_MAX = 0x0010_0000;
export const BIOS_ROM_BASE = 0x00b0_0000;
export const BIOS_ROM_MAX = 0x0040_0000;

/** Decoded-record cache of the interpreter: 48 MiB, format private to it. */
export const DECODE_CACHE_BASE = 0x0100_0000;
export const DECODE_CACHE_SIZE = 0x0300_0000;

/** Records that compiled regions hand to the interpreter: the last 2 MiB of the decode cache's room, format private to the recompiler. */
export const JIT_POOL_BASE = 0x03e0_0000;
export const JIT_POOL_SIZE = 0x0020_0000;

/** Where compiled regions find each other: below the pool, format private to the recompiler (jitoffsets.ts). */
export const JIT_LINKS_BASE = 0x03d0_0000;
export const JIT_LINKS_SIZE = 0x0010_0000;

/** Which compiled region begins where: below the links, format private to the recompiler (jitmap.ts). */
export const JIT_MAP_BASE = 0x03c8_0000;
export const JIT_MAP_SIZE = 0x0008_0000;

/** Video memory: 32 MiB, of which the VGA uses what the machine gives it (16 MiB by default). */
export const VRAM_BASE = 0x0400_0000;
export const VRAM_MAX = 0x0200_0000;

/** Guest RAM: guest-physical 0 is here. */
export const GUEST_RAM_BASE = 0x0600_0000;
/** Most guest RAM one machine can have, bytes: below the PCI hole and within a 32-bit WebAssembly memory. */
export const GUEST_RAM_MAX = 3_221_225_472;
