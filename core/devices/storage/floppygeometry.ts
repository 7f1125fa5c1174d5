/** Formats of PC floppy disks. Spec: ECMA-66, -70, -78, -100, -125, ISO 8860 and 9529; rates as in the 82077AA data sheet, table 2-4. */
export interface FloppyGeometry {
  cylinders: number;
  heads: number;
  /** Sectors of 512 bytes in a track. */
  sectors: number;
  /** Data rates at which a drive reads it, as DSR/CCR bits 1..0: 0 500, 1 300, 2 250 kbit/s, 3 1 Mbit/s. */
  rates: readonly number[];
}

const DOUBLE_DENSITY = [1, 2];
const HIGH_DENSITY = [0];
const EXTRA_DENSITY = [3];

const FORMATS: readonly FloppyGeometry[] = [
  { cylinders: 40, heads: 1, sectors: 8, rates: DOUBLE_DENSITY }, // 160K
  { cylinders: 40, heads: 1, sectors: 9, rates: DOUBLE_DENSITY }, // 180K
  { cylinders: 40, heads: 2, sectors: 8, rates: DOUBLE_DENSITY }, // 320K
  { cylinders: 40, heads: 2, sectors: 9, rates: DOUBLE_DENSITY }, // 360K
  { cylinders: 80, heads: 2, sectors: 9, rates: DOUBLE_DENSITY }, // 720K
  { cylinders: 80, heads: 2, sectors: 15, rates: HIGH_DENSITY }, // 1.2M
  { cylinders: 80, heads: 2, sectors: 18, rates: HIGH_DENSITY }, // 1.44M
  { cylinders: 80, heads: 2, sectors: 20, rates: HIGH_DENSITY }, // 1.6M
  { cylinders: 80, heads: 2, sectors: 21, rates: HIGH_DENSITY }, // 1.68M, DMF
  { cylinders: 82, heads: 2, sectors: 21, rates: HIGH_DENSITY }, // 1.72M
  { cylinders: 83, heads: 2, sectors: 21, rates: HIGH_DENSITY }, // 1.74M
  { cylinders: 80, heads: 2, sectors: 36, rates: EXTRA_DENSITY }, // 2.88M
];
const DEFAULT = FORMATS[6]!;

/** The format whose size is exactly that of the image; an image of another size counts as a 1.44M disk, or 2.88M if it is larger. */
export function floppyGeometry(sizeBytes: number): FloppyGeometry {
  const exact = FORMATS.find((format) => format.cylinders * format.heads * format.sectors * 512 === sizeBytes);
  if (exact) return exact;
  return sizeBytes <= 80 * 2 * 18 * 512 ? DEFAULT : FORMATS[FORMATS.length - 1]!;
}
