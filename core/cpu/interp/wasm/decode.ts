/**
 * Decoder (SDM volume 2 chapter 2): instruction bytes to records (record.ts), driven by the generated tables. A run of instructions is
 * decoded ahead of execution up to the first one that never falls through, the end of the page, or code decoded before. Looking ahead
 * has no side effects: an instruction that reaches beyond its page is left to decodeStep(), which fetches as the processor would.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { newRecord, recordAt, roomFor, setRecordAt, startRun } from './codecache';
import { raiseFaultErr } from './fault';
import {
  CLASSES, ENTRY, ENT_BYTE_REG, ENT_BYTE_RM, ENT_END, ENT_GROUP, ENT_LOCK, ENT_MODRM, ENT_PLAIN, ENT_REG_ONLY, FORM_FLAT_BASE, FORM_FLAT_INDEX, FORM_FLAT_REGISTER,
  FORM_MEMORY, FORM_REGISTER, FUSED, HANDLERS, HANDLER_CONTINUE, HANDLER_GP,
  HANDLER_LEAVE, HANDLER_UD, IMM_BYTE, IMM_ENTER, IMM_FAR, IMM_MOFFS, IMM_ONE, IMM_SIZED, IMM_WORD, OPCODES, PAIRS,
  PAIR_CLASSES,
} from './generated/tables';
import { codeReadSlow8, codeTranslate } from './mem';
import {
  OP_0F, REC_BASE, REC_DISP, REC_HANDLER, REC_IMM, REC_INDEX, REC_LENGTH, REC_MEM, REC_MODRM, REC_NEXT, REC_NONE, REC_OPCODE,
  REC_PFX_66, REC_PFX_F2, REC_PFX_F3, REC_PFX_LOCK, REC_PREFIX, REC_REG, REC_RM, REC_SCALE, REC_SEG, REC_SIZE, REC_SIZES,
} from './record';
import { MODE_32, MODE_FLAT, Run } from './runstate';
import { SEG_CS, SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_LIMIT, SEG_SS, SEG_STRIDE, S_SCRATCH_DECODER, S_SEG, VEC_GP } from './stateoffsets';

export { dropCodePage, invalidateCodePage } from './codecache';

const MAX_LENGTH: u32 = 15;
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
let slowLin: u32 = 0;
let slowEip: u32 = 0;

function fetchSlow(): u32 {
  if (!slow) {
    short = true;
    return 0;
  }
  if (fetched >= MAX_LENGTH) {
    // More than 15 bytes: #GP whatever follows.
    raiseFaultErr(VEC_GP, 0);
  }
  const eip = <u64>slowEip + fetched;
  if (eip > load<u32>(CPU_STATE_BASE + S_SEG + SEG_CS * SEG_STRIDE + SEG_LIMIT)) raiseFaultErr(VEC_GP, 0);
  const lin = <u64>(slowLin + fetched);
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

/**
 * Decodes the instruction at the fetch position into `rec`, all fields but REC_LENGTH and REC_NEXT. Gives the entry flags (ENT_*). When
 * `short` became true the record is worthless.
 */
function decodeOne(rec: usize, mode: u32): u32 {
  let prefix: u32 = 0;
  let segOverride: u32 = 0xff;
  let osize: u32 = mode;
  let asize: u32 = mode;
  let op: u32 = 0;
  for (let count: u32 = 0; ; count++) {
    op = fetch8();
    if (short || count > 15) break;
    if (op == 0x66) {
      prefix |= REC_PFX_66;
      osize = mode ^ 1;
    } else if (op == 0x67) asize = mode ^ 1;
    else if (op == 0xf0) prefix |= REC_PFX_LOCK;
    else if (op == 0xf2) prefix = (prefix & ~REC_PFX_F3) | REC_PFX_F2;
    else if (op == 0xf3) prefix = (prefix & ~REC_PFX_F2) | REC_PFX_F3;
    else if (op == 0x2e) segOverride = SEG_CS;
    else if (op == 0x36) segOverride = SEG_SS;
    else if (op == 0x3e) segOverride = SEG_DS;
    else if (op == 0x26) segOverride = SEG_ES;
    else if (op == 0x64) segOverride = SEG_FS;
    else if (op == 0x65) segOverride = SEG_GS;
    else break;
  }
  if (op == 0x0f) op = OP_0F | fetch8();
  let entry: u32 = load<u16>(OPCODES + (<usize>op << 1));
  let flags: u32 = load<u8>(ENTRY + (<usize>entry << 1));
  let modrm: u32 = 0;
  let memory: bool = false;
  let rm: u32 = 0;
  let reg: u32 = 0;
  let base: u32 = REC_NONE;
  let index: u32 = REC_NONE;
  let scale: u32 = 0;
  let disp: i32 = 0;
  let seg: u32 = SEG_DS;
  if (flags & ENT_MODRM) {
    modrm = fetch8();
    reg = (modrm >>> 3) & 7;
    rm = modrm & 7;
    if (flags & ENT_GROUP) {
      entry += 1 + reg;
      flags = load<u8>(ENTRY + (<usize>entry << 1));
    }
    const mod = modrm >>> 6;
    if (mod != 3 && !(flags & ENT_REG_ONLY)) {
      memory = true;
      if (asize) {
        if (rm == 4) {
          const sib = fetch8();
          scale = sib >>> 6;
          const i = (sib >>> 3) & 7;
          if (i != 4) index = i << 3;
          else scale = 0;
          rm = sib & 7;
        }
        if (rm == 5 && mod == 0) disp = <i32>fetch32();
        else {
          base = rm << 3;
          if (rm == 4 || rm == 5) seg = SEG_SS;
        }
        if (mod == 1) disp = <i32>(<i8>fetch8());
        else if (mod == 2) disp = <i32>fetch32();
      } else {
        if (mod == 0 && rm == 6) disp = <i32>fetch16();
        else {
          base = <u32>load<u8>(BASE16 + <usize>rm) << 3;
          index = <u32>load<u8>(INDEX16 + <usize>rm) << 3;
          if (base == 5 << 3) seg = SEG_SS;
          if (mod == 1) disp = <i32>(<i8>fetch8());
          else if (mod == 2) disp = <i32>(<i16>fetch16());
        }
      }
      rm = REC_MEM;
    }
  } else if (flags & ENT_REG_ONLY) rm = op & 7;
  if (segOverride != 0xff) seg = segOverride;

  let imm: i64 = 0;
  const kind: u32 = load<u8>(ENTRY + (<usize>entry << 1) + 1);
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
    case IMM_MOFFS:
      disp = asize ? <i32>fetch32() : <i32>fetch16();
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
  let form: u32 = memory ? FORM_MEMORY : FORM_REGISTER;
  if (Run.mode & MODE_FLAT && asize && (seg == SEG_DS || seg == SEG_SS || seg == SEG_ES))
    form = memory ? (index == REC_NONE ? FORM_FLAT_BASE : FORM_FLAT_INDEX) : FORM_FLAT_REGISTER;
  let handler: u32 = load<u16>(HANDLERS + (<usize>entry << 5) + <usize>((form << 2) | (osize << 1)));
  if (prefix & REC_PFX_LOCK && !(flags & ENT_LOCK && memory)) handler = HANDLER_UD;
  if (!(flags & ENT_PLAIN)) {
    // Core records: register fields become offsets in the register file.
    reg = flags & ENT_BYTE_REG ? ((reg & 3) << 3) | (reg >>> 2) : reg << 3;
    if (rm != REC_MEM) rm = flags & ENT_BYTE_RM ? ((rm & 3) << 3) | (rm >>> 2) : rm << 3;
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
  store<u8>(rec, <u8>((osize + 1) | ((asize + 1) << 4)), REC_SIZES);
  store<u16>(rec, <u16>op, REC_OPCODE);
  store<i64>(rec, <i64>disp, REC_DISP);
  store<i64>(rec, imm, REC_IMM);
  return handler == HANDLER_UD ? flags | ENT_END : flags;
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
  if ((op & ~15) != 0x70 && (op & ~15) != (OP_0F | 0x80)) {
    const first: usize = load<u8>(CLASSES + <usize>load<u16>(before, REC_HANDLER));
    if (!first) return;
    const second: usize = load<u8>(CLASSES + <usize>load<u16>(rec, REC_HANDLER));
    const pair = load<u16>(PAIRS + ((first * PAIR_CLASSES + second) << 1));
    if (pair) store<u16>(before, pair, REC_HANDLER);
    return;
  }
  if (load<u16>(rec, REC_HANDLER) == HANDLER_UD) return;
  const pair = load<u16>(FUSED + (((<usize>load<u16>(before, REC_HANDLER)) << 4) + <usize>(op & 15) << 1));
  if (pair) store<u16>(before, pair, REC_HANDLER);
}

/** Decodes the run at byte `host` of the shared memory, which lies in the page of `slot`, and gives its first record. */
export function decodeRun(slot: u32, host: u32): usize {
  const page: usize = host & 0xffff_f000;
  const mode = Run.mode & MODE_32;
  let offset = host & 0xfff;
  slow = false;
  end = page + 0x1000;
  startRun(slot);
  let first: usize = 0;
  for (let count: u32 = 0; ; count++) {
    const rec = newRecord(slot);
    if (!first) first = rec;
    if (offset > 0xfff) {
      pseudo(rec, HANDLER_LEAVE, offset, 0);
      break;
    }
    const known = recordAt(slot, offset);
    if (known || count == RUN_MAX || !roomFor(slot)) {
      pseudo(rec, HANDLER_CONTINUE, offset, known);
      break;
    }
    at = page + offset;
    short = false;
    const flags = decodeOne(rec, mode);
    const length = <u32>(at - page) - offset;
    if (short && length < MAX_LENGTH) {
      pseudo(rec, HANDLER_LEAVE, offset, 0);
      setRecordAt(slot, offset, rec);
      break;
    }
    if (length > MAX_LENGTH || short) {
      pseudo(rec, HANDLER_GP, offset, 0);
      setRecordAt(slot, offset, rec);
      break;
    }
    store<u8>(rec, <u8>length, REC_LENGTH);
    store<u16>(rec, <u16>(offset + length), REC_NEXT);
    setRecordAt(slot, offset, rec);
    if (count) fuse(rec);
    if (flags & ENT_END) break;
    offset += length;
  }
  return first;
}

/**
 * Decodes the one instruction at `eip`, whose linear address is `lin`, byte by byte with every check of an instruction fetch, into a
 * record that nobody keeps. Positions count from the instruction: REC_NEXT is its length.
 */
export function decodeStep(eip: u32, lin: u32): usize {
  slow = true;
  fetched = 0;
  slowLin = lin;
  slowEip = eip;
  at = 0;
  end = 0;
  short = false;
  decodeOne(STEP_RECORD, Run.mode & MODE_32);
  store<u8>(STEP_RECORD, <u8>fetched, REC_LENGTH);
  store<u16>(STEP_RECORD, <u16>fetched, REC_NEXT);
  pseudo(STEP_RECORD + REC_SIZE, HANDLER_LEAVE, fetched, 0);
  return STEP_RECORD;
}
