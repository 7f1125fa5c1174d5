/** Loads onto the stack, FXCH, FST(P) ST(i), FCMOVcc and the constants. */
import { getEflags } from '../flags';
import { F, quieten80, set80 } from './f80';
import { Source } from './f80convert';
import { FP, FP_DE, FP_IE, RC_NEAREST, RC_UP } from './unpacked';
import { classify80, Ctl, K_NAN } from './f80';
import { begin, commit, commitFlags, isEmpty, pop, push, setSt, stackFault, storeF, stSe, stSig } from './x87stack';

function pushF(): void {
  push(F.se, F.sig);
}

/** Pushes F, a widened single, double or integer. */
export function loadValue(): void {
  begin();
  if (!isEmpty(7)) {
    if (!stackFault(1)) return;
  } else {
    if (classify80(F.se, F.sig) == K_NAN) quieten80(F.se, F.sig);
    if (Source.denormal) FP.flags |= FP_DE;
    // The value is delivered even when DE is unmasked (SDM volume 1, 8.5.2).
    if (!commit() && FP.flags & FP_IE) return;
  }
  pushF();
}

/** Pushes F as it is: FLD m80 and FBLD raise nothing but stack faults. */
export function loadExtended(): void {
  begin();
  if (!isEmpty(7)) {
    if (!stackFault(1)) return;
  } else commitFlags();
  pushF();
}

export function loadStack(i: u32): void {
  begin();
  if (isEmpty(i) || !isEmpty(7)) {
    // Underflow comes first.
    if (!stackFault(isEmpty(i) ? 0 : 1)) return;
  } else {
    set80(stSe(i), stSig(i));
    commitFlags();
  }
  pushF();
}

/** FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ: rounded from 66-bit internal values by RC (SDM volume 1, 8.3.8). */
export function loadConstant(i: u32): void {
  begin();
  const rc = Ctl.rc;
  const nearUp = <u64>(rc == RC_NEAREST || rc == RC_UP);
  switch (i) {
    case 0:
      set80(0x3fff, 0x8000000000000000);
      break;
    case 1:
      set80(0x4000, 0xd49a784bcd1b8afe + <u64>(rc == RC_UP));
      break;
    case 2:
      set80(0x3fff, 0xb8aa3b295c17f0bb + nearUp);
      break;
    case 3:
      set80(0x4000, 0xc90fdaa22168c234 + nearUp);
      break;
    case 4:
      set80(0x3ffd, 0x9a209a84fbcff798 + nearUp);
      break;
    case 5:
      set80(0x3ffe, 0xb17217f7d1cf79ab + nearUp);
      break;
    default:
      set80(0, 0);
      break;
  }
  if (!isEmpty(7)) {
    if (!stackFault(1)) return;
  } else commitFlags();
  pushF();
}

export function fxch(i: u32): void {
  begin();
  const e0 = isEmpty(0);
  const ei = isEmpty(i);
  let s0 = stSe(0);
  let g0 = stSig(0);
  let si = stSe(i);
  let gi = stSig(i);
  if (e0 || ei) {
    if (!stackFault(0)) return;
    if (e0) {
      s0 = F.se;
      g0 = F.sig;
    }
    if (ei) {
      si = F.se;
      gi = F.sig;
    }
  } else commitFlags();
  setSt(0, si, gi);
  setSt(i, s0, g0);
}

export function storeReg(i: u32, popAfter: bool): void {
  begin();
  if (isEmpty(0)) {
    if (!stackFault(0)) return;
  } else {
    set80(stSe(0), stSig(0));
    commitFlags();
  }
  storeF(i);
  if (popAfter) pop();
}

/** FSTPNCE (D9 D8), an FSTP that nobody documents any more: an empty ST(0) is no exception, and leaves ST(i) as it was. */
export function storeQuietly(i: u32): void {
  if (!isEmpty(0)) {
    storeReg(i, true);
    return;
  }
  begin();
  commitFlags();
  pop();
}

/** Condition by modrm.reg: 0 B (CF), 1 E (ZF), 2 BE (CF or ZF), 3 U (PF); DB negates. */
export function fcmov(i: u32, cond: u32, negate: bool): void {
  begin();
  if (isEmpty(0) || isEmpty(i)) {
    if (stackFault(0)) storeF(0);
    return;
  }
  const mask: u32 = cond == 0 ? 1 : cond == 1 ? 0x40 : cond == 2 ? 0x41 : 4;
  if (((getEflags() & mask) != 0) != negate) setSt(0, stSe(i), stSig(i));
}
