/** General-purpose instructions (SDM volume 2) as WebAssembly. Same results, undefined flags included, as core/cpu/x86/semantics.ts. */
import {
  FLAG_ADC,
  FLAG_ADD,
  FLAG_DEC,
  FLAG_IMUL,
  FLAG_INC,
  FLAG_LOGIC,
  FLAG_MUL,
  FLAG_ROL,
  FLAG_ROR,
  FLAG_SAR,
  FLAG_SBB,
  FLAG_SCAN,
  FLAG_SHL,
  FLAG_SHLD,
  FLAG_SHR,
  FLAG_SHRD,
  FLAG_SUB,
} from '../interp/wasm/jitoffsets.ts';
import { S_EFLAGS } from '../interp/wasm/stateoffsets.ts';
import { CPU_STATE_BASE } from '../../memory/layout.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { I32, I64, OP } from './wasmcode.ts';

const ADD = 0;
const OR = 1;
const ADC = 2;
const SBB = 3;
const AND = 4;
const SUB = 5;
const XOR = 6;
const CMP = 7;

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RBP = 5;
const DIRECTION = 0x400;

type Translation = (e: Emitter, insn: Insn) => void;

const isWide = (width: Width): boolean => width === 8;
const pick = (width: Width, op32: number, op64: number): number => (isWide(width) ? op64 : op32);
/** Width of an instruction whose bit 0 tells byte from operand size. */
const widthOf = (insn: Insn): Width => (insn.op & 1 ? insn.osize : 1);

/** Keeps the low `width` bytes of the i32 on the stack. */
function narrow(e: Emitter, width: Width): void {
  if (width === 1) e.c.i32(0xff).op(OP.i32And);
  else if (width === 2) e.c.i32(0xffff).op(OP.i32And);
}

/** Sign-extends the i32 or i64 on the stack from `width`. */
function signExtend(e: Emitter, width: Width): void {
  if (width === 1) e.c.op(OP.i32Extend8S);
  else if (width === 2) e.c.op(OP.i32Extend16S);
}

function toTemp(e: Emitter, width: Width, emit: () => void): number {
  emit();
  const temp = e.temp(e.typeOf(width));
  e.c.set(temp);
  return temp;
}

function readModrm(e: Emitter, insn: Insn, width: Width): void {
  if (insn.memory) e.load(e.address(insn), width);
  else e.reg(insn.rm, width);
}

/** Reads, computes, writes the modrm operand. */
function modifyModrm(e: Emitter, insn: Insn, width: Width, compute: (old: number) => number, after: () => void = () => {}): void {
  if (insn.memory) {
    e.modify(e.address(insn), width, compute, after);
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = compute(old);
  e.c.get(value);
  e.setReg(insn.rm, width);
  after();
}

function storeModrm(e: Emitter, insn: Insn, width: Width, value: number): void {
  if (insn.memory) e.store(e.address(insn), width, value);
  else {
    e.c.get(value);
    e.setReg(insn.rm, width);
  }
}

/** `a kind b`: the result's temporary; -1 for CMP. Sets flags. */
function arithmetic(e: Emitter, kind: number, width: Width, a: number, b: number): number {
  const { c } = e;
  const result = e.temp(e.typeOf(width));
  switch (kind) {
    case ADD:
    case SUB:
      c.get(a)
        .get(b)
        .op(kind === ADD ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      narrow(e, width);
      c.set(result);
      e.setFlags(kind === ADD ? FLAG_ADD : FLAG_SUB, width, a, b);
      return result;
    case CMP:
      e.setFlags(FLAG_SUB, width, a, b);
      return -1;
    case ADC:
    case SBB: {
      const carry = e.temp(I32);
      e.carry();
      c.set(carry);
      c.get(a)
        .get(b)
        .op(kind === ADC ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      c.get(carry);
      if (isWide(width)) c.op(OP.i64ExtendI32U);
      c.op(kind === ADC ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
      narrow(e, width);
      c.set(result);
      let wide = carry;
      if (isWide(width)) {
        wide = e.temp(I64);
        c.get(carry).op(OP.i64ExtendI32U).set(wide);
      }
      e.setFlags(kind === ADC ? FLAG_ADC : FLAG_SBB, width, a, b, wide);
      return result;
    }
    default: {
      const op =
        kind === OR
          ? pick(width, OP.i32Or, OP.i64Or)
          : kind === AND
            ? pick(width, OP.i32And, OP.i64And)
            : pick(width, OP.i32Xor, OP.i64Xor);
      c.get(a).get(b).op(op).set(result);
      e.setFlags(FLAG_LOGIC, width, result);
      return result;
    }
  }
}

const aluModrmReg: Translation = (e, insn) => {
  const kind = (insn.op >> 3) & 7;
  const width = widthOf(insn);
  const toRegister = (insn.op & 2) !== 0;
  if (!toRegister && kind !== CMP) {
    const b = toTemp(e, width, () => e.reg(insn.reg, width));
    modifyModrm(e, insn, width, (old) => arithmetic(e, kind, width, old, b));
    return;
  }
  // XOR r, r and SUB r, r do not depend on r.
  if (!insn.memory && insn.rm === insn.reg && kind === XOR && width >= 4) {
    const zero = toTemp(e, width, () => e.const(width, 0));
    e.c.get(zero);
    e.setReg(insn.reg, width);
    e.setFlags(FLAG_LOGIC, width, zero);
    return;
  }
  const modrm = toTemp(e, width, () => readModrm(e, insn, width));
  const register = toTemp(e, width, () => e.reg(insn.reg, width));
  const result = toRegister ? arithmetic(e, kind, width, register, modrm) : arithmetic(e, kind, width, modrm, register);
  if (result >= 0) {
    e.c.get(result);
    e.setReg(insn.reg, width);
  }
};

const aluAccumulator: Translation = (e, insn) => {
  const kind = (insn.op >> 3) & 7;
  const width = widthOf(insn);
  const a = toTemp(e, width, () => e.reg(RAX, width));
  const b = toTemp(e, width, () => e.const(width, insn.imm));
  const result = arithmetic(e, kind, width, a, b);
  if (result >= 0) {
    e.c.get(result);
    e.setReg(RAX, width);
  }
};

const aluImmediate: Translation = (e, insn) => {
  const kind = insn.reg & 7;
  const width: Width = insn.op === 0x80 ? 1 : insn.osize;
  const b = toTemp(e, width, () => e.const(width, insn.imm));
  if (kind === CMP) {
    const a = toTemp(e, width, () => readModrm(e, insn, width));
    arithmetic(e, CMP, width, a, b);
  } else modifyModrm(e, insn, width, (old) => arithmetic(e, kind, width, old, b));
};

function testFlags(e: Emitter, width: Width, a: () => void, b: () => void): void {
  const result = e.temp(e.typeOf(width));
  a();
  b();
  e.c.op(pick(width, OP.i32And, OP.i64And)).set(result);
  e.setFlags(FLAG_LOGIC, width, result);
}

const test: Translation = (e, insn) => {
  const width = widthOf(insn);
  testFlags(
    e,
    width,
    () => readModrm(e, insn, width),
    () => e.reg(insn.reg, width),
  );
};
const testAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  testFlags(
    e,
    width,
    () => e.reg(RAX, width),
    () => e.const(width, insn.imm),
  );
};

const xchg: Translation = (e, insn) => {
  const width = widthOf(insn);
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  let before = -1;
  modifyModrm(
    e,
    insn,
    width,
    (old) => {
      before = old;
      return b;
    },
    () => {
      e.c.get(before);
      e.setReg(insn.reg, width);
    },
  );
};

const xchgAccumulator: Translation = (e, insn) => {
  if (insn.rm === RAX) return;
  const width = insn.osize;
  const a = toTemp(e, width, () => e.reg(RAX, width));
  e.reg(insn.rm, width);
  e.setReg(RAX, width);
  e.c.get(a);
  e.setReg(insn.rm, width);
};

const movToModrm: Translation = (e, insn) => {
  const width = widthOf(insn);
  if (insn.memory) {
    const ea = e.address(insn);
    const value = toTemp(e, width, () => e.reg(insn.reg, width));
    e.store(ea, width, value);
  } else {
    e.reg(insn.reg, width);
    e.setReg(insn.rm, width);
  }
};
const movToRegister: Translation = (e, insn) => {
  const width = widthOf(insn);
  readModrm(e, insn, width);
  e.setReg(insn.reg, width);
};
const loadAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  e.load(e.address(insn), width);
  e.setReg(RAX, width);
};
const storeAccumulator: Translation = (e, insn) => {
  const width = widthOf(insn);
  const ea = e.address(insn);
  e.store(
    ea,
    width,
    toTemp(e, width, () => e.reg(RAX, width)),
  );
};
const movImmediate: Translation = (e, insn) => {
  const width = widthOf(insn);
  if (insn.memory) {
    const ea = e.address(insn);
    const value = toTemp(e, width, () => e.const(width, insn.imm));
    e.store(ea, width, value);
  } else {
    e.const(width, insn.imm);
    e.setReg(insn.rm, width);
  }
};
const movRegisterImmediate: Translation = (e, insn) => {
  if (insn.op < 0xb8) {
    e.const(1, insn.imm);
    e.setReg(insn.rm, 1);
  } else if (insn.osize === 8) {
    e.c.i64(insn.imm64);
    e.setGpr(insn.rm);
  } else {
    e.const(insn.osize, insn.imm);
    e.setReg(insn.rm, insn.osize);
  }
};

const lea: Translation = (e, insn) => {
  e.offset(insn);
  if (insn.osize !== 8) e.fromWord();
  e.setReg(insn.reg, insn.osize);
};

const movsxd: Translation = (e, insn) => {
  if (insn.osize === 8) {
    readModrm(e, insn, 4);
    e.c.op(OP.i64ExtendI32S);
    e.setGpr(insn.reg);
  } else {
    readModrm(e, insn, insn.osize);
    e.setReg(insn.reg, insn.osize);
  }
};

const extend: Translation = (e, insn) => {
  const from: Width = insn.op & 1 ? 2 : 1;
  readModrm(e, insn, from);
  if (insn.op & 8) {
    signExtend(e, from);
    if (insn.osize === 8) e.c.op(OP.i64ExtendI32S);
  } else if (insn.osize === 8) e.c.op(OP.i64ExtendI32U);
  e.setReg(insn.reg, insn.osize);
};

/** REX.W wins over 66. */
const stackWidth = (e: Emitter, insn: Insn): Width => (insn.osize === 2 ? 2 : e.mode === 64 ? 8 : 4);

const pushRegister: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.push(
    toTemp(e, width, () => e.reg(insn.rm, width)),
    width,
  );
};
const popRegister: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.top(width);
  const value = e.temp(e.typeOf(width));
  e.c.set(value);
  // POP rSP: the loaded value wins.
  e.drop(width);
  e.c.get(value);
  e.setReg(insn.rm, width);
};
const pushImmediate: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  e.push(
    toTemp(e, width, () => e.const(width, insn.imm)),
    width,
  );
};
const leave: Translation = (e, insn) => {
  const width = stackWidth(e, insn);
  const frame = e.temp(e.word);
  e.gpr(RBP);
  e.c.set(frame);
  e.load(frame, width);
  const value = e.temp(e.typeOf(width));
  e.c.set(value);
  e.c.get(frame);
  e.wordConst(width);
  e.wordAdd();
  e.setGpr(RSP);
  e.c.get(value);
  e.setReg(RBP, width);
};

function increment(e: Emitter, width: Width, old: number, up: boolean): number {
  const { c } = e;
  const carry = e.temp(I32);
  if (!e.flagsDead) {
    e.carry();
    c.set(carry);
  }
  const result = e.temp(e.typeOf(width));
  c.get(old);
  e.const(width, 1);
  c.op(up ? pick(width, OP.i32Add, OP.i64Add) : pick(width, OP.i32Sub, OP.i64Sub));
  narrow(e, width);
  c.set(result);
  let kept = carry;
  if (isWide(width)) {
    kept = e.temp(I64);
    c.get(carry).op(OP.i64ExtendI32U).set(kept);
  }
  e.setFlags(up ? FLAG_INC : FLAG_DEC, width, old, kept);
  return result;
}
const incDecRegister: Translation = (e, insn) => {
  const width = insn.osize;
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = increment(e, width, old, insn.op < 0x48);
  e.c.get(value);
  e.setReg(insn.rm, width);
};

const group5: Translation = (e, insn) => {
  const width = widthOf(insn);
  const kind = insn.reg & 7;
  if (kind < 2) modifyModrm(e, insn, width, (old) => increment(e, width, old, kind === 0));
  else {
    // PUSH.
    const size = stackWidth(e, insn);
    e.push(
      toTemp(e, size, () => readModrm(e, insn, size)),
      size,
    );
  }
};

/** High half of the product of two i64 temporaries; `signed` as IMUL. The result is on the stack. */
export function multiplyHigh(e: Emitter, a: number, b: number, signed: boolean): void {
  const { c } = e;
  // Schoolbook over 32-bit halves (Hacker's Delight, 8-2).
  const half = (v: number, high: boolean, extend: boolean) => {
    c.get(v);
    if (high) c.i64(32).op(extend ? OP.i64ShrS : OP.i64ShrU);
    else c.i64(0xffffffffn).op(OP.i64And);
  };
  const t = e.temp(I64);
  const w = e.temp(I64);
  half(a, false, false);
  half(b, false, false);
  c.op(OP.i64Mul).i64(32).op(OP.i64ShrU);
  half(a, true, signed);
  half(b, false, false);
  c.op(OP.i64Mul, OP.i64Add).set(t);
  c.get(t).i64(0xffffffffn).op(OP.i64And);
  half(a, false, false);
  half(b, true, signed);
  c.op(OP.i64Mul, OP.i64Add).set(w);
  half(a, true, signed);
  half(b, true, signed);
  c.op(OP.i64Mul);
  c.get(t)
    .i64(32)
    .op(signed ? OP.i64ShrS : OP.i64ShrU, OP.i64Add);
  c.get(w)
    .i64(32)
    .op(signed ? OP.i64ShrS : OP.i64ShrU, OP.i64Add);
}

/** One-operand MUL and IMUL. */
function multiply(e: Emitter, insn: Insn, width: Width, signed: boolean): void {
  const { c } = e;
  const b = toTemp(e, width, () => readModrm(e, insn, width));
  const a = toTemp(e, width, () => e.reg(RAX, width));
  const significant = e.temp(I32);
  if (width === 8) {
    const high = e.temp(I64);
    const low = e.temp(I64);
    multiplyHigh(e, a, b, signed);
    c.set(high);
    c.get(a).get(b).op(OP.i64Mul).set(low);
    c.get(low);
    e.setGpr(RAX);
    c.get(high);
    e.setGpr(RDX);
    c.get(high);
    if (signed) c.get(low).i64(63).op(OP.i64ShrS);
    else c.i64(0);
    c.op(OP.i64Ne).set(significant);
    const wide = e.temp(I64);
    c.get(significant).op(OP.i64ExtendI32U).set(wide);
    e.setFlags(FLAG_MUL, 8, low, wide);
    return;
  }
  const product = e.temp(I64);
  const low = e.temp(I32);
  const operand = (v: number) => {
    c.get(v);
    if (signed) {
      signExtend(e, width);
      c.op(OP.i64ExtendI32S);
    } else c.op(OP.i64ExtendI32U);
  };
  operand(a);
  operand(b);
  c.op(OP.i64Mul).set(product);
  c.get(product).op(OP.i32WrapI64);
  narrow(e, width);
  c.set(low);
  if (width === 1) {
    c.get(product).op(OP.i32WrapI64);
    e.setReg(RAX, 2);
  } else {
    c.get(low);
    e.setReg(RAX, width);
    c.get(product)
      .i64(width * 8)
      .op(OP.i64ShrU, OP.i32WrapI64);
    e.setReg(RDX, width);
  }
  c.get(product);
  if (signed) {
    c.get(low);
    signExtend(e, width);
    c.op(OP.i64ExtendI32S, OP.i64Ne);
  } else
    c.i64(width * 8)
      .op(OP.i64ShrU)
      .i64(0)
      .op(OP.i64Ne);
  c.set(significant);
  e.setFlags32(FLAG_MUL, width, low, significant);
}

/** DIV and IDIV of 2 and 4 bytes, DIV and IDIV of 8 when the dividend fits in 64 bits; otherwise the interpreter divides, and raises #DE. */
function divide(e: Emitter, insn: Insn, width: Width, signed: boolean): void {
  const { c } = e;
  if (width === 1) {
    e.interpret();
    return;
  }
  const divisor = toTemp(e, width, () => readModrm(e, insn, width));
  const n = e.temp(I64);
  const d = e.temp(I64);
  const q = e.temp(I64);
  if (width === 8) {
    c.get(divisor).set(d);
    e.gpr(RAX);
    c.set(n);
    // The upper half must be the (sign or zero) extension of the lower one.
    e.gpr(RDX);
    if (signed) c.get(n).i64(63).op(OP.i64ShrS);
    else c.i64(0);
    c.op(OP.i64Ne);
    c.get(d).op(OP.i64Eqz, OP.i32Or);
    if (signed) c.get(d).i64(-1).op(OP.i64Eq).op(OP.i32Or);
  } else {
    c.get(divisor);
    if (signed) {
      signExtend(e, width);
      c.op(OP.i64ExtendI32S);
    } else c.op(OP.i64ExtendI32U);
    c.set(d);
    e.reg(RDX, width);
    c.op(OP.i64ExtendI32U)
      .i64(width * 8)
      .op(OP.i64Shl);
    e.reg(RAX, width);
    c.op(OP.i64ExtendI32U, OP.i64Or);
    if (signed && width === 2) c.op(OP.i32WrapI64, OP.i64ExtendI32S);
    c.set(n);
    c.get(d).op(OP.i64Eqz);
    if (signed && width === 4) c.get(d).i64(-1).op(OP.i64Eq).op(OP.i32Or);
  }
  // Divisors with a special case (0, and -1 whose quotient may overflow) and wide dividends are the interpreter's.
  e.openRare();
  e.exitStep();
  e.close();
  c.get(n)
    .get(d)
    .op(signed ? OP.i64DivS : OP.i64DivU)
    .set(q);
  if (width !== 8) {
    c.get(q);
    if (signed) {
      c.op(OP.i32WrapI64);
      signExtend(e, width);
      c.op(OP.i64ExtendI32S).get(q).op(OP.i64Ne);
    } else
      c.i64(width * 8)
        .op(OP.i64ShrU)
        .i64(0)
        .op(OP.i64Ne);
    e.openRare();
    e.exitStep();
    e.close();
  }
  c.get(n)
    .get(d)
    .op(signed ? OP.i64RemS : OP.i64RemU);
  if (width !== 8) c.op(OP.i32WrapI64);
  e.setReg(RDX, width);
  c.get(q);
  if (width !== 8) c.op(OP.i32WrapI64);
  e.setReg(RAX, width);
}

const group3: Translation = (e, insn) => {
  const width = widthOf(insn);
  switch (insn.reg & 7) {
    case 0:
    case 1:
      testFlags(
        e,
        width,
        () => readModrm(e, insn, width),
        () => e.const(width, insn.imm),
      );
      return;
    case 2:
      modifyModrm(e, insn, width, (old) => {
        const result = e.temp(e.typeOf(width));
        e.c.get(old);
        e.const(width, -1);
        e.c.op(pick(width, OP.i32Xor, OP.i64Xor)).set(result);
        return result;
      });
      return;
    case 3:
      modifyModrm(e, insn, width, (old) =>
        arithmetic(
          e,
          SUB,
          width,
          toTemp(e, width, () => e.const(width, 0)),
          old,
        ),
      );
      return;
    case 4:
      multiply(e, insn, width, false);
      return;
    case 5:
      multiply(e, insn, width, true);
      return;
    case 6:
      divide(e, insn, width, false);
      return;
    default:
      divide(e, insn, width, true);
  }
};

const imul: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const a = toTemp(e, width, () => readModrm(e, insn, width));
  const b = toTemp(e, width, () => (insn.op === 0x1af ? e.reg(insn.reg, width) : e.const(width, insn.imm)));
  const result = e.temp(e.typeOf(width));
  c.get(a)
    .get(b)
    .op(pick(width, OP.i32Mul, OP.i64Mul));
  narrow(e, width);
  c.set(result);
  e.setFlags(FLAG_IMUL, width, a, b);
  c.get(result);
  e.setReg(insn.reg, width);
};

const signExtendAccumulator: Translation = (e, insn) => {
  if (insn.op === 0x98) {
    if (insn.osize === 8) {
      e.reg(RAX, 4);
      e.c.op(OP.i64ExtendI32S);
    } else {
      e.reg(RAX, insn.osize === 4 ? 2 : 1);
      if (insn.osize === 2) e.c.i32(24).op(OP.i32Shl).i32(24).op(OP.i32ShrS);
      else e.c.op(OP.i32Extend16S);
    }
    e.setReg(RAX, insn.osize);
    return;
  }
  const width = insn.osize;
  e.reg(RAX, width);
  signExtend(e, width);
  if (width === 8) e.c.i64(63).op(OP.i64ShrS);
  else e.c.i32(31).op(OP.i32ShrS);
  e.setReg(RDX, width);
};

/** Shifts and rotates: C0 C1 (immediate), D0 D1 (one), D2 D3 (CL). */
const shift: Translation = (e, insn) => {
  const { c } = e;
  const width = widthOf(insn);
  const kind = insn.reg & 7;
  const mask = width === 8 ? 63 : 31;
  const byCl = insn.op >= 0xd2;
  if (kind === 2 || kind === 3) {
    e.interpret();
    return;
  }
  const rotate = kind < 2;
  if (!byCl) {
    const count = (insn.op >= 0xd0 ? 1 : insn.imm) & mask;
    if (count === 0) {
      // Nothing changes but the upper half of a 64-bit register; memory is still checked for writing.
      if (insn.memory) modifyModrm(e, insn, width, (old) => old);
      else {
        e.reg(insn.rm, width);
        e.setReg(insn.rm, width);
      }
      return;
    }
    modifyModrm(e, insn, width, (old) => {
      const result = e.temp(e.typeOf(width));
      shiftBy(e, kind, width, old, () => e.const(width, count));
      c.set(result);
      if (rotate) e.changeFlags(kind === 0 ? FLAG_ROL : FLAG_ROR, width, old, () => e.c.i32(count));
      else
        e.setFlags(
          kind === 7 ? FLAG_SAR : kind === 5 ? FLAG_SHR : FLAG_SHL,
          width,
          old,
          toTemp(e, width, () => e.const(width, count)),
        );
      return result;
    });
    return;
  }
  const count = e.temp(I32);
  e.reg(RCX, 1);
  c.i32(mask).op(OP.i32And).set(count);
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    shiftBy(e, kind, width, old, () => {
      c.get(count);
      if (width === 8) c.op(OP.i64ExtendI32U);
    });
    c.set(result);
    if (e.flagsDead) return result;
    // A count of zero leaves the flags alone.
    if (rotate) {
      e.changeFlags(kind === 0 ? FLAG_ROL : FLAG_ROR, width, old, () => c.get(count));
      return result;
    }
    c.get(count).if();
    const wide = toTemp(e, width, () => {
      c.get(count);
      if (width === 8) c.op(OP.i64ExtendI32U);
    });
    e.setFlags(kind === 7 ? FLAG_SAR : kind === 5 ? FLAG_SHR : FLAG_SHL, width, old, wide);
    c.end();
    e.forgetFlags();
    return result;
  });
};

/** The shifted value on the stack. A narrow value loses everything by itself to counts up to 31. */
function shiftBy(e: Emitter, kind: number, width: Width, old: number, count: () => void): void {
  const { c } = e;
  const wide = width === 8;
  if (kind < 2) {
    if (width >= 4) {
      c.get(old);
      count();
      c.op(kind === 0 ? pick(width, OP.i32Rotl, OP.i64Rotl) : pick(width, OP.i32Rotr, OP.i64Rotr));
      return;
    }
    // Two (or four) copies side by side turn a narrow rotate into a wide one.
    const bits = width * 8;
    c.get(old).get(old).i32(bits).op(OP.i32Shl, OP.i32Or);
    if (width === 1) {
      const twice = e.temp(I32);
      c.tee(twice).get(twice).i32(16).op(OP.i32Shl, OP.i32Or);
    }
    count();
    c.op(kind === 0 ? OP.i32Rotl : OP.i32Rotr);
    narrow(e, width);
    return;
  }
  c.get(old);
  if (kind === 7) signExtend(e, width);
  count();
  if (kind === 7) c.op(wide ? OP.i64ShrS : OP.i32ShrS);
  else if (kind === 5) c.op(wide ? OP.i64ShrU : OP.i32ShrU);
  else c.op(wide ? OP.i64Shl : OP.i32Shl);
  narrow(e, width);
}

/** SHLD, SHRD of 4 and 8 bytes. */
const doubleShift: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const left = insn.op < 0x1a8;
  const mask = width === 8 ? 63 : 31;
  const byCl = (insn.op & 1) === 1;
  if (width === 2 || byCl || (insn.imm & mask) === 0) {
    e.interpret();
    return;
  }
  const count = insn.imm & mask;
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    c.get(old);
    e.const(width, count);
    c.op(left ? pick(width, OP.i32Shl, OP.i64Shl) : pick(width, OP.i32ShrU, OP.i64ShrU));
    c.get(b);
    e.const(width, width * 8 - count);
    c.op(left ? pick(width, OP.i32ShrU, OP.i64ShrU) : pick(width, OP.i32Shl, OP.i64Shl));
    c.op(pick(width, OP.i32Or, OP.i64Or)).set(result);
    e.setFlags(
      left ? FLAG_SHLD : FLAG_SHRD,
      width,
      old,
      b,
      toTemp(e, width, () => e.const(width, count)),
    );
    return result;
  });
};

/** BT, BTS, BTR, BTC with an immediate, or of a register. A bit string in memory is the interpreter's. */
const bitTest: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const immediate = insn.op === 0x1ba;
  if ((insn.memory && !immediate) || width === 2) {
    e.interpret();
    return;
  }
  const kind = immediate ? (insn.reg & 7) - 4 : insn.op === 0x1a3 ? 0 : insn.op === 0x1ab ? 1 : insn.op === 0x1b3 ? 2 : 3;
  const bits = width * 8;
  const bit = toTemp(e, width, () => {
    if (immediate) e.const(width, insn.imm & (bits - 1));
    else {
      e.reg(insn.reg, width);
      e.const(width, bits - 1);
      c.op(pick(width, OP.i32And, OP.i64And));
    }
  });
  const flag = (old: number) => {
    const carry = e.temp(I32);
    c.get(old)
      .get(bit)
      .op(pick(width, OP.i32ShrU, OP.i64ShrU));
    if (width === 8) c.op(OP.i32WrapI64);
    c.i32(1).op(OP.i32And).set(carry);
    e.setCarry(carry);
  };
  if (kind === 0) {
    flag(toTemp(e, width, () => readModrm(e, insn, width)));
    return;
  }
  modifyModrm(e, insn, width, (old) => {
    const result = e.temp(e.typeOf(width));
    c.get(old);
    e.const(width, 1);
    c.get(bit).op(pick(width, OP.i32Shl, OP.i64Shl));
    if (kind === 2) {
      e.const(width, -1);
      c.op(pick(width, OP.i32Xor, OP.i64Xor), pick(width, OP.i32And, OP.i64And));
    } else c.op(kind === 1 ? pick(width, OP.i32Or, OP.i64Or) : pick(width, OP.i32Xor, OP.i64Xor));
    c.set(result);
    flag(old);
    return result;
  });
};

/** BSF, BSR. A source of zero leaves the destination alone. */
const bitScan: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  if (width === 2) {
    e.interpret();
    return;
  }
  const reverse = insn.op === 0x1bd;
  const source = toTemp(e, width, () => readModrm(e, insn, width));
  const index = e.temp(I32);
  const zero = e.temp(I32);
  c.get(source)
    .op(pick(width, OP.i32Eqz, OP.i64Eqz))
    .set(zero);
  if (reverse) e.const(width, width * 8 - 1);
  c.get(source).op(reverse ? pick(width, OP.i32Clz, OP.i64Clz) : pick(width, OP.i32Ctz, OP.i64Ctz));
  if (reverse) c.op(pick(width, OP.i32Sub, OP.i64Sub));
  if (width === 8) c.op(OP.i32WrapI64);
  c.set(index);
  c.get(zero).op(OP.i32Eqz).if();
  c.get(index);
  if (width === 8) c.op(OP.i64ExtendI32U);
  e.setReg(insn.reg, width);
  c.end();
  e.setFlags32(FLAG_SCAN, width, index, zero);
};

const exchangeAdd: Translation = (e, insn) => {
  const width = widthOf(insn);
  const b = toTemp(e, width, () => e.reg(insn.reg, width));
  if (insn.memory) {
    let before = -1;
    e.modify(
      e.address(insn),
      width,
      (old) => {
        before = old;
        return arithmetic(e, ADD, width, old, b);
      },
      () => {
        e.c.get(before);
        e.setReg(insn.reg, width);
      },
    );
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const sum = arithmetic(e, ADD, width, old, b);
  e.c.get(old);
  e.setReg(insn.reg, width);
  e.c.get(sum);
  e.setReg(insn.rm, width);
};

const compareExchange: Translation = (e, insn) => {
  const { c } = e;
  const width = widthOf(insn);
  const accumulator = toTemp(e, width, () => e.reg(RAX, width));
  const replacement = toTemp(e, width, () => e.reg(insn.reg, width));
  const equal = e.temp(I32);
  let before = -1;
  const choose = (old: number): number => {
    before = old;
    const result = e.temp(e.typeOf(width));
    c.get(accumulator)
      .get(old)
      .op(pick(width, OP.i32Eq, OP.i64Eq))
      .set(equal);
    c.get(replacement).get(old).get(equal).op(OP.select).set(result);
    e.setFlags(FLAG_SUB, width, accumulator, old);
    return result;
  };
  const loadAccumulator = () => {
    c.get(equal).op(OP.i32Eqz).if();
    c.get(before);
    e.setReg(RAX, width);
    c.end();
  };
  if (insn.memory) {
    e.modify(e.address(insn), width, choose, loadAccumulator);
    return;
  }
  const old = toTemp(e, width, () => e.reg(insn.rm, width));
  const value = choose(old);
  // A failed exchange writes the accumulator only.
  c.get(equal).if();
  c.get(value);
  e.setReg(insn.rm, width);
  c.end();
  loadAccumulator();
};

/** Pushes the temporary with its bytes in reverse order. */
export function swapBytes(e: Emitter, width: Width, v: number): void {
  const { c } = e;
  if (width === 2) {
    c.get(v).i32(8).op(OP.i32ShrU).get(v).i32(8).op(OP.i32Shl, OP.i32Or).i32(0xffff).op(OP.i32And);
    return;
  }
  if (width === 4) {
    c.get(v).i32(8).op(OP.i32Rotl).i32(0x00ff00ff).op(OP.i32And);
    c.get(v)
      .i32(8)
      .op(OP.i32Rotr)
      .i32(0xff00ff00 | 0)
      .op(OP.i32And, OP.i32Or);
    return;
  }
  const word = (shift: number) => {
    c.get(v);
    if (shift) c.i64(32).op(OP.i64ShrU);
    c.op(OP.i32WrapI64);
  };
  const half = (shift: number) => {
    word(shift);
    c.i32(8).op(OP.i32Rotl).i32(0x00ff00ff).op(OP.i32And);
    word(shift);
    c.i32(8)
      .op(OP.i32Rotr)
      .i32(0xff00ff00 | 0)
      .op(OP.i32And, OP.i32Or, OP.i64ExtendI32U);
  };
  half(0);
  c.i64(32).op(OP.i64Shl);
  half(32);
  c.op(OP.i64Or);
}

const byteSwap: Translation = (e, insn) => {
  const width = insn.osize;
  if (width === 2) {
    e.interpret();
    return;
  }
  swapBytes(
    e,
    width,
    toTemp(e, width, () => e.reg(insn.rm, width)),
  );
  e.setReg(insn.rm, width);
};

const setCondition: Translation = (e, insn) => {
  const value = e.temp(I32);
  e.condition(insn.op & 15);
  e.c.set(value);
  storeModrm(e, insn, 1, value);
};

const moveCondition: Translation = (e, insn) => {
  const { c } = e;
  const width = insn.osize;
  const value = toTemp(e, width, () => readModrm(e, insn, width));
  const old = toTemp(e, width, () => e.reg(insn.reg, width));
  c.get(value).get(old);
  e.condition(insn.op & 15);
  c.op(OP.select);
  e.setReg(insn.reg, width);
};

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

/** The translation of a decoded instruction that does not end a block; undefined when it has none. */
export function integerTranslation(insn: Insn): Translation | undefined {
  const { op } = insn;
  if (insn.lock && !(insn.memory && lockable(insn))) return undefined;
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
      // With REX.B it is XCHG R8, RAX, but not PAUSE.
      return insn.rm === 0 || insn.prefix === 0xf3 ? nothing : xchgAccumulator;
    case 0x98:
    case 0x99:
      return signExtendAccumulator;
    case 0x9e:
    case 0x9f:
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
      return (insn.reg & 7) < 2 ? group5 : undefined;
    case 0xff: {
      const kind = insn.reg & 7;
      return kind < 2 || kind === 6 ? group5 : undefined;
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
