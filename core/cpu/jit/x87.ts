/**
 * x87 instructions (SDM volume 2) on the values that a region holds in locals (x87emitter.ts). What has no translation is executed by the
 * interpreter inside the region; what would raise an exception that is not masked, or a stack fault, is left to it outside.
 */
import type { Insn } from './decode.ts';
import type { Translation } from './translation.ts';
import { arithmeticMemory, arithmeticRegister, compareFlags, compareMemory, compareRegister, testZero, viaHelper } from './x87arith.ts';
import { type Effect, isX87, x87Effect } from './x87effects.ts';
import { X87_ROOT, X87_ROUND, X87_SCALE } from './x87functions.ts';
import { DOUBLE, SINGLE, loadExtended, loadFloat, loadInteger, storeExtended, storeFloat, storeInteger } from './x87memory.ts';
import {
  changeSign,
  exchange,
  loadConstant,
  loadControl,
  loadStack,
  moveOnCondition,
  noOperation,
  onlyTags,
  statusToAx,
  storeControl,
  storeRegister,
  storeStatus,
} from './x87move.ts';

const nothing: Translation = () => {};

function memoryTranslation(insn: Insn): Translation {
  const reg = insn.reg & 7;
  if (!(insn.op & 1)) return reg === 2 || reg === 3 ? compareMemory : arithmeticMemory;
  switch (((insn.op & 6) << 2) | reg) {
    case 0o00:
      return loadFloat(SINGLE);
    case 0o20:
      return loadFloat(DOUBLE);
    case 0o15:
      return loadExtended;
    case 0o30:
      return loadInteger(2);
    case 0o10:
      return loadInteger(4);
    case 0o35:
      return loadInteger(8);
    case 0o02:
    case 0o03:
      return storeFloat(SINGLE);
    case 0o22:
    case 0o23:
      return storeFloat(DOUBLE);
    case 0o17:
      return storeExtended;
    case 0o32:
    case 0o33:
      return storeInteger(2);
    case 0o12:
    case 0o13:
      return storeInteger(4);
    case 0o37:
      return storeInteger(8);
    case 0o31:
      return storeInteger(2, true);
    case 0o11:
      return storeInteger(4, true);
    case 0o21:
      return storeInteger(8, true);
    case 0o05:
      return loadControl;
    case 0o07:
      return storeControl;
    default:
      return storeStatus;
  }
}

function unaryTranslation(modrm: number): Translation {
  switch (modrm) {
    case 0xe0:
    case 0xe1:
      return changeSign;
    case 0xe4:
      return testZero;
    case 0xfa:
      return viaHelper(X87_ROOT);
    case 0xfc:
      return viaHelper(X87_ROUND);
    case 0xfd:
      return viaHelper(X87_SCALE);
    case 0xf6:
    case 0xf7:
      return onlyTags;
  }
  return loadConstant(modrm - 0xe8);
}

function registerTranslation(insn: Insn): Translation {
  const i = insn.rm & 7;
  const reg = insn.reg & 7;
  const comparison = reg === 2 || reg === 3;
  switch (insn.op & 7) {
    case 0:
      return comparison ? compareRegister(i) : arithmeticRegister(i, 0);
    case 1:
      if (reg === 0) return loadStack(i);
      if (reg === 1) return exchange(i);
      if (reg === 2) return noOperation;
      return reg === 3 ? storeRegister(i) : unaryTranslation(insn.modrm);
    case 2:
      return reg < 4 ? moveOnCondition(i) : compareRegister(1, true);
    case 3:
      if (reg < 4) return moveOnCondition(i);
      if (reg === 4) return i === 2 ? (e) => e.clearExceptions() : nothing;
      return compareFlags(i, reg === 5);
    case 4:
      return comparison ? compareRegister(i) : arithmeticRegister(i, i);
    case 5:
      if (reg === 0) return onlyTags;
      if (reg === 1) return exchange(i);
      return reg < 4 ? storeRegister(i) : compareRegister(i, true);
    case 6:
      return comparison ? compareRegister(i) : arithmeticRegister(i, i);
    default:
      if (reg === 0) return onlyTags;
      if (reg === 1) return exchange(i);
      if (reg < 4) return storeRegister(i);
      return reg === 4 ? statusToAx : compareFlags(i, reg === 5);
  }
}

function checked(effect: Effect, translation: Translation): Translation {
  return (e, insn) => {
    e.beginX87(effect);
    translation(e, insn);
  };
}

/** The translation of an x87 instruction; undefined when it is none, or ends a region. */
export function x87Translation(insn: Insn): Translation | undefined {
  const effect = isX87(insn) ? x87Effect(insn) : undefined;
  if (!effect) return undefined;
  if (!effect.own) return (e, i) => e.interpret(e.flow!.after(i, e.stack));
  return checked(effect, insn.op < 0xd8 ? nothing : insn.memory ? memoryTranslation(insn) : registerTranslation(insn));
}
