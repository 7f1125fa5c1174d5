import type { FwCfg } from '../devices/platform/fwcfg.ts';

/** One entry: u64 address, u64 length, u32 type, little-endian (SeaBIOS, fw/paravirt.c, struct e820_reservation). */
const ENTRY_BYTES = 20;
const RAM = 1;

/** RAM as the firmware should see it; what it keeps for itself and the ROM areas it adds by itself. */
export function buildE820(ramBytes: number): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(entry.buffer);
  view.setBigUint64(8, BigInt(ramBytes), true);
  view.setUint32(16, RAM, true);
  return entry;
}

export function installE820(ramBytes: number, fwCfg: FwCfg): void {
  fwCfg.addFile('etc/e820', buildE820(ramBytes));
}
