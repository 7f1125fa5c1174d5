/** The tar archive that an OVA file is (POSIX ustar, with GNU's large sizes): its members are read and written in place, without unpacking. */
import type { RandomAccessFile } from '../../backend/file.ts';
import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';

export const TAR_BLOCK = 512;
const MAX_MEMBERS = 1000;
const NAME_BYTES = 100;

export interface TarMember {
  name: string;
  /** Where its bytes begin. */
  offset: number;
  size: number;
}

const damaged = (path: string, what: Saying) =>
  new HypervueError('corrupt', say('imageDamaged', { path, what }), { path, operation: 'import' }, say('fixOtherFileCopy'));

function sum(header: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < TAR_BLOCK; i++) total += i >= 148 && i < 156 ? 0x20 : header[i]!;
  return total;
}

function text(header: Uint8Array, at: number, length: number): string {
  const end = header.indexOf(0, at);
  return new TextDecoder().decode(header.subarray(at, end < 0 ? at + length : Math.min(end, at + length)));
}

/** A number in octal digits, or in binary when the first bit is set. */
function number(header: Uint8Array, at: number, length: number): number {
  if (header[at]! & 0x80) {
    let value = header[at]! & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + header[at + i]!;
    return value;
  }
  return Number.parseInt(text(header, at, length).trim() || '0', 8);
}

export const isTar = (start: Uint8Array): boolean =>
  start.length >= TAR_BLOCK && number(start, 148, 8) === sum(start) && text(start, 0, 100) !== '';

/** The plain files of the archive, in order. Rejects with 'corrupt'. */
export async function listTar(file: RandomAccessFile): Promise<TarMember[]> {
  const members: TarMember[] = [];
  const size = await file.size();
  const header = new Uint8Array(TAR_BLOCK);
  for (let at = 0; at + TAR_BLOCK <= size; ) {
    await file.read(at, header);
    if (header.every((byte) => byte === 0)) break;
    if (number(header, 148, 8) !== sum(header)) throw damaged(file.path, say('damageNoArchiveEntry', { offset: at }));
    const bytes = number(header, 124, 12);
    if (!Number.isSafeInteger(bytes) || bytes < 0 || at + TAR_BLOCK + bytes > size)
      throw damaged(file.path, say('damageArchiveEntry', { size: bytes, offset: at }));
    const kind = header[156]!;
    if (kind === 0 || kind === 0x30) {
      if (members.length >= MAX_MEMBERS) throw damaged(file.path, say('damageManyFiles', { most: MAX_MEMBERS }));
      const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : '';
      members.push({ name: `${prefix ? `${prefix}/` : ''}${text(header, 0, NAME_BYTES)}`, offset: at + TAR_BLOCK, size: bytes });
    }
    at += TAR_BLOCK + Math.ceil(bytes / TAR_BLOCK) * TAR_BLOCK;
  }
  return members;
}

/** The header of a plain file. Names have at most 100 bytes. */
export function tarHeader(name: string, size: number): Uint8Array {
  const header = Buffer.alloc(TAR_BLOCK);
  if (Buffer.byteLength(name) > NAME_BYTES) throw new HypervueError('invalid-argument', say('tarName', { name }));
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  if (size < 8 ** 11) header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  else {
    header.writeBigUInt64BE(BigInt(size), 128);
    header[124] = 0x80;
  }
  header.write(
    `${Math.floor(Date.now() / 1000)
      .toString(8)
      .padStart(11, '0')}\0`,
    136,
  );
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  header.write(`${sum(header).toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A stretch of another file as a file of its own. Closing it closes nothing. */
export class WindowFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly: boolean;
  private readonly file: RandomAccessFile;
  private readonly offset: number;
  private bytes: number;

  constructor(file: RandomAccessFile, name: string, offset: number, bytes: number) {
    this.file = file;
    this.path = `${file.path} (${name})`;
    this.readOnly = file.readOnly;
    this.offset = offset;
    this.bytes = bytes;
  }

  async size(): Promise<number> {
    return this.bytes;
  }

  read(offset: number, target: Uint8Array): Promise<number> {
    const there = Math.max(0, Math.min(target.length, this.bytes - offset));
    return there ? this.file.read(this.offset + offset, target.subarray(0, there)) : Promise.resolve(0);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.file.write(this.offset + offset, source);
    this.bytes = Math.max(this.bytes, offset + source.length);
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  async truncate(bytes: number): Promise<void> {
    this.bytes = bytes;
  }

  async close(): Promise<void> {}
}
