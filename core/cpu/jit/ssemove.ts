/** Moves of vector registers (SDM volume 2): MOVxPS, MOVxPD, MOVDQx, MOVSS, MOVSD, MOVD, MOVQ, MOVLx, MOVHx, MOVNTx, LDDQU, MOVMSKxx. */
import { FEAT_SSE3 } from '../interp/wasm/features.ts';
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { alignedAddress, bytes, lanes, setLow, source128, sourceLow, type Translation } from './sseoperand.ts';
import { I32, I64, SIMD, V128 } from './wasmcode.ts';

/** Low 4 or 8 bytes of the second vector over those of the first; high half likewise. */
const LOW_4 = [...bytes(16, 4), ...bytes(4, 12)];
const LOW_8 = [...bytes(16, 8), ...bytes(8, 8)];
const LOW_TO_HIGH = [...bytes(0, 8), ...bytes(16, 8)];
const HIGH_TO_LOW = [...bytes(24, 8), ...bytes(8, 8)];

const load: Translation = (e, insn) => {
  if (insn.memory) e.loadV(e.address(insn));
  else e.xmm(insn.rm);
  e.setXmm(insn.reg);
};
const loadAligned: Translation = (e, insn) => {
  e.c.get(source128(e, insn));
  e.setXmm(insn.reg);
};

function storeVector(e: Emitter, insn: Insn, ea: number): void {
  e.xmm(insn.reg);
  const value = e.temp(V128);
  e.c.set(value);
  e.storeV(ea, value);
}
const store: Translation = (e, insn) => {
  if (insn.memory) storeVector(e, insn, e.address(insn));
  else {
    e.xmm(insn.reg);
    e.setXmm(insn.rm);
  }
};
const storeAligned: Translation = (e, insn) => {
  if (insn.memory) storeVector(e, insn, alignedAddress(e, insn));
  else store(e, insn);
};

/** Stores 4 or 8 bytes of the register, `lane` counted in them. */
export function storeLane(e: Emitter, insn: Insn, width: Width, lane: number): void {
  const ea = e.address(insn);
  const value = e.temp(width === 8 ? I64 : I32);
  e.c
    .get(e.vectorLocal(insn.reg, 0))
    .simd(width === 8 ? SIMD.i64x2ExtractLane : SIMD.i32x4ExtractLane)
    .byte(lane)
    .set(value);
  e.store(ea, width, value);
}

/** MOVSS and MOVSD. */
function scalar(width: 4 | 8, toMemory: boolean): Translation {
  return (e, insn) => {
    if (!insn.memory) {
      const [to, from] = toMemory ? [insn.rm, insn.reg] : [insn.reg, insn.rm];
      e.xmm(to);
      e.xmm(from);
      e.c.shuffle(width === 4 ? LOW_4 : LOW_8);
      e.setXmm(to);
    } else if (toMemory) storeLane(e, insn, width, 0);
    else {
      e.loadLow(e.address(insn), width);
      e.setXmm(insn.reg);
    }
  };
}

/** MOVLPx, MOVHPx from memory, MOVHLPS, MOVLHPS. */
function half(high: boolean): Translation {
  return (e, insn) => {
    const from = sourceLow(e, insn, 8);
    e.xmm(insn.reg);
    e.c.get(from).shuffle(high ? LOW_TO_HIGH : insn.memory ? LOW_8 : HIGH_TO_LOW);
    e.setXmm(insn.reg);
  };
}

function duplicate(order: number[], whole: boolean): Translation {
  return (e, insn) => {
    e.features |= 1 << FEAT_SSE3;
    const from = whole ? source128(e, insn) : sourceLow(e, insn, 8);
    e.c.get(from).get(from).shuffle(order);
    e.setXmm(insn.reg);
  };
}
const lddqu: Translation = (e, insn) => {
  e.features |= 1 << FEAT_SSE3;
  load(e, insn);
};

/** MOVD, MOVQ, VMOVD, VMOVQ from a general register or memory, and to one. */
export const fromGeneral: Translation = (e, insn) => {
  const width = insn.osize === 8 ? 8 : 4;
  if (insn.memory) e.loadLow(e.address(insn), width);
  else {
    e.c.simd64(0n);
    e.reg(insn.rm, width);
    e.c.simd(width === 8 ? SIMD.i64x2ReplaceLane : SIMD.i32x4ReplaceLane).byte(0);
  }
  setLow(e, insn);
};
export const toGeneral: Translation = (e, insn) => {
  const width = insn.osize === 8 ? 8 : 4;
  if (insn.memory) {
    storeLane(e, insn, width, 0);
    return;
  }
  e.c
    .get(e.vectorLocal(insn.reg, 0))
    .simd(width === 8 ? SIMD.i64x2ExtractLane : SIMD.i32x4ExtractLane)
    .byte(0);
  e.setReg(insn.rm, width);
};
/** MOVQ between vector registers, and from memory. */
function lowQuad(e: Emitter, to: number, from: () => void): void {
  from();
  e.c.simd64(0n).shuffle(LOW_TO_HIGH);
  e.setXmm(to);
}
const loadQuad: Translation = (e, insn) => {
  if (insn.memory) {
    e.loadLow(e.address(insn), 8);
    e.setXmm(insn.reg);
  } else lowQuad(e, insn.reg, () => e.xmm(insn.rm));
};
const storeQuad: Translation = (e, insn) => {
  if (insn.memory) storeLane(e, insn, 8, 0);
  else lowQuad(e, insn.rm, () => e.xmm(insn.reg));
};

/** MOVNTI. */
const storeGeneral: Translation = (e, insn) => {
  const width = insn.osize === 8 ? 8 : 4;
  const ea = e.address(insn);
  const value = e.temp(e.typeOf(width));
  e.reg(insn.reg, width);
  e.c.set(value);
  e.store(ea, width, value);
};

const signMask =
  (op: number): Translation =>
  (e, insn) => {
    e.xmm(insn.rm);
    e.c.simd(op);
    e.setReg(insn.reg, 4);
  };

export function moveTranslation(insn: Insn): Translation | undefined {
  const { op, prefix, memory } = insn;
  const packed = prefix === 0 || prefix === 0x66;
  switch (op) {
    case 0x110:
      return packed ? load : scalar(prefix === 0xf3 ? 4 : 8, false);
    case 0x111:
      return packed ? store : scalar(prefix === 0xf3 ? 4 : 8, true);
    case 0x112:
      if (prefix === 0xf3) return duplicate(lanes(4, 0, 0, 2, 2), true);
      if (prefix === 0xf2) return duplicate(lanes(8, 0, 0), false);
      return memory || prefix === 0 ? half(false) : undefined;
    case 0x116:
      if (prefix === 0xf3) return duplicate(lanes(4, 1, 1, 3, 3), true);
      return packed && (memory || prefix === 0) ? half(true) : undefined;
    case 0x113:
    case 0x117:
      return packed && memory ? (e, i) => storeLane(e, i, 8, op === 0x117 ? 1 : 0) : undefined;
    case 0x128:
      return packed ? loadAligned : undefined;
    case 0x129:
      return packed ? storeAligned : undefined;
    case 0x12b:
      return packed && memory ? storeAligned : undefined;
    case 0x150:
      return packed && !memory ? signMask(prefix ? SIMD.i64x2Bitmask : SIMD.i32x4Bitmask) : undefined;
    case 0x16e:
      return prefix === 0x66 ? fromGeneral : undefined;
    case 0x16f:
      return prefix === 0x66 ? loadAligned : prefix === 0xf3 ? load : undefined;
    case 0x17e:
      return prefix === 0x66 ? toGeneral : prefix === 0xf3 ? loadQuad : undefined;
    case 0x17f:
      return prefix === 0x66 ? storeAligned : prefix === 0xf3 ? store : undefined;
    case 0x1c3:
      return prefix === 0 && memory ? storeGeneral : undefined;
    case 0x1d6:
      return prefix === 0x66 ? storeQuad : undefined;
    case 0x1d7:
      return prefix === 0x66 && !memory ? signMask(SIMD.i8x16Bitmask) : undefined;
    case 0x1e7:
      return prefix === 0x66 && memory ? storeAligned : undefined;
    case 0x1f0:
      return prefix === 0xf2 && memory ? lddqu : undefined;
  }
  return undefined;
}
