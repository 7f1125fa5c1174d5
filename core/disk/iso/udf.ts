// The identifiers of a UDF volume (ECMA-167 3rd edition parts 2 and 3; OSTA UDF 2.60): Windows discs and DVDs. Discs with both file systems are described by ISO 9660.
import type { RandomAccessFile } from '../../backend/file.ts';
import { ISO_SECTOR, latin1, oneLine, printable, readBytes, u16, u32, ucs2 } from './sector.ts';

/** ECMA-167 2/9: volume structure descriptors start at 32 KiB. */
const FIRST_STRUCTURE = 16;
const MAX_STRUCTURES = 16;
/** ECMA-167 3/8.4.2.1: an anchor lies at sector 256, at the last one, or at 256 before it. */
const ANCHOR = 256;
const MAX_DESCRIPTORS = 64;
const tag = { primary: 1, anchor: 2, logicalVolume: 6, terminating: 8 } as const;

export interface UdfIdentifiers {
  volumeId: string;
  applicationId: string;
}

/** d-string (ECMA-167 1/7.2.12) of OSTA compressed Unicode (UDF 2.1.1): 8 or 16 bits a character, the used length in the last byte. */
export function dstring(bytes: Uint8Array): string {
  const length = Math.min(bytes[bytes.length - 1]!, bytes.length - 1);
  if (length < 2) return '';
  const body = bytes.subarray(1, length);
  if (bytes[0] === 16) return oneLine(ucs2(body));
  return bytes[0] === 8 ? printable(body) : '';
}

/** The identifiers of the volume in a file of `bytes` bytes; undefined when it is no UDF volume with sectors of 2048 bytes. */
export async function readUdf(file: RandomAccessFile, bytes: number): Promise<UdfIdentifiers | undefined> {
  const sector = async (index: number): Promise<Uint8Array | undefined> => {
    const offset = index * ISO_SECTOR;
    if (index < 0 || offset + ISO_SECTOR > bytes) return undefined;
    const found = await readBytes(file, offset, ISO_SECTOR);
    return found.length === ISO_SECTOR ? found : undefined;
  };
  let found = false;
  for (let index = 0; index < MAX_STRUCTURES && !found; index++) {
    const structure = await sector(FIRST_STRUCTURE + index);
    const id = structure ? latin1(structure, 1, 6) : '';
    if (!/^(BEA01|CD001|NSR0[23]|TEA01|BOOT2|CDW02)$/.test(id)) break;
    found = id.startsWith('NSR');
  }
  if (!found) return undefined;
  const end = Math.floor(bytes / ISO_SECTOR) - 1;
  for (const place of [ANCHOR, end, end - ANCHOR]) {
    const anchor = await sector(place);
    if (!anchor || u16(anchor, 0) !== tag.anchor) continue;
    // The main volume descriptor sequence: length in bytes, first sector.
    const count = Math.min(Math.floor(u32(anchor, 16) / ISO_SECTOR), MAX_DESCRIPTORS);
    const first = u32(anchor, 20);
    const identifiers: UdfIdentifiers = { volumeId: '', applicationId: '' };
    for (let index = 0; index < count; index++) {
      const descriptor = await sector(first + index);
      const kind = descriptor && u16(descriptor, 0);
      if (!descriptor || kind === tag.terminating) break;
      if (kind === tag.primary) {
        identifiers.volumeId ||= dstring(descriptor.subarray(24, 56));
        // An entity identifier: flags, 23 characters, suffix.
        identifiers.applicationId ||= printable(descriptor.subarray(345, 368)).replace(/^\*/, '');
      }
      // What systems show as the name.
      if (kind === tag.logicalVolume) identifiers.volumeId = dstring(descriptor.subarray(84, 212)) || identifiers.volumeId;
    }
    return identifiers;
  }
  return { volumeId: '', applicationId: '' };
}
