// ext2, ext3 and ext4, only reading: Linux kernel documentation, "ext4 Data Structures and Algorithms" (admin-guide and filesystems/ext4). The journal is not replayed, so
// what was written last before a crash may be missing.
import type { DiskBytes } from './diskbytes.ts';
import type { FileVolume } from './filevolume.ts';

const SUPERBLOCK = { offset: 1024, bytes: 1024 } as const;
const MAGIC = 0xef53;
/** 64 KiB at most. */
const MOST_BLOCK_SHIFT = 6;
const ROOT_INODE = 2;
/** s_feature_incompat: compression, a journal's own device and descriptors spread over the disk are not read. */
const incompat = { compression: 0x1, journalDevice: 0x8, metaBlockGroups: 0x10, wide: 0x80 } as const;
const flag = { encrypted: 0x800, extents: 0x80000, inline: 0x1000_0000 } as const;
const type = { mask: 0xf000, directory: 0x4000, file: 0x8000, link: 0xa000 } as const;
const EXTENT_MAGIC = 0xf30a;
const EXTENT_ENTRY = 12;
const MOST_EXTENT_DEPTH = 5;
/** An extent longer than this is not written yet and reads as zeros. */
const WRITTEN_EXTENT = 32768;
const DIRECT_BLOCKS = 12;
const BLOCK_MAP_BYTES = 60;
const MOST_DIRECTORY_BYTES = 512 << 10;
const MOST_LINKS = 8;

interface Inode {
  mode: number;
  size: number;
  flags: number;
  /** i_block: a block map, the root of an extent tree, or the target of a short link. */
  map: DataView;
}

export class ExtVolume implements FileVolume {
  readonly #disk: DiskBytes;
  readonly #blockBytes: number;
  readonly #inodeBytes: number;
  readonly #inodesPerGroup: number;
  readonly #inodes: number;
  readonly #firstDataBlock: number;
  readonly #descriptorBytes: number;

  private constructor(disk: DiskBytes, superblock: DataView) {
    const revision = superblock.getUint32(0x4c, true);
    const wide = superblock.getUint32(0x60, true) & incompat.wide;
    this.#disk = disk;
    this.#blockBytes = 1024 << superblock.getUint32(0x18, true);
    this.#inodeBytes = revision === 0 ? 128 : superblock.getUint16(0x58, true);
    this.#inodesPerGroup = superblock.getUint32(0x28, true);
    this.#inodes = superblock.getUint32(0, true);
    this.#firstDataBlock = superblock.getUint32(0x14, true);
    this.#descriptorBytes = wide ? Math.max(64, superblock.getUint16(0xfe, true)) : 32;
  }

  /** The file system that begins where `disk` does; undefined when there is none that can be read. */
  static async open(disk: DiskBytes): Promise<ExtVolume | undefined> {
    const superblock = await disk.at(SUPERBLOCK.offset, SUPERBLOCK.bytes);
    if (superblock.byteLength < SUPERBLOCK.bytes || superblock.getUint16(0x38, true) !== MAGIC) return undefined;
    const features = superblock.getUint32(0x60, true);
    if (features & (incompat.compression | incompat.journalDevice | incompat.metaBlockGroups)) return undefined;
    if (superblock.getUint32(0x18, true) > MOST_BLOCK_SHIFT) return undefined;
    const volume = new ExtVolume(disk, superblock);
    return volume.#inodeBytes >= 128 && volume.#inodeBytes <= volume.#blockBytes && volume.#inodesPerGroup > 0 ? volume : undefined;
  }

  async readFile(path: string, most: number): Promise<Uint8Array | undefined> {
    const found = await this.#find(path);
    return found && (found.mode & type.mask) === type.file ? this.#content(found, most) : undefined;
  }

  async list(path: string): Promise<string[]> {
    const found = await this.#find(path);
    if (!found || (found.mode & type.mask) !== type.directory) return [];
    return [...(await this.#entries(found)).keys()].filter((name) => name !== '.' && name !== '..');
  }

  /** The inode at a path from the root, symbolic links followed. */
  async #find(path: string): Promise<Inode | undefined> {
    const names = path.split('/').filter(Boolean);
    // From the root down to where the walk is.
    const trail: number[] = [ROOT_INODE];
    let links = 0;
    while (names.length) {
      const name = names.shift()!;
      if (name === '.') continue;
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const directory = await this.#inode(trail.at(-1)!);
      if (!directory || (directory.mode & type.mask) !== type.directory) return undefined;
      const number = (await this.#entries(directory)).get(name);
      const inode = number === undefined ? undefined : await this.#inode(number);
      if (!inode) return undefined;
      if ((inode.mode & type.mask) === type.link) {
        if (++links > MOST_LINKS) return undefined;
        const target = await this.#target(inode);
        if (target.startsWith('/')) trail.length = 1;
        names.unshift(...target.split('/').filter(Boolean));
        continue;
      }
      if (trail.length > 64) return undefined;
      trail.push(number!);
    }
    return this.#inode(trail.at(-1)!);
  }

  async #target(link: Inode): Promise<string> {
    const short = link.size < BLOCK_MAP_BYTES && !(link.flags & flag.extents);
    const bytes = short ? new Uint8Array(link.map.buffer, link.map.byteOffset, link.size) : await this.#content(link, 4096);
    return new TextDecoder().decode(bytes);
  }

  async #inode(number: number): Promise<Inode | undefined> {
    if (number < 1 || number > this.#inodes) return undefined;
    const group = Math.floor((number - 1) / this.#inodesPerGroup);
    const descriptor = await this.#disk.at(
      (this.#firstDataBlock + 1) * this.#blockBytes + group * this.#descriptorBytes,
      this.#descriptorBytes,
    );
    if (descriptor.byteLength < this.#descriptorBytes) return undefined;
    const high = this.#descriptorBytes >= 64 ? descriptor.getUint32(0x28, true) : 0;
    const table = descriptor.getUint32(8, true) + high * 2 ** 32;
    const inode = await this.#disk.at(table * this.#blockBytes + ((number - 1) % this.#inodesPerGroup) * this.#inodeBytes, 128);
    if (inode.byteLength < 128) return undefined;
    const mode = inode.getUint16(0, true);
    const flags = inode.getUint32(0x20, true);
    if (flags & (flag.encrypted | flag.inline)) return undefined;
    // i_size_high means something else in directories of old revisions.
    const sizeHigh = (mode & type.mask) === type.file ? inode.getUint32(0x6c, true) : 0;
    return { mode, size: inode.getUint32(4, true) + sizeHigh * 2 ** 32, flags, map: new DataView(inode.buffer, 0x28, BLOCK_MAP_BYTES) };
  }

  async #entries(directory: Inode): Promise<Map<string, number>> {
    const entries = new Map<string, number>();
    const bytes = await this.#content(directory, MOST_DIRECTORY_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + 8 <= bytes.length; ) {
      const [inode, length, nameBytes] = [view.getUint32(at, true), view.getUint16(at + 4, true), view.getUint8(at + 6)];
      if (length < 8 || length % 4 || at + length > bytes.length) break;
      // The nodes of an index look like entries of nobody.
      if (inode && nameBytes + 8 <= length) entries.set(new TextDecoder().decode(bytes.subarray(at + 8, at + 8 + nameBytes)), inode);
      at += length;
    }
    return entries;
  }

  async #content(inode: Inode, most: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(inode.size, most));
    for (let done = 0, block = 0; done < bytes.length; done += this.#blockBytes, block++) {
      const where = inode.flags & flag.extents ? await this.#extentBlock(inode.map, block) : await this.#mappedBlock(inode.map, block);
      // A hole reads as zeros.
      if (where)
        bytes.set(
          new Uint8Array((await this.#disk.at(where * this.#blockBytes, Math.min(this.#blockBytes, bytes.length - done))).buffer),
          done,
        );
    }
    return bytes;
  }

  async #extentBlock(root: DataView, block: number): Promise<number> {
    let node = root;
    for (let turn = 0; turn <= MOST_EXTENT_DEPTH; turn++) {
      if (node.byteLength < EXTENT_ENTRY || node.getUint16(0, true) !== EXTENT_MAGIC) return 0;
      const room = Math.floor(node.byteLength / EXTENT_ENTRY) - 1;
      const [count, depth] = [Math.min(node.getUint16(2, true), room), node.getUint16(6, true)];
      let at = 0;
      // The last entry that begins at or before the block; they are sorted.
      for (let index = 1; index <= count && node.getUint32(index * EXTENT_ENTRY, true) <= block; index++) at = index * EXTENT_ENTRY;
      if (at === 0) return 0;
      if (depth === 0) {
        const [first, length] = [node.getUint32(at, true), node.getUint16(at + 4, true)];
        if (length > WRITTEN_EXTENT || block >= first + length) return 0;
        return node.getUint16(at + 6, true) * 2 ** 32 + node.getUint32(at + 8, true) + (block - first);
      }
      const child = node.getUint16(at + 8, true) * 2 ** 32 + node.getUint32(at + 4, true);
      node = await this.#disk.at(child * this.#blockBytes, this.#blockBytes);
    }
    return 0;
  }

  /** Twelve blocks, one block of numbers, and one of blocks of numbers: more than the files that are asked for. */
  async #mappedBlock(map: DataView, block: number): Promise<number> {
    const fan = this.#blockBytes / 4;
    const number = async (table: number, index: number) => {
      if (table === 0) return 0;
      const cell = await this.#disk.at(table * this.#blockBytes + index * 4, 4);
      return cell.byteLength === 4 ? cell.getUint32(0, true) : 0;
    };
    if (block < DIRECT_BLOCKS) return map.getUint32(block * 4, true);
    const second = block - DIRECT_BLOCKS;
    if (second < fan) return number(map.getUint32(DIRECT_BLOCKS * 4, true), second);
    const third = second - fan;
    if (third >= fan * fan) return 0;
    return number(await number(map.getUint32(DIRECT_BLOCKS * 4 + 4, true), Math.floor(third / fan)), third % fan);
  }
}
