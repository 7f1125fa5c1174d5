/** What a backup program would read of a qcow2 image's dirty bitmaps: by way of qemu-nbd and the NBD context `qemu:dirty-bitmap`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { qemuImg } from './qemu.ts';

export interface BitmapInfo {
  name: string;
  granularity: number;
  flags: string[];
}

/** The bitmaps that `qemu-img info` lists. */
export function bitmapsOf(image: string): BitmapInfo[] {
  const info = JSON.parse(qemuImg('info', '--output=json', image)) as { 'format-specific': { data: { bitmaps?: BitmapInfo[] } } };
  return info['format-specific'].data.bitmaps ?? [];
}

/** The ranges that the bitmap says are changed, as [first, end) bytes, joined. Takes a bitmap that is not in use. */
export async function dirtyRanges(image: string, bitmap: string): Promise<[number, number][]> {
  const socket = path.join(path.dirname(image), `nbd-${process.pid}`);
  const server = spawn('qemu-nbd', ['-r', '-f', 'qcow2', '-k', socket, '-B', bitmap, image], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', (text) => {
    said += text;
  });
  const exited = once(server, 'exit');
  try {
    for (let tries = 0; !existsSync(socket); tries++) {
      if (server.exitCode !== null || tries > 500) throw new Error(`qemu-nbd -B ${bitmap} ${image}: ${said}`);
      await delay(10);
    }
    const options = `driver=nbd,server.type=unix,server.path=${socket},x-dirty-bitmap=qemu:dirty-bitmap:${bitmap}`;
    // In this map "data: false" is what the bitmap has.
    const map = JSON.parse(qemuImg('map', '--output=json', '--image-opts', options)) as { start: number; length: number; data: boolean }[];
    const ranges: [number, number][] = [];
    for (const { start, length, data } of map) {
      if (data) continue;
      const last = ranges.at(-1);
      if (last?.[1] === start) last[1] = start + length;
      else ranges.push([start, start + length]);
    }
    return ranges;
  } finally {
    server.kill();
    await exited;
  }
}

/** The header extension "Bitmaps" (QEMU's docs/interop/qcow2.txt). */
const EXTENSION = 0x23852875;
const FLAG_IN_USE = 1;

/** A bitmap as it lies in the bytes of an image, read as the specification says: whether it is in use, and whether it has a byte of the disk as changed. */
export interface StoredBitmap {
  name: string;
  /** Byte of the file where its entry of the directory begins. */
  at: number;
  inUse: boolean;
  dirty(offset: number): boolean;
}

export function storedBitmaps(image: Uint8Array): StoredBitmap[] {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const offset = (at: number) => Number(view.getBigUint64(at));
  const clusterSize = 2 ** view.getUint32(20);
  let extension = view.getUint32(100);
  while (view.getUint32(extension) !== EXTENSION) {
    if (!view.getUint32(extension)) return [];
    extension += 8 + Math.ceil(view.getUint32(extension + 4) / 8) * 8;
  }
  const found: StoredBitmap[] = [];
  let at = offset(extension + 24);
  for (let left = view.getUint32(extension + 8); left > 0; left--) {
    const table = offset(at);
    const granularity = 2 ** view.getUint8(at + 17);
    const [nameBytes, extraBytes] = [view.getUint16(at + 18), view.getUint32(at + 20)];
    const dirty = (byte: number): boolean => {
      const bit = Math.floor(byte / granularity);
      const entry = offset(table + Math.floor(bit / 8 / clusterSize) * 8);
      const data = entry - (entry % 512);
      return data ? ((image[data + (Math.floor(bit / 8) % clusterSize)]! >> (bit % 8)) & 1) === 1 : (entry & 1) === 1;
    };
    const name = Buffer.from(image.subarray(at + 24 + extraBytes, at + 24 + extraBytes + nameBytes)).toString();
    found.push({ name, at, inUse: (view.getUint32(at + 12) & FLAG_IN_USE) !== 0, dirty });
    at += Math.ceil((24 + extraBytes + nameBytes) / 8) * 8;
  }
  return found;
}
