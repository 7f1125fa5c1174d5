/**
 * Decoder (SDM volume 2 chapter 2): instruction bytes to records (record.ts), driven by the generated tables. A run of instructions is
 * decoded ahead of execution up to the first one that never falls through, the end of the page, or code decoded before. Looking ahead
 * has no side effects: an instruction that reaches beyond its page is left to decodeStep(), which fetches as the processor would.
 */
import { CODE_MAP_BASE, CPU_STATE_BASE } from '../../../memory/layout';
import { newRecord, recordAt, roomFor, setRecordAt, startRun } from './codecache';
import { raiseFaultErr } from './fault';
import {
  CLASSES, CLASSES64, ENTRY, ENTRY64, ENT_BYTE_REG, ENT_BYTE_RM, ENT_DEFAULT64, ENT_END, ENT_FORCED64, ENT_GROUP, ENT_LENGTH0, ENT_LOCK, ENT_MODRM, ENT_NO_VVVV, ENT_PLAIN, ENT_PREFIX,
  ENT_REG_ONLY, ENT_VSIB, ENT_WIDE0, FORM_FLAT_BASE, FORM_FLAT_INDEX, FORM_FLAT_REGISTER,
  FORM_MEMORY, FORM_REGISTER, FUSED, FUSED64, HANDLERS, HANDLERS64, HANDLER_CONTINUE, HANDLER_GP,
  HANDLER_LEAVE, HANDLER_UD, IMM_BYTE, IMM_ENTER, IMM_FAR, IMM_FULL, IMM_MOFFS, IMM_ONE, IMM_SIZED, IMM_WORD, OPCODES, OPCODES64, PAIRS, PAIRS64,
  PAIR_CLASSES, SINGLES, SINGLES64,
} from './generated/tables';
import { CODE_JIT } from './jit';
import { mappedRegion } from './jitmap';
import { tlbTable } from './mem';
import { codeReadSlow8, codeTranslate } from './memcode';
import {
  OP_0F, REC_BASE, REC_DISP, REC_HANDLER, REC_IMM, REC_INDEX, REC_LENGTH, REC_MEM, REC_MODRM, REC_NEXT, REC_NONE, REC_OPCODE,
  REC_PAGE, REC_PFX_66, REC_PFX_F2, REC_PFX_F3, REC_PFX_L, REC_PFX_LOCK, REC_PFX_REX, REC_PFX_VEX, REC_PFX_W, REC_PREFIX, REC_REG, REC_RIP_RELATIVE, REC_RM, REC_SCALE, REC_SEG, REC_SIZE, REC_SIZES,
} from './record';
import { MODE_32, MODE_64, MODE_FLAT, Run } from './runstate';
import { SY_FEATURES } from './sysstate';
import { HD_ACTIVE, SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_LIMIT, SEG_SS, SEG_STRIDE, S_SCRATCH_DECODER, S_SEG, VEC_GP } from './stateoffsets';
import { TLB_USER } from './tlb';

export { dropCodePage, invalidateCodePage } from './codecache';

const MAX_LENGTH: u32 = 15;
/** Bytes of an entry of the tables (core/cpu/x86/generate.ts). */
const ENTRY_IMMEDIATE: usize = 2;
const ENTRY_FEATURE: usize = 3;
/** Records decoded ahead in one go. */
const RUN_MAX: u32 = 48;
/** Record of the single-step path, followed by one with HANDLER_LEAVE. */
const STEP_RECORD: usize = CPU_STATE_BASE + S_SCRATCH_DECODER;

/** Fetch position and end of the bytes that may be read directly. */
let at: usize = 0;
let end: usize = 0;
/** Bytes ran out (page end), or the instruction is too long. */
let short: bool = false;
/** Fetched bytes of the instruction so far, and its first linear address and EIP, when fetching slowly. */
let slow: bool = false;
let fetched: u32 = 0;
let slowLin: u64 = 0;
let slowEip: u64 = 0;

function fetchSlow(): u32 {
  if (!slow) {
    short = true;
    return 0;
  }
  let lin = slowLin + fetched;
  if (Run.mode != MODE_64) {
    if (slowEip + fetched > load<u32>(CPU_STATE_BASE + S_SEG + SEG_CS * SEG_STRIDE + SEG_LIMIT)) raiseFaultErr(VEC_GP, 0);
    lin &= 0xffff_ffff;
  }
  if (fetched >= MAX_LENGTH) {
    // More than 15 bytes: #GP whatever follows, but the processor has fetched the one behind: its page fault comes first.
    codeTranslate(lin);
    raiseFaultErr(VEC_GP, 0);
  }
  fetched++;
  const host = codeTranslate(lin);
  return host ? load<u8>(host) : codeReadSlow8(lin) & 0xff;
}

// @ts-ignore: decorator
@inline
function fetch8(): u32 {
  if (at < end) return load<u8>(at++);
  return fetchSlow();
}
function fetch16(): u32 {
  const low = fetch8();
  return low | (fetch8() << 8);
}
function fetch32(): u32 {
  const low = fetch16();
  return low | (fetch16() << 16);
}

/** 16-bit addressing forms (SDM volume 2 table 2-1): base and index register of each rm. */
const BASE16: usize = memory.data<u8>([3, 3, 5, 5, 6, 7, 5, 3]);
const INDEX16: usize = memory.data<u8>([6, 7, 6, 7, 31, 31, 31, 31]);

function fetch64(): u64 {
  const low = fetch32();
  return <u64>low | ((<u64>fetch32()) << 32);
}

/** The tables of 16- and 32-bit or of 64-bit code. */
let opcodes: usize = OPCODES;
let entries: usize = ENTRY;
let handlers: usize = HANDLERS;
let fused: usize = FUSED;
let classes: usize = CLASSES;
let pairs: usize = PAIRS;
let singles: u32 = SINGLES;

function chooseTables(): void {
  const long = Run.mode == MODE_64;
  opcodes = long ? OPCODES64 : OPCODES;
  entries = long ? ENTRY64 : ENTRY;
  handlers = long ? HANDLERS64 : HANDLERS;
  fused = long ? FUSED64 : FUSED;
  classes = long ? CLASSES64 : CLASSES;
  pairs = long ? PAIRS64 : PAIRS;
  singles = long ? SINGLES64 : SINGLES;
}

/** Place of an entry of the tables. */
// @ts-ignore: decorator
@inline
function entryAt(entry: u32): usize {
  return entries + (<usize>entry << 2);
}
// @ts-ignore: decorator
@inline
function handlerAt(entry: u32, column: u32): u32 {
  return load<u16>(handlers + (<usize>entry << 6) + (<usize>column << 1));
}

/** The processor has the feature that the entry depends on. */
// @ts-ignore: decorator
@inline
function available(entry: u32): bool {
  const feature: u32 = load<u8>(entryAt(entry), ENTRY_FEATURE);
  return !feature || ((load<u64>(CPU_STATE_BASE + SY_FEATURES) >> (feature - 1)) & 1) != 0;
}

/** Entry of the row for the mandatory prefix among `prefix`, 0 when there is none (SDM volume 2, 2.1.2: F3 and F2 win over 66). */
function byPrefix(entry: u32, prefix: u32): u32 {
  const wanted: u32 = prefix & REC_PFX_F3 ? 2 : prefix & REC_PFX_F2 ? 3 : prefix & REC_PFX_66 ? 1 : 0;
  const own = handlerAt(entry, wanted);
  return available(own) ? own : handlerAt(entry, 4);
}

/** Byte registers: without a REX prefix 4..7 are AH CH DH BH (byte offsets in the register file). */
// @ts-ignore: decorator
@inline
function byteRegister(r: u32, rex: u32): u32 {
  return rex || r > 7 ? r << 3 : ((r & 3) << 3) | (r >>> 2);
}

/**
 * Decodes the instruction at the fetch position into `rec`, all fields but REC_LENGTH and REC_NEXT. Gives the entry flags (ENT_*). When
 * `short` became true the record is worthless. Sizes are codes: 0 = 16 bits, 1 = 32, 2 = 64.
 */
function decodeOne(rec: usize): u32 {
  const is64 = Run.mode == MODE_64;
  const mode: u32 = is64 ? 1 : Run.mode & MODE_32;
  let prefix: u32 = 0;
  let segOverride: u32 = 0xff;
  let osize: u32 = mode;
  let asize: u32 = is64 ? 2 : mode;
  let rex: u32 = 0;
  let op: u32 = 0;
  for (let count: u32 = 0; ; count++) {
    op = fetch8();
    if (short || count > 15) break;
    // A REX prefix counts only directly before the opcode.
    if (is64 && (op & 0xf0) == 0x40) {
      rex = op;
      continue;
    }
    if (op == 0x66) {
      prefix |= REC_PFX_66;
      osize = mode ^ 1;
    } else if (op == 0x67) asize = is64 ? 1 : mode ^ 1;
    else if (op == 0xf0) prefix |= REC_PFX_LOCK;
    else if (op == 0xf2) prefix = (prefix & ~REC_PFX_F3) | REC_PFX_F2;
    else if (op == 0xf3) prefix = (prefix & ~REC_PFX_F2) | REC_PFX_F3;
    else if (op == 0x64) segOverride = SEG_FS;
    else if (op == 0x65) segOverride = SEG_GS;
    else if (op == 0x2e || op == 0x36 || op == 0x3e || op == 0x26) {
      // 64-bit mode ignores the others.
      if (!is64) segOverride = (op >>> 3) & 3;
    } else break;
    rex = 0;
  }
  if (rex) {
    prefix |= REC_PFX_REX;
    if (rex & 8) {
      prefix |= REC_PFX_W;
      osize = 2;
    }
  }
  /** Undefined, but as long as it would be otherwise: all of it is fetched first. */
  let bad: bool = false;
  let unknownMap: bool = false;
  let vvvv: u32 = 0;
  /** ModRM byte when it had to be looked at already. */
  let known: u32 = 0xffff;
  let map: u32 = 0;
  if (op == 0x0f) {
    op = fetch8();
    map = 1;
    if (op == 0x38) map = 2;
    else if (op == 0x3a) map = 3;
    if (map != 1) op = fetch8();
  } else if (op == 0xc4 || op == 0xc5) {
    // LES and LDS have no register form: outside 64-bit mode that one is VEX (SDM volume 2, 2.3.5).
    const second = fetch8();
    if (is64 || second >= 0xc0) {
      bad = (prefix & (REC_PFX_66 | REC_PFX_F3 | REC_PFX_F2 | REC_PFX_LOCK | REC_PFX_REX)) != 0;
      let third = second;
      map = 1;
      // R, X, B are stored inverted, as in the place of REX's bits 2..0.
      rex = (second >>> 5) & 4 ^ 4;
      if (op == 0xc4) {
        third = fetch8();
        map = second & 31;
        rex = (second >>> 5) ^ 7;
        if (third & 0x80) {
          prefix |= REC_PFX_W;
          rex |= 8;
        }
      }
      if (!is64) rex &= 8;
      vvvv = ((third >>> 3) & 15) ^ 15;
      if (!is64) vvvv &= 7;
      const pp = third & 3;
      prefix &= ~(REC_PFX_66 | REC_PFX_F3 | REC_PFX_F2);
      prefix |= REC_PFX_VEX | (third & 4 ? REC_PFX_L : 0) | (pp == 1 ? REC_PFX_66 : pp == 2 ? REC_PFX_F3 : pp == 3 ? REC_PFX_F2 : 0);
      osize = is64 && rex & 8 ? 2 : 1;
      unknownMap = map < 1 || map > 3;
      map = unknownMap ? 0 : map + 3;
      op = fetch8();
    } else known = second;
  }
  let entry: u32 = load<u16>(opcodes + (<usize>((map << 8) | op) << 1));
  if (unknownMap) entry = 0;
  // XCHG with R8, also with the prefix that would make it PAUSE.
  else if (is64 && op == 0x90 && map == 0 && rex & 1) entry = load<u16>(opcodes + (0x91 << 1));
  let flags: u32 = load<u16>(entryAt(entry));
  if (flags & ENT_PREFIX) {
    entry = byPrefix(entry, prefix);
    flags = load<u16>(entryAt(entry));
  }
  let modrm: u32 = 0;
  let memory: bool = false;
  let rm: u32 = 0;
  let reg: u32 = 0;
  let base: u32 = REC_NONE;
  let index: u32 = REC_NONE;
  let scale: u32 = 0;
  let disp: i64 = 0;
  let seg: u32 = SEG_DS;
  let relative: u32 = 0;
  const r8 = (rex & 4) << 1;
  const x8 = (rex & 2) << 2;
  const b8 = (rex & 1) << 3;
  if (flags & ENT_MODRM) {
    modrm = known != 0xffff ? known : fetch8();
    reg = (modrm >>> 3) & 7;
    rm = modrm & 7;
    if (flags & ENT_GROUP) {
      entry += 1 + reg;
      flags = load<u16>(entryAt(entry));
    }
    reg |= r8;
    const mod = modrm >>> 6;
    if (mod != 3 && !(flags & ENT_REG_ONLY)) {
      memory = true;
      if (asize) {
        const sibByte = rm == 4;
        if (sibByte) {
          const sib = fetch8();
          scale = sib >>> 6;
          const i = ((sib >>> 3) & 7) | x8;
          if (i != 4 || flags & ENT_VSIB) index = i << 3;
          else scale = 0;
          rm = sib & 7;
        }
        if (rm == 5 && mod == 0) {
          disp = <i64>(<i32>fetch32());
          if (is64 && !sibByte) {
            relative = REC_RIP_RELATIVE;
            base = REC_PAGE;
          }
        } else {
          rm |= b8;
          base = rm << 3;
          if (rm == 4 || rm == 5) seg = SEG_SS;
        }
        if (mod == 1) disp = <i64>(<i8>fetch8());
        else if (mod == 2) disp = <i64>(<i32>fetch32());
      } else {
        if (mod == 0 && rm == 6) disp = <i64>fetch16();
        else {
          base = <u32>load<u8>(BASE16 + <usize>rm) << 3;
          index = <u32>load<u8>(INDEX16 + <usize>rm) << 3;
          if (base == 5 << 3) seg = SEG_SS;
          if (mod == 1) disp = <i64>(<i8>fetch8());
          else if (mod == 2) disp = <i64>(<i16>fetch16());
        }
      }
      rm = REC_MEM;
    } else rm |= b8;
  } else if (flags & ENT_REG_ONLY) rm = (op & 7) | b8;
  if (segOverride != 0xff) seg = segOverride;
  if (is64) {
    if (flags & ENT_FORCED64) osize = 2;
    else if (flags & ENT_DEFAULT64) osize = prefix & REC_PFX_66 && !(prefix & REC_PFX_W) ? 0 : 2;
  }

  let imm: i64 = 0;
  const kind: u32 = load<u8>(entryAt(entry), ENTRY_IMMEDIATE);
  switch (kind) {
    case IMM_BYTE:
      imm = <i64>(<i8>fetch8());
      break;
    case IMM_WORD:
      imm = <i64>fetch16();
      break;
    case IMM_SIZED:
      imm = osize ? <i64>(<i32>fetch32()) : <i64>(<i16>fetch16());
      break;
    case IMM_FULL:
      imm = osize == 2 ? <i64>fetch64() : osize ? <i64>(<i32>fetch32()) : <i64>(<i16>fetch16());
      break;
    case IMM_MOFFS:
      disp = asize == 2 ? <i64>fetch64() : asize ? <i64>fetch32() : <i64>fetch16();
      break;
    case IMM_FAR:
      imm = osize ? <i64>fetch32() : <i64>fetch16();
      imm |= <i64>fetch16() << 32;
      break;
    case IMM_ENTER:
      imm = <i64>fetch16();
      imm |= <i64>fetch8() << 16;
      break;
    case IMM_ONE:
      imm = 1;
      break;
    default:
      break;
  }
  if (prefix & REC_PFX_VEX) imm = (imm & 0xffff_ffff) | (<i64>vvvv << 32);
  let form: u32 = memory ? FORM_MEMORY : FORM_REGISTER;
  if (is64 ? asize == 2 && seg < <u32>SEG_FS : Run.mode == (MODE_32 | MODE_FLAT) && asize && (seg == SEG_DS || seg == SEG_SS || seg == SEG_ES))
    form = memory ? (index == REC_NONE ? FORM_FLAT_BASE : FORM_FLAT_INDEX) : FORM_FLAT_REGISTER;
  let handler: u32 = handlerAt(entry, (form << 2) | osize);
  if (prefix & REC_PFX_LOCK && !(flags & ENT_LOCK && memory)) handler = HANDLER_UD;
  if (bad || !available(entry)) handler = HANDLER_UD;
  if (
    prefix & REC_PFX_VEX &&
    ((flags & ENT_NO_VVVV && vvvv) || (flags & ENT_LENGTH0 && prefix & REC_PFX_L) || (flags & ENT_WIDE0 && prefix & REC_PFX_W))
  )
    handler = HANDLER_UD;
  if (!(flags & ENT_PLAIN)) {
    // Core records: register fields become offsets in the register file.
    reg = flags & ENT_BYTE_REG ? byteRegister(reg, rex) : reg << 3;
    if (rm != REC_MEM) rm = flags & ENT_BYTE_RM ? byteRegister(rm, rex) : rm << 3;
  }
  store<u16>(rec, <u16>handler, REC_HANDLER);
  store<u8>(rec, <u8>prefix, REC_PREFIX);
  store<u8>(rec, <u8>modrm, REC_MODRM);
  store<u8>(rec, <u8>reg, REC_REG);
  store<u8>(rec, <u8>rm, REC_RM);
  store<u8>(rec, <u8>base, REC_BASE);
  store<u8>(rec, <u8>index, REC_INDEX);
  store<u8>(rec, <u8>scale, REC_SCALE);
  store<u8>(rec, <u8>seg, REC_SEG);
  store<u8>(rec, <u8>((osize + 1) | ((asize + 1) << 4) | relative), REC_SIZES);
  // VEX maps have the numbers of their legacy counterparts.
  store<u16>(rec, <u16>(op | ((map > 3 ? map - 3 : map) << 8)), REC_OPCODE);
  store<i64>(rec, disp, REC_DISP);
  store<i64>(rec, imm, REC_IMM);
  return handler == HANDLER_UD ? flags | ENT_END : flags;
}

/** Length and place of a decoded instruction: its page offset is `offset`. */
// @ts-ignore: decorator
@inline
function place(rec: usize, offset: u32, length: u32): void {
  store<u8>(rec, <u8>length, REC_LENGTH);
  store<u16>(rec, <u16>(offset + length), REC_NEXT);
  if (load<u8>(rec, REC_SIZES) & REC_RIP_RELATIVE) store<i64>(rec, load<i64>(rec, REC_DISP) + <i64>(offset + length), REC_DISP);
}

/** A record that is no instruction, for position `offset` of the page. */
function pseudo(rec: usize, handler: i32, offset: u32, link: usize): void {
  store<u64>(rec, 0, 0);
  store<u64>(rec, 0, 8);
  store<u64>(rec, <u64>link, REC_DISP);
  store<u64>(rec, 0, REC_IMM);
  store<u16>(rec, <u16>handler, REC_HANDLER);
  store<u16>(rec, <u16>offset, REC_NEXT);
}

/** Joins `rec` with the record before it, when there is a handler for the pair (core/cpu/x86/fuse.ts). */
function fuse(rec: usize): void {
  const op = <u32>load<u16>(rec, REC_OPCODE);
  const before = rec - REC_SIZE;
  const handler: u32 = load<u16>(before, REC_HANDLER);
  if (handler >= singles) return;
  if ((op & ~15) != 0x70 && (op & ~15) != (OP_0F | 0x80)) {
    const first: usize = load<u8>(classes + <usize>handler);
    const next: u32 = load<u16>(rec, REC_HANDLER);
    if (!first || next >= singles) return;
    const second: usize = load<u8>(classes + <usize>next);
    const pair = load<u16>(pairs + ((first * PAIR_CLASSES + second) << 1));
    if (pair) store<u16>(before, pair, REC_HANDLER);
    return;
  }
  if (load<u16>(rec, REC_HANDLER) == HANDLER_UD) return;
  const pair = load<u16>(fused + (((<usize>handler << 4) + <usize>(op & 15)) << 1));
  if (pair) store<u16>(before, pair, REC_HANDLER);
}

/** Decodes the run at byte `host` of the shared memory, which lies in the page of `slot`, and gives its first record. */
export function decodeRun(slot: u32, host: u32): usize {
  chooseTables();
  const page: usize = host & 0xffff_f000;
  let offset = host & 0xfff;
  slow = false;
  end = page + 0x1000;
  startRun(slot);
  const compiled = (load<u8>(CODE_MAP_BASE + (host >>> 12)) & CODE_JIT) != 0 && !load<u32>(CPU_STATE_BASE + HD_ACTIVE);
  let first: usize = 0;
  for (let count: u32 = 0; ; count++) {
    const rec = newRecord(slot);
    if (!first) first = rec;
    if (offset > 0xfff) {
      pseudo(rec, HANDLER_LEAVE, offset, 0);
      break;
    }
    const known = recordAt(slot, offset);
    // A region that begins here is entered by its own record.
    if (count && compiled && mappedRegion(<u32>page + offset, Run.mode, tlbTable() == TLB_USER ? 1 : 0)) {
      pseudo(rec, HANDLER_CONTINUE, offset, 0);
      break;
    }
    if (known || count == RUN_MAX || !roomFor(slot)) {
      pseudo(rec, HANDLER_CONTINUE, offset, known);
      break;
    }
    at = page + offset;
    short = false;
    const flags = decodeOne(rec);
    const length = <u32>(at - page) - offset;
    if (short) {
      pseudo(rec, HANDLER_LEAVE, offset, 0);
      setRecordAt(slot, offset, rec);
      break;
    }
    if (length > MAX_LENGTH) {
      pseudo(rec, HANDLER_GP, offset, 0);
      setRecordAt(slot, offset, rec);
      break;
    }
    place(rec, offset, length);
    setRecordAt(slot, offset, rec);
    if (count) fuse(rec);
    if (flags & ENT_END) break;
    offset += length;
  }
  return first;
}

/** Decodes the instruction at byte `host`, which does not leave its page, for Run.mode `mode` into `rec`; the record after it leaves. */
export function decodeInto(rec: usize, host: u32, mode: u32): void {
  const current = Run.mode;
  Run.mode = mode;
  // The processor may be in another mode by now than when the region was asked for.
  chooseTables();
  slow = false;
  short = false;
  at = host;
  end = (<usize>host & 0xffff_f000) + 0x1000;
  decodeOne(rec);
  Run.mode = current;
  const length = <u32>(at - host);
  place(rec, host & 0xfff, length);
  pseudo(rec + REC_SIZE, HANDLER_LEAVE, (host & 0xfff) + length, 0);
}

/**
 * Decodes the one instruction at `eip`, whose linear address is `lin`, byte by byte with every check of an instruction fetch, into a
 * record that nobody keeps. Positions count from the instruction: REC_NEXT is its length.
 */
export function decodeStep(eip: u64, lin: u64): usize {
  chooseTables();
  slow = true;
  fetched = 0;
  slowLin = lin;
  slowEip = eip;
  at = 0;
  end = 0;
  short = false;
  decodeOne(STEP_RECORD);
  place(STEP_RECORD, 0, fetched);
  pseudo(STEP_RECORD + REC_SIZE, HANDLER_LEAVE, fetched, 0);
  return STEP_RECORD;
}
