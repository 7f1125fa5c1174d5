/**
 * The log of a VHDX image (MS-VHDX 2.3): changes of the image's tables that may not have arrived at their place yet. They are applied in memory, so that an
 * image that was not closed properly can be read and stays as it is.
 */
import type { RandomAccessFile } from '../../backend/file.ts';
import { viewOf } from '../bigendian.ts';
import { corruptImage } from '../formaterrors.ts';
import { getU64LE, guidAt } from '../littleendian.ts';
import { crc32c } from './crc32c.ts';
import type { VhdxHeader } from './header.ts';
import { say } from '../../util/say.ts';

const SECTOR = 4096;
const ENTRY_HEADER = 64;
const DESCRIPTOR = 32;
/** Ranges of zeros are held as such; this bounds their number. */
const MAX_DESCRIPTORS = 1 << 16;

interface Entry {
  sequence: number;
  /** Offset of the oldest entry of the sequence, and of the next one behind this. */
  tail: number;
  next: number;
  /** Bytes that the file had when this was written. */
  fileBytes: number;
  bytes: Uint8Array;
  descriptors: number;
}

/** The image as it is with the log applied. The file itself when the log is empty. Rejects with 'corrupt' when the log can't be applied. */
export async function applyLog(file: RandomAccessFile, header: VhdxHeader): Promise<RandomAccessFile> {
  if (!header.logGuid) return file;
  const log = new Uint8Array(header.logBytes);
  if ((await file.read(header.logOffset, log)) < log.length) throw corruptImage(file.path, say('damageLogCut'));
  const entries = activeSequence(log, header.logGuid);
  if (!entries) throw corruptImage(file.path, say('damageLogDamaged'));
  const last = entries.at(-1)!;
  if ((await file.size()) < last.fileBytes) throw corruptImage(file.path, say('damageLogLonger', { size: last.fileBytes }));
  const patched = new PatchedFile(file);
  for (const entry of entries) apply(entry, patched, file.path);
  return patched;
}

/** The entries of the newest complete sequence, oldest first. */
function activeSequence(log: Uint8Array, guid: string): Entry[] | undefined {
  let best: Entry[] | undefined;
  const seen = new Set<number>();
  for (let start = 0; start < log.length; start += SECTOR) {
    if (seen.has(start)) continue;
    const chain: Entry[] = [];
    for (let at = start, bytes = 0; bytes < log.length; ) {
      const entry = parseEntry(log, at, guid);
      if (!entry || (chain.length && entry.sequence !== chain.at(-1)!.sequence + 1)) break;
      seen.add(at);
      chain.push(entry);
      bytes += entry.bytes.length;
      at = entry.next;
    }
    const newest = chain.at(-1);
    if (!newest) continue;
    // Complete when the newest entry's tail is in the chain.
    const places = chain.map((_, i) => (i === 0 ? start : chain[i - 1]!.next));
    const first = places.indexOf(newest.tail);
    if (first >= 0 && (!best || newest.sequence > best.at(-1)!.sequence)) best = chain.slice(first);
  }
  return best;
}

function parseEntry(log: Uint8Array, at: number, guid: string): Entry | undefined {
  const view = viewOf(log);
  if (at + ENTRY_HEADER > log.length || view.getUint32(at, true) !== 0x65676f6c) return undefined;
  const length = view.getUint32(at + 8, true);
  if (length < SECTOR || length % SECTOR || length > log.length || guidAt(log, at + 32) !== guid) return undefined;
  const bytes = new Uint8Array(length);
  const straight = Math.min(length, log.length - at);
  bytes.set(log.subarray(at, at + straight));
  bytes.set(log.subarray(0, length - straight), straight);
  const fields = viewOf(bytes);
  if (fields.getUint32(4, true) !== crc32c(bytes, 4)) return undefined;
  return {
    sequence: getU64LE(fields, 16),
    tail: fields.getUint32(12, true),
    next: (at + length) % log.length,
    fileBytes: getU64LE(fields, 48),
    bytes,
    descriptors: fields.getUint32(24, true),
  };
}

function apply(entry: Entry, target: PatchedFile, path: string): void {
  const { bytes, descriptors } = entry;
  const view = viewOf(bytes);
  const headers = Math.ceil((ENTRY_HEADER + descriptors * DESCRIPTOR) / SECTOR) * SECTOR;
  if (descriptors > MAX_DESCRIPTORS || headers > bytes.length) throw corruptImage(path, say('damageLogChanges', { count: descriptors }));
  let data = headers;
  for (let at = ENTRY_HEADER; at < ENTRY_HEADER + descriptors * DESCRIPTOR; at += DESCRIPTOR) {
    const signature = view.getUint32(at, true);
    const offset = getU64LE(view, at + 16);
    if (offset % SECTOR || offset > Number.MAX_SAFE_INTEGER - 2 ** 50) throw corruptImage(path, say('damageLogOffset', { offset }));
    if (signature === 0x6f72657a) target.zero(offset, getU64LE(view, at + 8));
    else if (signature === 0x63736564) {
      if (data + SECTOR > bytes.length || view.getUint32(data, true) !== 0x61746164) throw corruptImage(path, say('damageLogNoData'));
      const sector = new Uint8Array(SECTOR);
      // The ends of the sector lie in the descriptor, the rest in the log's data sector.
      sector.set(bytes.subarray(at + 8, at + 16), 0);
      sector.set(bytes.subarray(data + 8, data + 4092), 8);
      sector.set(bytes.subarray(at + 4, at + 8), 4092);
      target.patch(offset, sector);
      data += SECTOR;
    } else throw corruptImage(path, say('damageLogUnknown'));
  }
}

/** A file with some sectors replaced in memory. */
export class PatchedFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly = true;
  private readonly file: RandomAccessFile;
  private readonly sectors = new Map<number, Uint8Array>();
  private readonly zeros: { from: number; to: number; before: number }[] = [];
  /** Number of the change that a sector came with. */
  private readonly order = new Map<number, number>();
  private changes = 0;
  /** Where the last sector ends. */
  private end = 0;

  constructor(file: RandomAccessFile) {
    this.file = file;
    this.path = file.path;
  }

  patch(offset: number, sector: Uint8Array): void {
    this.sectors.set(offset, sector);
    this.order.set(offset, this.changes++);
    this.end = Math.max(this.end, offset + SECTOR);
  }

  zero(offset: number, length: number): void {
    this.zeros.push({ from: offset, to: offset + length, before: this.changes++ });
  }

  async size(): Promise<number> {
    return Math.max(await this.file.size(), this.end);
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    const got = await this.file.read(offset, target);
    target.fill(0, got);
    const end = offset + target.length;
    for (const { from, to } of this.zeros)
      if (from < end && offset < to) target.fill(0, Math.max(0, from - offset), Math.min(target.length, to - offset));
    const first = Math.floor(offset / SECTOR) * SECTOR;
    const put = (at: number, sector: Uint8Array) => {
      const zeroed = this.zeros.some(({ from, to, before }) => from <= at && at < to && before > this.order.get(at)!);
      if (zeroed) return;
      const from = Math.max(at, offset);
      const to = Math.min(at + SECTOR, end);
      target.set(sector.subarray(from - at, to - at), from - offset);
    };
    if ((end - first) / SECTOR > this.sectors.size) {
      for (const [at, sector] of this.sectors) if (at < end && at + SECTOR > offset) put(at, sector);
    } else
      for (let at = first; at < end; at += SECTOR) {
        const sector = this.sectors.get(at);
        if (sector) put(at, sector);
      }
    return Math.max(got, Math.min(target.length, this.end - offset));
  }

  write(): Promise<void> {
    return Promise.reject(new Error('a patched file is for reading'));
  }

  async sync(): Promise<void> {}

  truncate(): Promise<void> {
    return this.write();
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
