/** Expansion ROMs, PCI Firmware Specification 3.0 section 5.1. */

const PCIR_POINTER = 0x18;
const VENDOR = 4;
const DEVICE = 6;
/** A byte that nothing looks at but the checksum over all. */
const SPARE = 6;

/** A copy of the ROM that names another function: firmware runs only those of the one it found them in. One without the structure stays what it is. */
export function romOf(rom: Uint8Array, vendor: number, device: number): Uint8Array {
  const copy = rom.slice();
  const view = new DataView(copy.buffer);
  const at = copy.length > PCIR_POINTER + 1 ? view.getUint16(PCIR_POINTER, true) : 0;
  if (at === 0 || at + DEVICE + 2 > copy.length || String.fromCharCode(...copy.subarray(at, at + 4)) !== 'PCIR') return copy;
  const sum = () => copy.subarray(at + VENDOR, at + DEVICE + 2).reduce((total, byte) => total + byte, 0);
  const before = sum();
  view.setUint16(at + VENDOR, vendor, true);
  view.setUint16(at + DEVICE, device, true);
  copy[SPARE]! += before - sum();
  return copy;
}
