/** A file in memory that can lose its power: what was not synced arrives in part, in any order, torn at sectors. */
import type { RandomAccessFile } from '../../../../core/backend/file.ts';

const SECTOR = 512;

export class PowerCutFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly = false;
  private now: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  private durable: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  private unsynced: { offset: number; bytes: Uint8Array }[] = [];
  syncs = 0;
  /** Called before each write and sync; throws to make it fail. */
  before: (operation: 'write' | 'sync') => void = () => {};

  constructor(path: string, content = new Uint8Array(0)) {
    this.path = path;
    this.now = content.slice();
    this.durable = content.slice();
  }

  async size(): Promise<number> {
    return this.now.length;
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    const part = this.now.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.before('write');
    this.now = put(this.now, offset, source);
    this.unsynced.push({ offset, bytes: source.slice() });
  }

  async sync(): Promise<void> {
    this.before('sync');
    // Takes a while: what is written meanwhile is not part of it.
    const covered = this.unsynced.splice(0);
    await Promise.resolve();
    for (const { offset, bytes } of covered) this.durable = put(this.durable, offset, bytes);
    this.syncs++;
  }

  async truncate(bytes: number): Promise<void> {
    if (bytes > this.now.length) this.now = put(this.now, bytes, new Uint8Array(0));
    else this.now = this.now.slice(0, bytes);
  }

  async close(): Promise<void> {}

  /** What is on the disk when the power comes back: every sector of every unsynced write arrived or not. */
  afterPowerCut(random: (below: number) => number): Uint8Array<ArrayBuffer> {
    // As long as the longest that may be left; put() would copy all for each sector behind the end.
    const bytes = new Uint8Array(
      this.unsynced.reduce((most, { offset, bytes }) => Math.max(most, offset + bytes.length), this.durable.length),
    );
    bytes.set(this.durable);
    let length = this.durable.length;
    // Some cuts lose almost all, some almost nothing.
    const share = random(101);
    const writes = this.unsynced.slice();
    for (let i = writes.length - 1; i > 0; i--) {
      const other = random(i + 1);
      // Writes of the same place keep their order: a disk never goes back to older contents of a sector.
      [writes[i], writes[other]] = [writes[other]!, writes[i]!];
    }
    const order = new Map(this.unsynced.map((write, i) => [write, i]));
    const latest = new Map<number, number>();
    for (const write of writes)
      for (let at = 0; at < write.bytes.length; ) {
        const end = Math.min(write.bytes.length, at + SECTOR - ((write.offset + at) % SECTOR));
        const sector = Math.floor((write.offset + at) / SECTOR);
        const number = order.get(write)!;
        if (random(100) < share && number >= (latest.get(sector) ?? -1)) {
          latest.set(sector, number);
          bytes.set(write.bytes.subarray(at, end), write.offset + at);
          length = Math.max(length, write.offset + end);
        }
        at = end;
      }
    return bytes.slice(0, length);
  }
}

function put(bytes: Uint8Array<ArrayBuffer>, offset: number, source: Uint8Array): Uint8Array<ArrayBuffer> {
  let result = bytes;
  if (offset + source.length > bytes.length) {
    result = new Uint8Array(offset + source.length);
    result.set(bytes);
  }
  result.set(source, offset);
  return result;
}
