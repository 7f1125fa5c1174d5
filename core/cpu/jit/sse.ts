/**
 * Vector instructions (SDM volume 2) as WebAssembly: MMX, SSE to SSE4.2. What has no translation of its own is executed by the interpreter
 * inside the region, so that loops stay in it.
 */
import type { Insn } from './decode.ts';
import { convertTranslation } from './ssecvt.ts';
import { floatTranslation } from './ssefloat.ts';
import { integerVectorTranslation } from './sseint.ts';
import { moveTranslation } from './ssemove.ts';
import type { Translation } from './sseoperand.ts';

/** General registers or flags are involved, so that the interpreter must see, and may change, all of the state. */
function usesCore(insn: Insn): boolean {
  const { op, prefix } = insn;
  switch (op) {
    case 0x12a:
    case 0x12c:
    case 0x12d:
      return prefix === 0xf2 || prefix === 0xf3;
    case 0x12e:
    case 0x12f:
    case 0x150:
    case 0x16e:
    case 0x17e:
    case 0x1b8:
    case 0x1c3:
    case 0x1c4:
    case 0x1c5:
    case 0x1c7:
    case 0x1d7:
    case 0x1f7:
    case 0x217:
    case 0x320:
    case 0x322:
      return true;
  }
  return (op >= 0x2f0 && op < 0x300) || (op >= 0x314 && op <= 0x317) || (op >= 0x360 && op <= 0x363) || op >= 0x3f0;
}

const interpret: Translation = (e, insn) => {
  if (usesCore(insn)) {
    e.interpret();
    e.floatRefresh();
  } else e.interpretVector();
};

const stateAccess: Translation = (e) => {
  e.interpret();
  e.floatRefresh();
};
const nothing: Translation = () => {};

/** 0F AE. */
function group15(insn: Insn): Translation | undefined {
  if (insn.prefix) return undefined;
  if (insn.memory) return stateAccess;
  // LFENCE, MFENCE, SFENCE: memory is always in order here.
  return (insn.reg & 7) >= 5 ? nothing : undefined;
}

function decoded(op: number): boolean {
  if (op < 0x200) {
    return (
      (op >= 0x110 && op <= 0x117) ||
      (op >= 0x128 && op <= 0x12f) ||
      (op >= 0x150 && op <= 0x17f) ||
      op === 0x1b8 ||
      (op >= 0x1c2 && op <= 0x1c6) ||
      (op >= 0x1d0 && op <= 0x1fe)
    );
  }
  // 0F 38 80..82 are INVEPT, INVVPID and INVPCID.
  return op < 0x280 || op > 0x282;
}

/** The translation of a decoded vector instruction; undefined when it is none. */
export function sseTranslation(insn: Insn): Translation | undefined {
  const { op } = insn;
  // CMPXCHG8B and CMPXCHG16B.
  if (op === 0x1c7) return insn.memory && (insn.reg & 7) === 1 ? stateAccess : undefined;
  if (op < 0x100 || insn.lock) return undefined;
  if (op === 0x1ae) return group15(insn);
  const own = moveTranslation(insn) ?? integerVectorTranslation(insn) ?? floatTranslation(insn) ?? convertTranslation(insn);
  if (own)
    return (e, i) => {
      e.usesSse = true;
      own(e, i);
    };
  return decoded(op) ? interpret : undefined;
}
