/** D9 E0..FF but the constants: sign changes, tests, square root, remainders, scaling and the transcendental instructions. */
import { classify80, F, isDenormal80, K_FINITE, K_INF, K_NAN, K_ZERO, set80, sqrt80 } from './f80';
import { roundInt80 } from './f80convert';
import { CMP_UNORDERED, compare80, extract80, Rem, rem80, scale80, Xtract } from './f80misc';
import { atan80, cos80, exp2m1, outOfRange80, sin80, tan80, ylog2x, ylog2xp1 } from './f80transcendental';
import { FP, FP_IE } from './unpacked';
import {
  begin, commit, commitFlags, getSw, isEmpty, pop, push, setSt, setSw, stackFault, storeF, stSe, stSig, SW_C0, SW_C1, SW_C2, SW_C3,
} from './x87stack';

/** Condition-code changes after commit(): clears `clear`, sets `set`. */
function conditions(clear: u32, set: u32): void {
  setSw((getSw() & ~clear) | set);
}

function fxam(): void {
  const se = stSe(0);
  const sig = stSig(0);
  let cc: u32;
  if (isEmpty(0)) cc = SW_C3 | SW_C0;
  else {
    const k = classify80(se, sig);
    if (k == K_ZERO) cc = SW_C3;
    else if (k == K_FINITE) cc = isDenormal80(se, sig) ? SW_C3 | SW_C2 : SW_C2;
    else if (k == K_INF) cc = SW_C2 | SW_C0;
    else if (k == K_NAN) cc = SW_C0;
    else cc = 0;
  }
  conditions(SW_C0 | SW_C1 | SW_C2 | SW_C3, cc | (se & 0x8000 ? SW_C1 : 0));
}

/** FSINCOS, FPTAN and FXTRACT replace ST(0) and push. True when both may go on; stack faults are dealt with here. */
function roomForTwo(): bool {
  if (!isEmpty(0) && isEmpty(7)) return true;
  if (stackFault(isEmpty(0) ? 0 : 1)) {
    storeF(0);
    push(F.se, F.sig);
  }
  return false;
}

function ftwo(modrm: u32): void {
  if (modrm != 0xf4) conditions(SW_C2, 0);
  if (!roomForTwo()) {
    return;
  }
  const se = stSe(0);
  const sig = stSig(0);
  if (modrm == 0xf4) {
    extract80(se, sig);
    if (!commit()) return;
    storeF(0);
    push(Xtract.se, Xtract.sig);
    return;
  }
  if (outOfRange80(se, sig)) {
    commitFlags();
    conditions(0, SW_C2);
    return;
  }
  if (modrm == 0xf2) {
    tan80(se, sig);
    if (!commit()) return;
    storeF(0);
    if (classify80(F.se, F.sig) == K_NAN) push(F.se, F.sig);
    else push(0x3fff, 0x8000000000000000);
    return;
  }
  sin80(se, sig);
  const sinSe = F.se;
  const sinSig = F.sig;
  cos80(se, sig);
  if (!commit()) return;
  setSt(0, sinSe, sinSig);
  push(F.se, F.sig);
}

function fsincos1(cosine: bool): void {
  const se = stSe(0);
  const sig = stSig(0);
  if (outOfRange80(se, sig)) {
    commitFlags();
    conditions(0, SW_C2);
    return;
  }
  if (cosine) cos80(se, sig);
  else sin80(se, sig);
  if (!commit()) return;
  storeF(0);
}

function fprem(nearest: bool): void {
  rem80(stSe(0), stSig(0), stSe(1), stSig(1), nearest);
  const q = Rem.quotient;
  FP.up = q & 1;
  const go = commit();
  if (!go || FP.flags & FP_IE || classify80(F.se, F.sig) == K_NAN) {
    if (go) storeF(0);
    return;
  }
  conditions(
    SW_C0 | SW_C3,
    (q & 4 ? SW_C0 : 0) | (q & 2 ? SW_C3 : 0) | (Rem.partial ? SW_C2 : 0),
  );
  if (go) storeF(0);
}

/** modrm E0, E1, E4, E5, F0..F5, F8..FF. */
export function execUnary(modrm: u32): void {
  begin();
  switch (modrm) {
    case 0xe0:
    case 0xe1:
      if (isEmpty(0)) {
        if (!stackFault(0)) return;
      } else {
        const se = stSe(0);
        set80(modrm == 0xe0 ? se ^ 0x8000 : se & 0x7fff, stSig(0));
        commitFlags();
      }
      storeF(0);
      return;
    case 0xe4: {
      let rel = CMP_UNORDERED;
      if (isEmpty(0)) stackFault(0);
      else {
        rel = compare80(stSe(0), stSig(0), 0, 0, false);
        commitFlags();
      }
      conditions(SW_C0 | SW_C2 | SW_C3, rel << 8);
      return;
    }
    case 0xe5:
      fxam();
      return;
    case 0xf2:
    case 0xf4:
    case 0xfb:
      ftwo(modrm);
      return;
    default:
      break;
  }
  if (modrm >= 0xfe || modrm == 0xf5 || modrm == 0xf8) conditions(SW_C2, 0);
  const two = modrm == 0xf1 || modrm == 0xf3 || modrm == 0xf5 || modrm == 0xf8 || modrm == 0xf9 || modrm == 0xfd;
  const popAfter = modrm == 0xf1 || modrm == 0xf3 || modrm == 0xf9;
  if (isEmpty(0) || (two && isEmpty(1))) {
    if (!stackFault(0)) return;
    storeF(popAfter ? 1 : 0);
    if (popAfter) pop();
    return;
  }
  const se = stSe(0);
  const sig = stSig(0);
  switch (modrm) {
    case 0xf0:
      exp2m1(se, sig);
      break;
    case 0xf1:
      ylog2x(se, sig, stSe(1), stSig(1));
      break;
    case 0xf3:
      atan80(stSe(1), stSig(1), se, sig);
      break;
    case 0xf5:
    case 0xf8:
      fprem(modrm == 0xf5);
      return;
    case 0xf9:
      ylog2xp1(se, sig, stSe(1), stSig(1));
      break;
    case 0xfa:
      sqrt80(se, sig);
      break;
    case 0xfc:
      roundInt80(se, sig);
      break;
    case 0xfd:
      scale80(se, sig, stSe(1), stSig(1));
      break;
    default:
      fsincos1(modrm == 0xff);
      return;
  }
  if (!commit()) return;
  storeF(popAfter ? 1 : 0);
  if (popAfter) pop();
}
