/** General-purpose instructions (SDM volume 2) as WebAssembly. Same results, undefined flags included, as core/cpu/x86/semantics.ts. */
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import { S_EFLAGS } from '../interp/wasm/stateoffsets.ts';
import type { Insn } from './decode.ts';
import { aluAccumulator, aluImmediate, aluModrmReg, incDecModrm, incDecRegister, test, testAccumulator } from './integerarith.ts';
import { bitScan, bitTest } from './integerbit.ts';
import { compareExchange, exchangeAdd, xchg, xchgAccumulator } from './integerexchange.ts';
import {
  byteSwap,
  extend,
  lea,
  loadAccumulator,
  moveCondition,
  movImmediate,
  movRegisterImmediate,
  movsxd,
  movToModrm,
  movToRegister,
  setCondition,
  signExtendAccumulator,
  storeAccumulator,
} from './integermove.ts';
import { group3, imul } from './integermuldiv.ts';
import { doubleShift, shift } from './integershift.ts';
import { leave, popRegister, pushImmediate, pushModrm, pushRegister } from './integerstack.ts';
import { string } from './integerstring.ts';
import type { Translation } from './translation.ts';
import { I32, OP } from './wasmcode.ts';

const DIRECTION = 0x400;

const direction: Translation = (e, insn) => {
  const { c } = e;
  c.i32(0)
    .i32(0)
    .memory(OP.i32Load, CPU_STATE_BASE + S_EFLAGS);
  if (insn.op === 0xfd) c.i32(DIRECTION).op(OP.i32Or);
  else c.i32(~DIRECTION).op(OP.i32And);
  c.memory(OP.i32Store, CPU_STATE_BASE + S_EFLAGS);
};

const changeCarry: Translation = (e, insn) => {
  const carry = e.temp(I32);
  if (insn.op === 0xf5) {
    e.carry();
    e.c.i32(1).op(OP.i32Xor);
  } else e.c.i32(insn.op & 1);
  e.c.set(carry);
  e.setCarry(carry);
};

const nothing: Translation = () => {};
const interpret: Translation = (e) => e.interpret();

/** Of 16-bit code: BCD arithmetic, PUSHA, POPA, INS, OUTS, loads of far pointers, ENTER. */
const INTERPRETED_16 = new Set([0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x6c, 0x6d, 0x6e, 0x6f, 0xc4, 0xc5, 0xc8, 0xd4, 0xd5, 0x1b4, 0x1b5]);

/** The translation of a decoded instruction that does not end a block; undefined when it has none. */
export function integerTranslation(insn: Insn): Translation | undefined {
  const { op } = insn;
  if (insn.lock && !(insn.memory && lockable(insn))) return undefined;
  if (insn.real && INTERPRETED_16.has(op)) return interpret;
  if (op < 0x40) {
    const low = op & 7;
    return low < 4 ? aluModrmReg : low < 6 ? aluAccumulator : undefined;
  }
  if (op < 0x50) return incDecRegister;
  if (op < 0x58) return pushRegister;
  if (op < 0x60) return popRegister;
  if (op >= 0xb0 && op <= 0xbf) return movRegisterImmediate;
  if (op >= 0x91 && op <= 0x97) return xchgAccumulator;
  if (op >= 0x140 && op <= 0x14f) return moveCondition;
  if (op >= 0x190 && op <= 0x19f) return setCondition;
  if (op >= 0x1c8 && op <= 0x1cf) return byteSwap;
  switch (op) {
    case 0x63:
      return movsxd;
    case 0x68:
    case 0x6a:
      return pushImmediate;
    case 0x69:
    case 0x6b:
    case 0x1af:
      return imul;
    case 0x80:
    case 0x81:
    case 0x83:
      return aluImmediate;
    case 0x84:
    case 0x85:
      return test;
    case 0x86:
    case 0x87:
      return xchg;
    case 0x88:
    case 0x89:
      return movToModrm;
    case 0x8a:
    case 0x8b:
      return movToRegister;
    case 0x8d:
      return insn.memory ? lea : undefined;
    case 0x8f:
      return (insn.reg & 7) === 0 ? interpret : undefined;
    case 0x90:
      // With REX.B it is XCHG R8, RAX, whatever stands before it.
      return insn.rm === 0 ? nothing : xchgAccumulator;
    case 0x98:
    case 0x99:
      return signExtendAccumulator;
    case 0xa4:
    case 0xa5:
    case 0xa6:
    case 0xa7:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad:
    case 0xae:
    case 0xaf:
      return string;
    case 0x9e:
    case 0x9f:
    case 0xd7:
      return interpret;
    case 0xa0:
    case 0xa1:
      return loadAccumulator;
    case 0xa2:
    case 0xa3:
      return storeAccumulator;
    case 0xa8:
    case 0xa9:
      return testAccumulator;
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return shift;
    case 0xc6:
    case 0xc7:
      return (insn.reg & 7) === 0 ? movImmediate : undefined;
    case 0xc9:
      return leave;
    case 0xf5:
    case 0xf8:
    case 0xf9:
      return changeCarry;
    case 0xfc:
    case 0xfd:
      return direction;
    case 0xf6:
    case 0xf7:
      return group3;
    case 0xfe:
      return (insn.reg & 7) < 2 ? incDecModrm : undefined;
    case 0xff: {
      const kind = insn.reg & 7;
      return kind < 2 ? incDecModrm : kind === 6 ? pushModrm : undefined;
    }
    case 0x10d:
    case 0x118:
    case 0x119:
    case 0x11a:
    case 0x11b:
    case 0x11c:
    case 0x11d:
    case 0x11e:
    case 0x11f:
      return nothing;
    case 0x1a3:
    case 0x1ab:
    case 0x1b3:
    case 0x1bb:
      return bitTest;
    case 0x1ba:
      return (insn.reg & 7) >= 4 ? bitTest : undefined;
    case 0x1a4:
    case 0x1a5:
    case 0x1ac:
    case 0x1ad:
      return doubleShift;
    case 0x1b0:
    case 0x1b1:
      return compareExchange;
    case 0x1c0:
    case 0x1c1:
      return exchangeAdd;
    case 0x1b6:
    case 0x1b7:
    case 0x1be:
    case 0x1bf:
      return extend;
    case 0x1bc:
    case 0x1bd:
      return bitScan;
    case 0x1b8:
      return undefined;
  }
  return undefined;
}

function lockable(insn: Insn): boolean {
  const { op } = insn;
  if (op < 0x38) return (op & 7) < 2;
  if (op === 0x80 || op === 0x81 || op === 0x83) return (insn.reg & 7) !== 7;
  if (op === 0xf6 || op === 0xf7) return (insn.reg & 7) === 2 || (insn.reg & 7) === 3;
  if (op === 0xfe || op === 0xff) return (insn.reg & 7) < 2;
  return [0x86, 0x87, 0x1ab, 0x1b3, 0x1bb, 0x1b0, 0x1b1, 0x1c0, 0x1c1].includes(op) || (op === 0x1ba && (insn.reg & 7) > 4);
}
