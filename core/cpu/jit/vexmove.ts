/** VEX-encoded moves (SDM volume 2): VMOVxx, VLDDQU, VMOVNTxx, VMOVMSKPx, VPMOVMSKB, VBROADCASTx, VPBROADCASTx, masked loads, VZEROxx. */
import type { Insn, Width } from './decode.ts';
import type { Emitter } from './emitter.ts';
import { fromGeneral, storeLane, toGeneral } from './ssemove.ts';
import {
  alignedAddress,
  bytes,
  first,
  halvesOf,
  lanes,
  setHalves,
  setLow,
  source,
  sourceLow,
  type Translation,
  vectorTemp,
} from './sseoperand.ts';
import { OP, SIMD } from './wasmcode.ts';

const addressOf = (e: Emitter, insn: Insn, aligned: boolean): number =>
  aligned ? alignedAddress(e, insn, insn.wide ? 32 : 16) : e.address(insn);

const load =
  (aligned: boolean): Translation =>
  (e, insn) => {
    if (insn.memory && insn.wide) {
      const ea = addressOf(e, insn, aligned);
      e.whereReadable(
        ea,
        32,
        (host) => setHalves(e, insn, (half) => e.c.get(host).simdMemory(SIMD.load, half * 16)),
        () => e.interpretVector(),
      );
      return;
    }
    let from: number[];
    if (insn.memory) {
      e.loadV(addressOf(e, insn, aligned));
      from = [vectorTemp(e)];
    } else from = source(e, insn);
    setHalves(e, insn, (half) => e.c.get(from[half]!));
  };

const store =
  (aligned: boolean): Translation =>
  (e, insn) => {
    const from = halvesOf(insn).map((half) => e.vectorLocal(insn.reg, half));
    if (!insn.memory) {
      setHalves(e, insn, (half) => e.c.get(from[half]!), insn.rm);
      return;
    }
    const ea = addressOf(e, insn, aligned);
    if (insn.wide) e.storeWide(ea, from[0]!, from[1]!, () => e.interpretVector());
    else e.storeV(ea, from[0]!);
  };

/** VMOVSS, VMOVSD: memory clears the rest, between registers it comes from VEX.vvvv. */
function scalar(insn: Insn, width: 4 | 8): Translation | undefined {
  const toMemory = insn.op === 0x111;
  if (insn.memory) {
    if (insn.vvvv) return undefined;
    if (toMemory) return (e, i) => storeLane(e, i, width, 0);
    return (e, i) => {
      e.loadLow(e.address(i), width);
      setLow(e, i);
    };
  }
  const [to, from] = toMemory ? [insn.rm, insn.reg] : [insn.reg, insn.rm];
  return (e, i) => {
    e.c
      .get(first(e, i))
      .get(e.vectorLocal(from, 0))
      .shuffle([...bytes(16, width), ...bytes(width, 16 - width)]);
    setLow(e, i, to);
  };
}

/** VMOVLPx, VMOVHPx, VMOVHLPS, VMOVLHPS. */
function half(insn: Insn): Translation | undefined {
  const { op, prefix, memory } = insn;
  const high = op >= 0x116;
  if (op & 1) return memory && !insn.vvvv ? (e, i) => storeLane(e, i, 8, high ? 1 : 0) : undefined;
  if (prefix && !memory) return undefined;
  return (e, i) => {
    const from = sourceLow(e, i, 8);
    e.c.get(first(e, i)).get(from);
    if (high) e.c.shuffle(lanes(8, 0, 2));
    else e.c.shuffle(lanes(8, memory ? 2 : 3, 1));
    setLow(e, i);
  };
}

/** VMOVSLDUP, VMOVSHDUP, VMOVDDUP. */
function duplicate(insn: Insn): Translation {
  const order = insn.prefix === 0xf2 ? lanes(8, 0, 0) : insn.op === 0x112 ? lanes(4, 0, 0, 2, 2) : lanes(4, 1, 1, 3, 3);
  return (e, i) => {
    const from = i.prefix === 0xf2 && !i.wide ? [sourceLow(e, i, 8)] : source(e, i);
    setHalves(e, i, (h) => e.c.get(from[h]!).get(from[h]!).shuffle(order));
  };
}

/** VMOVQ between vector registers, from memory and to it. */
const loadQuad: Translation = (e, insn) => {
  const from = sourceLow(e, insn, 8);
  e.c
    .get(from)
    .simd64(0n)
    .shuffle(lanes(8, 0, 2));
  setLow(e, insn);
};
const storeQuad: Translation = (e, insn) => {
  if (insn.memory) {
    storeLane(e, insn, 8, 0);
    return;
  }
  e.c
    .get(e.vectorLocal(insn.reg, 0))
    .simd64(0n)
    .shuffle(lanes(8, 0, 2));
  setLow(e, insn, insn.rm);
};

const signMask =
  (op: number, count: number): Translation =>
  (e, insn) => {
    for (const h of halvesOf(insn)) {
      e.c.get(e.vectorLocal(insn.rm, h)).simd(op);
      if (h) e.c.i32(count).op(OP.i32Shl, OP.i32Or);
    }
    e.setReg(insn.reg, 4);
  };

/** One element of `size` bytes everywhere. */
const broadcast =
  (size: Width, splat: number): Translation =>
  (e, insn) => {
    if (insn.memory) {
      e.load(e.address(insn), size);
      e.c.simd(splat);
    } else {
      const from = e.vectorLocal(insn.rm, 0);
      e.c
        .get(from)
        .get(from)
        .shuffle(lanes(size, ...new Array<number>(16 / size).fill(0)));
    }
    const all = vectorTemp(e);
    setHalves(e, insn, () => e.c.get(all));
  };
/** VBROADCASTF128, VBROADCASTI128. */
const broadcastHalf: Translation = (e, insn) => {
  e.loadV(e.address(insn));
  const all = vectorTemp(e);
  setHalves(e, insn, () => e.c.get(all));
};

/**
 * VMASKMOVPx, VPMASKMOVx from memory: elements whose mask has its top bit set, zero in place of the others, which are not accessed. Only where
 * all of them are at hand; the interpreter does the rest.
 */
const maskedLoad =
  (bits: 32 | 64): Translation =>
  (e, insn) => {
    const shift = bits === 32 ? SIMD.i32x4ShrS : SIMD.i64x2ShrS;
    e.whereReadable(
      e.address(insn),
      insn.wide ? 32 : 16,
      (host) =>
        setHalves(e, insn, (h) => {
          e.c.get(host).simdMemory(SIMD.load, h * 16);
          e.c
            .get(first(e, insn, h))
            .i32(bits - 1)
            .simds(shift, SIMD.and);
        }),
      () => e.interpretVector(),
    );
  };

const zero: Translation = (e, insn) => e.clearVectors(e.mode === 64 ? 16 : 8, insn.wide);

/** Of an instruction whose operands the table allows; opcodes without VEX_OP. */
export function moveVexTranslation(insn: Insn): Translation | undefined {
  const { op, prefix } = insn;
  const scalarPrefix = prefix === 0xf3 || prefix === 0xf2;
  switch (op) {
    case 0x110:
    case 0x111:
      if (scalarPrefix) return scalar(insn, prefix === 0xf3 ? 4 : 8);
      return op === 0x110 ? load(false) : store(false);
    case 0x112:
    case 0x116:
      return scalarPrefix ? (insn.vvvv ? undefined : duplicate(insn)) : half(insn);
    case 0x113:
    case 0x117:
      return half(insn);
    case 0x128:
      return load(true);
    case 0x129:
    case 0x12b:
    case 0x1e7:
      return store(true);
    case 0x150:
      return prefix ? signMask(SIMD.i64x2Bitmask, 2) : signMask(SIMD.i32x4Bitmask, 4);
    case 0x16e:
      return fromGeneral;
    case 0x16f:
      return load(prefix === 0x66);
    case 0x177:
      return zero;
    case 0x17e:
      return prefix === 0xf3 ? loadQuad : toGeneral;
    case 0x17f:
      return store(prefix === 0x66);
    case 0x1d6:
      return storeQuad;
    case 0x1d7:
      return signMask(SIMD.i8x16Bitmask, 16);
    case 0x1f0:
      return load(false);
    case 0x218:
    case 0x258:
      return broadcast(4, SIMD.i32x4Splat);
    case 0x219:
    case 0x259:
      return broadcast(8, SIMD.i64x2Splat);
    case 0x21a:
    case 0x25a:
      return broadcastHalf;
    case 0x22a:
      return load(true);
    case 0x22c:
      return maskedLoad(32);
    case 0x22d:
      return maskedLoad(64);
    case 0x278:
      return broadcast(1, SIMD.i8x16Splat);
    case 0x279:
      return broadcast(2, SIMD.i16x8Splat);
    case 0x28c:
      return maskedLoad(insn.w ? 64 : 32);
  }
  return undefined;
}
