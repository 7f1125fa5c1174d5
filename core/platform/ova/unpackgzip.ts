import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { RandomAccessFile } from '../../backend/file.ts';
import { stopIfAborted, type TaskOptions } from '../../disk/task.ts';
import { isZero } from '../../disk/zeros.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { fileError } from '../nodefile.ts';

const CHUNK = 1 << 20;

/** Unpacks a gzip file (RFC 1952) into a new one, zeros as holes. Rejects with 'corrupt' when it is none or is more than `most` bytes. */
export async function unpackGzip(source: RandomAccessFile, to: string, most: number, options: TaskOptions): Promise<void> {
  async function* pieces(): AsyncGenerator<Buffer> {
    const total = await source.size();
    for (let at = 0; at < total; ) {
      const piece = Buffer.allocUnsafe(Math.min(CHUNK, total - at));
      const got = await source.read(at, piece);
      if (got === 0) return;
      at += got;
      yield piece.subarray(0, got);
    }
  }
  const target = await open(to, 'wx', 0o600).catch((error) => {
    throw fileError(error, to, 'create');
  });
  let at = 0;
  try {
    await pipeline(Readable.from(pieces()), createGunzip({ chunkSize: CHUNK }), async (unpacked: AsyncIterable<Buffer>) => {
      for await (const piece of unpacked) {
        stopIfAborted(options, source.path);
        if (at + piece.length > most)
          throw new HypervueError('corrupt', say('gzipMore', { path: source.path }), {
            path: source.path,
            operation: 'import',
          });
        if (!isZero(piece)) await target.write(piece, 0, piece.length, at);
        at += piece.length;
      }
    });
    await target.truncate(at);
  } catch (error) {
    if (error instanceof HypervueError) throw error;
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z'))
      throw new HypervueError(
        'corrupt',
        say('gzipDamaged', { path: source.path }),
        { path: source.path, operation: 'import' },
        say('fixDownloadAgain'),
        error,
      );
    throw fileError(error, to, 'write');
  } finally {
    await target.close();
  }
}
