import type { MmioBus, MmioRange } from '../mmiobus.ts';
import type { PciBar } from './pcidevice.ts';

/** Bytes of the smallest window that holds the ROM; section 6.2.5.2 has no smaller one than 2 KiB. */
const windowBytes = (rom: Uint8Array): number => 2 ** Math.max(11, Math.ceil(Math.log2(rom.length)));

/** The expansion ROM base address register of a function, PCI Local Bus Specification 2.1 section 6.2.5.2: shows the image, then ones. */
export function romBar(owner: string, mmio: MmioBus, rom: Uint8Array): PciBar {
  const length = windowBytes(rom);
  let range: MmioRange | undefined;
  return {
    kind: 'memory',
    size: length,
    onMapped: (base) => {
      const read = (offset: number, size: number) => {
        let value = 0;
        for (let i = size - 1; i >= 0; i--) value = value * 256 + (rom[offset + i] ?? 0xff);
        return value;
      };
      const wanted: MmioRange = { owner, base, length, handler: { read, write: () => {} } };
      try {
        mmio.register(wanted);
        range = wanted;
      } catch {
        // It lies on another device, which is the guest's mistake: that one answers.
      }
    },
    onUnmapped: () => {
      if (range) mmio.unregister(range);
      range = undefined;
    },
  };
}
