/**
 * A decoded instruction: 32 bytes in the decode cache. Everything the interpreter needs so that no byte of the instruction is looked at
 * twice. The decoder (decode.ts) writes it, handlers read it through these accessors.
 *
 *  0 u16 handler   dispatch id (generated from the instruction table)
 *  2 u8  length    bytes of the instruction, 1..15
 *  3 u8  prefix    REC_PFX_*
 *  4 u8  modrm     the ModRM byte as encoded (0 when none)
 *  5 u8  reg       modrm.reg, REX.R included (records of the core switch: byte offset in the register file, see below)
 *  6 u8  rm        register number of a register operand (REX.B included), or REC_MEM when the operand is in memory
 *                  (records of the core switch: byte offset in the register file)
 *  7 u8  base      base register * 8, REC_NONE when absent, REC_PAGE when RIP-relative
 *  8 u8  index     index register * 8, REC_NONE when absent; VSIB: vector register * 8
 *  9 u8  scale     shift count 0..3
 * 10 u8  seg       segment register of the memory operand, overrides applied
 * 11 u8  sizes     operand size in bits 0..1 (0 = 8, 1 = 16, 2 = 32, 3 = 64), address size in bits 4..5 (same code), bit 6 = control came here
 *                  by a jump, call or return, bit 7 = RIP-relative
 * 12 u16 opcode    opcode byte, plus OP_0F, OP_0F38 or OP_0F3A for the map
 * 14 u16 next      offset in its page of the byte after the instruction (private to the decoder and run loop)
 * 16 i64 disp      sign-extended displacement (or moffs)
 * 24 i64 imm       sign-extended immediate; far pointers: offset in bits 0..31, selector in 32..47; ENTER: size | level << 16;
 *                  VEX: immediate byte in bits 0..31, register number VEX.vvvv at byte 28
 *
 * RIP-relative operands need no case of their own where addresses are made: their base is the state word S_PAGE_RIP, the address of the page
 * being executed, and disp already has the offset in it of the next instruction (REC_NEXT).
 *
 * Records routed to sysExec, x87Exec or simdExec hold plain register numbers in reg and rm. Records of the core switch hold byte offsets
 * from S_GPR instead (number * 8, plus 1 for AH CH DH BH), so that a byte register costs no more than a wide one. Everybody gets the
 * effective offset from recOff() in ea.ts.
 */
export const REC_SIZE = 32;
export const REC_HANDLER = 0;
export const REC_LENGTH = 2;
export const REC_PREFIX = 3;
export const REC_MODRM = 4;
export const REC_REG = 5;
export const REC_RM = 6;
export const REC_BASE = 7;
export const REC_INDEX = 8;
export const REC_SCALE = 9;
/** Of a conditional branch, which has no operand in memory: 1 when it was once not taken. */
export const REC_FELL = REC_SCALE;
export const REC_SEG = 10;
export const REC_SIZES = 11;
export const REC_OPCODE = 12;
export const REC_NEXT = 14;
export const REC_DISP = 16;
export const REC_IMM = 24;

/** Value of REC_RM for a memory operand. */
export const REC_MEM = 0xff;
/** Value of REC_BASE / REC_INDEX for "none": S_GPR + 0xf8 is S_ZERO, which always reads as zero. */
export const REC_NONE = 0xf8;
/** Value of REC_BASE for RIP-relative operands: S_PAGE_RIP. */
export const REC_PAGE = 0xb8;

export const REC_PFX_66 = 1;
export const REC_PFX_F3 = 2;
export const REC_PFX_F2 = 4;
export const REC_PFX_LOCK = 8;
/** A REX prefix is present: byte registers 4..7 are SPL BPL SIL DIL. */
export const REC_PFX_REX = 16;
/** VEX-encoded; 66, F3 or F2 then say what VEX.pp said. */
export const REC_PFX_VEX = 32;
/** VEX.L: 256 bits. */
export const REC_PFX_L = 64;
/** REX.W or VEX.W. */
export const REC_PFX_W = 128;
/** Bit of REC_SIZES: control came here by more than running on. */
export const REC_ENTERED = 0x40;
/** Offset of the u8 VEX.vvvv. */
export const REC_VVVV = 28;

/** Bits of REC_SIZES. */
export const REC_ADDRESS32 = 0x20;
export const REC_ADDRESS64 = 0x30;
export const REC_RIP_RELATIVE = 0x80;

export const OP_0F = 0x100;
export const OP_0F38 = 0x200;
export const OP_0F3A = 0x300;
