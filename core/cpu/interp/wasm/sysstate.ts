/**
 * Private words of the system half of the interpreter, inside S_SCRATCH_SYSTEM (0x1c00..0x1fff of the state block), and a few beside S_FAULT_*.
 * None of it is architectural except where noted; refreshState() in reset.ts rebuilds all of it from the architectural fields.
 */

export { S_FEATURES as SY_FEATURES, S_LINEAR_MASK as SY_LINEAR_MASK } from './stateoffsets';

/** u32: base of the TLB tables for the current privilege: TLB_SUP or TLB_USER. */
export { SY_TLB_CUR } from './jitoffsets';
/** u32: counts TLB flushes and INVLPGs, so that a cached code translation can be checked with one compare. */
export const SY_TLB_GEN = 0x1c04;
/** u32: entries in the lists of filled TLB slots, for non-global and global pages. */
export const SY_LOCAL_COUNT = 0x1c08;
export const SY_GLOBAL_COUNT = 0x1c0c;
/** u32: event now being delivered: 0 = none, else vector + 1, with DELIVER_INTERRUPT for interrupts (a benign first event). */
export const SY_DELIVER = 0x1c10;
export const DELIVER_INTERRUPT = 0x100;
/** u32: value of the EXT bit of error codes while an event is delivered. */
export const SY_DELIVER_EXT = 0x1c14;
/** u32: nonzero when DR7 enables a data breakpoint (bit 0: on writes, bit 1: on reads and writes). */
export const SY_WATCH = 0x1c18;
/** u32: DR6 bits B0..B3, BT found by the current instruction, to be reported when it ends. */
export const SY_DB_PENDING = 0x1c1c;
/**
 * u32: nonzero when DR7 enables any breakpoint, or a trap is pending. While it is, or EFLAGS.TF is set, the run loop must call debugBefore()
 * and debugAfter() around each instruction.
 */
export const SY_DEBUG_ACTIVE = 0x1c20;
/** u32: the instruction delivered an interrupt itself (INT n, task switch), so its own single-step trap is not taken. */
export const SY_STEP_SUPPRESS = 0x1c24;
/** u32: alignment checks are on: CR0.AM, EFLAGS.AC and CPL 3. */
export const SY_ALIGN_CHECK = 0x1c28;
/** u32: the interrupt shadow comes from MOV SS / POP SS, which also holds debug traps back. */
export const SY_SHADOW_SS = 0x1c2c;
/** u64 x 4: PDPTE registers of PAE paging. */
export const SY_PDPTE = 0x1c40;
/** u32: a piece of a large page entered the TLB since its last complete flush. */
export const SY_LARGE_ANY = 0x1c30;

/**
 * u32 each, for supervisor and user: pages above 4 GiB are in the TLB. Compiled 32-bit code compares the lower halves of tags only, so these
 * must go before it runs.
 */
export const SY_HIGH_SUP = 0x1c34;
export const SY_HIGH_USER = 0x1c38;

/** u32: some address space has entries of the TLB set aside (tlbspaces.ts); and how often spaces were entered. */
export const SY_SPACES = 0x1c60;
export const SY_SPACE_STAMP = 0x1c64;
/** u32: SMAP is on, and the system may reach users' pages all the same (EFLAGS.AC). */
export const SY_USER_OPEN = 0x1c68;
/** u32: users' pages that the system's tables hold because of that, or that are set aside until then (tlbopened.ts). */
export const SY_OPENED_COUNT = 0x1c6c;
/** u32: the next place of that list, when it is full. */
export const SY_OPENED_NEXT = 0x1c70;

/** u64: linear address of a pending page fault; goes to CR2 at delivery. Beside S_FAULT_HAS_ERROR. */
export const S_FAULT_CR2 = 0x2a8;

export const CR0_PE: u64 = 1;
export const CR0_MP: u64 = 2;
export const CR0_EM: u64 = 4;
export const CR0_TS: u64 = 8;
export const CR0_ET: u64 = 0x10;
export const CR0_NE: u64 = 0x20;
export const CR0_WP: u64 = 0x10000;
export const CR0_AM: u64 = 0x40000;
export const CR0_NW: u64 = 0x20000000;
export const CR0_CD: u64 = 0x40000000;
export const CR0_PG: u64 = 0x80000000;

export const CR4_VME: u64 = 1;
export const CR4_PVI: u64 = 2;
export const CR4_TSD: u64 = 4;
export const CR4_DE: u64 = 8;
export const CR4_PSE: u64 = 0x10;
export const CR4_PAE: u64 = 0x20;
export const CR4_MCE: u64 = 0x40;
export const CR4_PGE: u64 = 0x80;
export const CR4_PCE: u64 = 0x100;
export const CR4_OSFXSR: u64 = 0x200;
export const CR4_OSXMMEXCPT: u64 = 0x400;
export const CR4_UMIP: u64 = 0x800;
export const CR4_FSGSBASE: u64 = 0x10000;
export const CR4_PCIDE: u64 = 0x20000;
export const CR4_OSXSAVE: u64 = 0x40000;
export const CR4_SMEP: u64 = 0x100000;
export const CR4_SMAP: u64 = 0x200000;

export const EFER_SCE: u64 = 1;
export const EFER_LME: u64 = 0x100;
export const EFER_LMA: u64 = 0x400;
export const EFER_NXE: u64 = 0x800;

export const FL_CF: u32 = 1;
export const FL_ZF: u32 = 0x40;
export const FL_TF: u32 = 0x100;
export const FL_IF: u32 = 0x200;
export const FL_IOPL: u32 = 0x3000;
export const FL_NT: u32 = 0x4000;
export const FL_RF: u32 = 0x10000;
export const FL_VM: u32 = 0x20000;
export const FL_AC: u32 = 0x40000;
export const FL_VIF: u32 = 0x80000;
export const FL_VIP: u32 = 0x100000;
export const FL_ID: u32 = 0x200000;
/** Every flag POPF/IRET at CPL 0 can write in 32 bits, without VM, VIF and VIP. */
export const FL_ALL: u32 = 0x257fd5;
