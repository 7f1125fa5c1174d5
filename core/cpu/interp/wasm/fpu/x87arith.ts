/** FADD, FMUL, FSUB(R), FDIV(R) and the comparisons, on stack registers and on a memory operand already widened into F. */
import { setEflags } from '../flags';
import { add80, classify80, div80, F, K_NAN, mul80 } from './f80';
import { Source } from './f80convert';
import { CMP_UNORDERED, compare80 } from './f80misc';
import { FP, FP_DE, FP_IE, FP_ZE } from './unpacked';
import { begin, commit, getSw, isEmpty, pop, setSw, stackFault, storeF, stSe, stSig, SW_C0, SW_C1, SW_C2, SW_C3 } from './x87stack';

/** F = a op b, where op is modrm.reg: 0 add, 1 mul, 4 a - b, 5 b - a, 6 a / b, 7 b / a. */
function compute(op: u32, as: u32, ag: u64, bs: u32, bg: u64): void {
  switch (op) {
    case 0:
      add80(as, ag, bs, bg, 0);
      break;
    case 1:
      mul80(as, ag, bs, bg);
      break;
    case 4:
      add80(as, ag, bs, bg, 0x8000);
      break;
    case 5:
      add80(bs, bg, as, ag, 0x8000);
      break;
    case 6:
      div80(as, ag, bs, bg);
      break;
    default:
      div80(bs, bg, as, ag);
      break;
  }
}

/** Operation on ST(0) and ST(i) with the result in ST(dst). */
export function arithReg(op: u32, i: u32, dst: u32, popAfter: bool): void {
  begin();
  if (isEmpty(0) || isEmpty(i)) {
    if (!stackFault(0)) return;
  } else {
    compute(op, stSe(0), stSig(0), stSe(i), stSig(i));
    if (!commit()) return;
  }
  storeF(dst);
  if (popAfter) pop();
}

/** A widened denormal is no longer recognised by the arithmetic: DE is raised here, unless something of higher priority was. */
function memoryDenormal(ka: i32): void {
  if (Source.denormal && ka < K_NAN && !(FP.flags & (FP_IE | FP_ZE))) FP.flags |= FP_DE;
}

/** ST(0) = ST(0) op F. */
export function arithValue(op: u32): void {
  begin();
  if (isEmpty(0)) {
    if (!stackFault(0)) return;
  } else {
    const as = stSe(0);
    const ag = stSig(0);
    compute(op, as, ag, F.se, F.sig);
    memoryDenormal(classify80(as, ag));
    if (!commit()) return;
  }
  storeF(0);
}

/** Condition codes from a relation of compare80. */
function setConditions(rel: u32): void {
  setSw((getSw() & ~(SW_C0 | SW_C2 | SW_C3)) | (rel << 8));
}

/** FCOM, FCOMP, FICOM, FICOMP with the operand in F. */
export function compareValue(popAfter: bool): void {
  begin();
  if (isEmpty(0)) {
    const go = stackFault(0);
    setConditions(CMP_UNORDERED);
    if (!go) return;
  } else {
    const as = stSe(0);
    const ag = stSig(0);
    const rel = compare80(as, ag, F.se, F.sig, false);
    memoryDenormal(classify80(as, ag));
    const go = commit();
    setConditions(rel);
    if (!go) return;
  }
  if (popAfter) pop();
}

/** FCOM, FUCOM (`quiet`) and, with `eflags`, FCOMI and FUCOMI. */
export function compareReg(i: u32, quiet: bool, pops: i32, eflags: bool): void {
  begin();
  let rel = CMP_UNORDERED;
  let go: bool;
  if (isEmpty(0) || isEmpty(i)) go = stackFault(0);
  else {
    rel = compare80(stSe(0), stSig(0), stSe(i), stSig(i), quiet);
    // FCOMI and FUCOMI leave C1 alone.
    const c1 = getSw() & SW_C1;
    go = commit();
    if (eflags) setSw(getSw() | c1);
  }
  if (eflags) setEflags(rel, 0x8d5);
  else setConditions(rel);
  if (!go) return;
  if (pops >= 1) pop();
  if (pops == 2) pop();
}
