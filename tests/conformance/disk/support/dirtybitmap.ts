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
