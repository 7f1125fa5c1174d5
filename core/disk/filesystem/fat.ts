// FAT12, FAT16 and FAT32, only reading: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03.
import { latin1 } from '../iso/sector.ts';
import type { DiskBytes } from './diskbytes.ts';
import type { FileVolume } from './filevolume.ts';

const ENTRY_BYTES = 32;
const attribute = { volume: 0x08, directory: 0x10, longName: 0x0f } as const;
const MOST_DIRECTORY_BYTES = 256 << 10;
const MOST_CLUSTER_BYTES = 256 << 10;
const DELETED = 0xe5;
/** Where the thirteen characters of a part of a long name lie in its entry. */
const LONG_NAME_AT = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/** Below these numbers of clusters a volume is FAT12 and FAT16 (section "FAT Type Determination"). */
const CLUSTERS = { fat12: 4085, fat16: 65_525 } as const;

interface Entry {
  name: string;
  short: string;
  directory: boolean;
  cluster: number;
  size: number;
}

export class FatVolume implements FileVolume {
  readonly #disk: DiskBytes;
  readonly #bits: 12 | 16 | 32;
  readonly #fatAt: number;
  readonly #dataAt: number;
  readonly #clusterBytes: number;
  readonly #clusters: number;
  /** Of FAT12 and FAT16: outside of the clusters. */
  readonly #root: { at: number; bytes: number };
  readonly #rootCluster: number;

  private constructor(disk: DiskBytes, boot: DataView, sector: number) {
    const sectors = boot.getUint16(19, true) || boot.getUint32(32, true);
    const fatSectors = boot.getUint16(22, true) || boot.getUint32(36, true);
    const reserved = boot.getUint16(14, true);
    const rootBytes = boot.getUint16(17, true) * ENTRY_BYTES;
    const rootAt = reserved + boot.getUint8(16) * fatSectors;
    const dataSector = rootAt + Math.ceil(rootBytes / sector);
    this.#disk = disk;
    this.#clusterBytes = boot.getUint8(13) * sector;
    this.#clusters = Math.max(0, Math.floor((sectors - dataSector) / boot.getUint8(13)));
    this.#bits = this.#clusters < CLUSTERS.fat12 ? 12 : this.#clusters < CLUSTERS.fat16 ? 16 : 32;
    this.#fatAt = reserved * sector;
    this.#dataAt = dataSector * sector;
    this.#root = { at: rootAt * sector, bytes: rootBytes };
    this.#rootCluster = this.#bits === 32 ? boot.getUint32(44, true) : 0;
  }

  /** The volume that begins where `disk` does; undefined when there is none. */
  static async open(disk: DiskBytes): Promise<FatVolume | undefined> {
    const boot = await disk.at(0, 512);
    if (boot.byteLength < 512 || boot.getUint16(510, true) !== 0xaa55) return undefined;
    const jump = (boot.getUint8(0) === 0xeb && boot.getUint8(2) === 0x90) || boot.getUint8(0) === 0xe9;
    const [sector, perCluster, fats] = [boot.getUint16(11, true), boot.getUint8(13), boot.getUint8(16)];
    const powerOfTwo = (value: number) => value > 0 && (value & (value - 1)) === 0;
    // Without FATs or reserved sectors it is an NTFS, whose boot sector has the same beginning.
    if (!jump || !powerOfTwo(sector) || sector < 512 || sector > 4096 || !powerOfTwo(perCluster) || fats < 1 || fats > 2) return undefined;
    if (boot.getUint16(14, true) === 0 || perCluster * sector > MOST_CLUSTER_BYTES) return undefined;
    return new FatVolume(disk, boot, sector);
  }

  async readFile(path: string, most: number): Promise<Uint8Array | undefined> {
    const found = await this.#find(path);
    return found && !found.directory ? this.#chain(found.cluster, Math.min(found.size, most)) : undefined;
  }

  async list(path: string): Promise<string[]> {
    const found = await this.#find(path);
    return found?.directory ? (await this.#entries(found)).map(({ name }) => name) : [];
  }

  async #find(path: string): Promise<Entry | undefined> {
    let here: Entry = { name: '', short: '', directory: true, cluster: this.#rootCluster, size: 0 };
    for (const name of path.toLowerCase().split('/').filter(Boolean)) {
      if (!here.directory) return undefined;
      const next = (await this.#entries(here)).find((entry) => entry.name.toLowerCase() === name || entry.short.toLowerCase() === name);
      if (!next) return undefined;
      here = next;
    }
    return here;
  }

  async #entries({ cluster }: Entry): Promise<Entry[]> {
    const bytes =
      cluster === 0
        ? new Uint8Array((await this.#disk.at(this.#root.at, Math.min(this.#root.bytes, MOST_DIRECTORY_BYTES))).buffer)
        : await this.#chain(cluster, MOST_DIRECTORY_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const found: Entry[] = [];
    let long = '';
    for (let at = 0; at + ENTRY_BYTES <= bytes.length && bytes[at] !== 0; at += ENTRY_BYTES) {
      const attributes = bytes[at + 11]!;
      if (bytes[at] === DELETED) {
        long = '';
        continue;
      }
      if ((attributes & 0x3f) === attribute.longName) {
        // The last part of the name comes first.
        long = LONG_NAME_AT.map((offset) => String.fromCharCode(view.getUint16(at + offset, true))).join('') + long;
        continue;
      }
      const extension = latin1(bytes, at + 8, at + 11).trimEnd();
      const short = latin1(bytes, at, at + 8).trimEnd() + (extension && `.${extension}`);
      const name = long.split('\0')[0] || short;
      long = '';
      if (attributes & attribute.volume || short === '.' || short === '..') continue;
      const high = this.#bits === 32 ? view.getUint16(at + 20, true) : 0;
      found.push({
        name,
        short,
        directory: (attributes & attribute.directory) !== 0,
        cluster: high * 65_536 + view.getUint16(at + 26, true),
        size: view.getUint32(at + 28, true),
      });
    }
    return found;
  }

  /** At most `most` bytes of a chain of clusters. */
  async #chain(first: number, most: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(most);
    let done = 0;
    for (let cluster = first; done < most && cluster >= 2 && cluster < this.#clusters + 2; cluster = await this.#next(cluster)) {
      const part = await this.#disk.at(this.#dataAt + (cluster - 2) * this.#clusterBytes, Math.min(this.#clusterBytes, most - done));
      if (part.byteLength === 0) break;
      bytes.set(new Uint8Array(part.buffer), done);
      done += part.byteLength;
    }
    return bytes.subarray(0, done);
  }

  async #next(cluster: number): Promise<number> {
    const at = this.#fatAt + Math.floor((cluster * this.#bits) / 8);
    const cell = await this.#disk.at(at, this.#bits === 32 ? 4 : 2);
    if (this.#bits === 32) return cell.byteLength === 4 ? cell.getUint32(0, true) & 0x0fff_ffff : 0;
    if (cell.byteLength < 2) return 0;
    const value = cell.getUint16(0, true);
    if (this.#bits === 16) return value;
    return cluster & 1 ? value >>> 4 : value & 0xfff;
  }
}
