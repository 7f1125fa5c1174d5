// The boot catalog of a disc ("El Torito" Bootable CD-ROM Format 1.0 section 2; UEFI 2.10 section 13.3.2.1 for platform 0xEF).
import type { RandomAccessFile } from '../../backend/file.ts';
import { ISO_SECTOR, readBytes, u16 } from './sector.ts';

const platform = { pc: 0, uefi: 0xef } as const;
const BOOTABLE = 0x88;
const ENTRY = 32;
/** A catalog is read this far: 63 entries behind the validation entry. */
const CATALOG_BYTES = ISO_SECTOR;
const header = { validation: 1, section: 0x90, lastSection: 0x91, extension: 0x44 } as const;

export interface BootKinds {
  /** The BIOS finds something to start. */
  bios: boolean;
  /** UEFI firmware does. */
  uefi: boolean;
}

/** What the catalog at `sector` offers to start; nothing when it is damaged or lies outside the file. */
export async function bootKinds(file: RandomAccessFile, bytes: number, sector: number): Promise<BootKinds> {
  const kinds: BootKinds = { bios: false, uefi: false };
  const offset = sector * ISO_SECTOR;
  if (sector === 0 || offset + 2 * ENTRY > bytes) return kinds;
  const catalog = await readBytes(file, offset, Math.min(CATALOG_BYTES, bytes - offset));
  if (catalog[0] !== header.validation || catalog[30] !== 0x55 || catalog[31] !== 0xaa) return kinds;
  const note = (of: number | undefined, indicator: number | undefined) => {
    if (indicator !== BOOTABLE) return;
    if (of === platform.pc) kinds.bios = true;
    if (of === platform.uefi) kinds.uefi = true;
  };
  note(catalog[1], catalog[ENTRY]);
  let last = false;
  for (let at = 2 * ENTRY; !last && at + ENTRY <= catalog.length; ) {
    if (catalog[at] !== header.section && catalog[at] !== header.lastSection) break;
    last = catalog[at] === header.lastSection;
    const of = catalog[at + 1];
    let entries = u16(catalog, at + 2);
    at += ENTRY;
    for (; entries > 0 && at + ENTRY <= catalog.length; at += ENTRY) {
      // Extensions belong to the entry before them and are not counted.
      if (catalog[at] === header.extension) continue;
      note(of, catalog[at]);
      entries--;
    }
  }
  return kinds;
}
