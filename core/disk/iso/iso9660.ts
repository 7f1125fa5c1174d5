// Volumes of ISO 9660 (ECMA-119, 4th edition) with Joliet names (ECMA-119 annex of Microsoft's "Joliet Specification", 1995) or Rock Ridge names (IEEE P1282,
// "NM" entries of SUSP): the identifiers of a disc and small files on it. Only reading, and nothing that a disc says is believed without bounds.
import type { RandomAccessFile } from '../../backend/file.ts';
import { ISO_SECTOR, latin1, printable, readBytes, u32, ucs2 } from './sector.ts';

/** ECMA-119 section 8: the volume descriptors start at sector 16. */
const FIRST_DESCRIPTOR = 16;
const MAX_DESCRIPTORS = 64;
/** A directory may be this long, and a path this deep: enough for the root of any installation disc. */
const MAX_DIRECTORY_BYTES = 1 << 20;
const MAX_DEPTH = 8;

const descriptorType = { boot: 0, primary: 1, supplementary: 2, end: 255 } as const;
const DIRECTORY_FLAG = 2;
/** Joliet: escape sequences of UCS-2 levels 1 to 3 at offset 88. */
const jolietEscapes = new Set(['%/@', '%/C', '%/E']);
/** Offsets in a volume descriptor (ECMA-119 section 8.4). */
const field = { systemId: 8, volumeId: 40, volumeSectors: 80, escapes: 88, root: 156, publisherId: 318, applicationId: 574 } as const;

export interface IsoIdentifiers {
  volumeId: string;
  systemId: string;
  publisherId: string;
  applicationId: string;
  /** Bytes of the volume as it says of itself. */
  volumeBytes: number;
}

interface Extent {
  sector: number;
  bytes: number;
}

export class IsoVolume {
  readonly identifiers: IsoIdentifiers;
  /** Sector of the El Torito boot catalog, 0 without one. */
  readonly bootCatalog: number;
  readonly #file: RandomAccessFile;
  readonly #bytes: number;
  readonly #root: Extent;
  readonly #names: 'joliet' | 'plain';

  private constructor(file: RandomAccessFile, bytes: number, primary: Uint8Array, joliet: Uint8Array | undefined, bootCatalog: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.bootCatalog = bootCatalog;
    this.identifiers = {
      volumeId: printable(primary.subarray(field.volumeId, field.volumeId + 32)),
      systemId: printable(primary.subarray(field.systemId, field.systemId + 32)),
      publisherId: printable(primary.subarray(field.publisherId, field.publisherId + 128)),
      applicationId: printable(primary.subarray(field.applicationId, field.applicationId + 128)),
      volumeBytes: u32(primary, field.volumeSectors) * ISO_SECTOR,
    };
    const names = joliet ?? primary;
    this.#names = joliet ? 'joliet' : 'plain';
    this.#root = { sector: u32(names, field.root + 2), bytes: u32(names, field.root + 10) };
  }

  /** The volume of a file of `bytes` bytes; undefined when it has no primary volume descriptor. */
  static async open(file: RandomAccessFile, bytes: number): Promise<IsoVolume | undefined> {
    let primary: Uint8Array | undefined;
    let joliet: Uint8Array | undefined;
    let bootCatalog = 0;
    for (let index = 0; index < MAX_DESCRIPTORS; index++) {
      const offset = (FIRST_DESCRIPTOR + index) * ISO_SECTOR;
      if (offset + ISO_SECTOR > bytes) break;
      const descriptor = await readBytes(file, offset, ISO_SECTOR);
      if (descriptor.length < ISO_SECTOR) break;
      if (latin1(descriptor, 1, 6) !== 'CD001') break;
      const type = descriptor[0];
      if (type === descriptorType.primary) primary ??= descriptor;
      if (type === descriptorType.supplementary && jolietEscapes.has(latin1(descriptor, field.escapes, field.escapes + 3)))
        joliet ??= descriptor;
      if (type === descriptorType.boot && latin1(descriptor, 7, 30) === 'EL TORITO SPECIFICATION') bootCatalog = u32(descriptor, 71);
      if (type === descriptorType.end) break;
    }
    return primary && new IsoVolume(file, bytes, primary, joliet, bootCatalog);
  }

  /** The first `most` bytes of the file at `path` ('/' between names, letter case ignored); undefined when it is not there or is a directory. */
  async readFile(path: string, most: number): Promise<Uint8Array | undefined> {
    const found = await this.#find(path);
    return found && !found.directory ? this.#read(found, most) : undefined;
  }

  /** Whether a file or directory is there. */
  async has(path: string): Promise<boolean> {
    return (await this.#find(path)) !== undefined;
  }

  async #find(path: string): Promise<(Extent & { directory: boolean }) | undefined> {
    let at: Extent & { directory: boolean } = { ...this.#root, directory: true };
    const names = path.split('/').filter((name) => name !== '');
    if (names.length > MAX_DEPTH) return undefined;
    for (const name of names) {
      if (!at.directory) return undefined;
      const next = this.#entries(await this.#read(at, MAX_DIRECTORY_BYTES)).find((entry) => entry.name === name.toLowerCase());
      if (!next) return undefined;
      at = next;
    }
    return at;
  }

  /** What lies in the file of an extent, cut off at its end. */
  async #read(extent: Extent, most: number): Promise<Uint8Array> {
    const offset = extent.sector * ISO_SECTOR;
    return readBytes(this.#file, offset, Math.min(extent.bytes, most, this.#bytes - offset));
  }

  /** Directory records (ECMA-119 section 9.1); names in lower case. A record never spans sectors. */
  #entries(directory: Uint8Array): (Extent & { name: string; directory: boolean })[] {
    const entries = [];
    for (let at = 0; at + 34 <= directory.length; ) {
      const length = directory[at]!;
      if (length === 0) {
        at = (Math.floor(at / ISO_SECTOR) + 1) * ISO_SECTOR;
        continue;
      }
      const record = directory.subarray(at, at + length);
      at += length;
      const nameLength = record.length > 33 ? record[32]! : 0;
      if (nameLength === 0 || 33 + nameLength > record.length) continue;
      entries.push({
        name: this.#name(record, nameLength),
        directory: (record[25]! & DIRECTORY_FLAG) !== 0,
        sector: u32(record, 2),
        bytes: u32(record, 10),
      });
    }
    return entries;
  }

  #name(record: Uint8Array, length: number): string {
    const raw = record.subarray(33, 33 + length);
    if (this.#names === 'joliet') return ucs2(raw).replace(/;\d+$/, '').toLowerCase();
    // The system use area follows, at an even offset.
    return (
      rockRidgeName(record.subarray(33 + length + (length % 2 === 0 ? 1 : 0))) ?? printable(raw).replace(/\.?;\d+$/, '')
    ).toLowerCase();
  }
}

/** The name of "NM" entries (Rock Ridge section 4.1.4) in a system use area: signature, length, version, flags, text. Continuation areas are not followed. */
function rockRidgeName(area: Uint8Array): string | undefined {
  let name: string | undefined;
  for (let at = 0; at + 5 <= area.length; ) {
    const length = area[at + 2]!;
    if (length < 4) break;
    if (latin1(area, at, at + 2) === 'NM' && length >= 5)
      name = (name ?? '') + new TextDecoder().decode(area.subarray(at + 5, Math.min(at + length, area.length)));
    at += length;
  }
  return name;
}
