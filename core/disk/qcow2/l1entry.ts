/** Offset of the L2 table in entry `index` of an L1 table: bits 9-55. */
export const l1TableOffset = (l1: DataView, index: number): number =>
  (l1.getUint32(index * 8) & 0x00ff_ffff) * 0x1_0000_0000 + ((l1.getUint32(index * 8 + 4) & 0xffff_fe00) >>> 0);
