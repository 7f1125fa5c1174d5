import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { Codec } from '../disk/codec.ts';

const deflateRaw = promisify<Uint8Array, zlib.ZlibOptions, Buffer>(zlib.deflateRaw);
const deflate = promisify<Uint8Array, Buffer>(zlib.deflate);
const zstd = promisify<Uint8Array, Buffer>(zlib.zstdCompress);

/**
 * Compressed clusters are followed by whatever else is in their last sector, so decompressing stops at the end of the stream, or when `limit` bytes are
 * there.
 */
function decompress(engine: zlib.InflateRaw | zlib.Inflate | zlib.ZstdDecompress, source: Uint8Array, limit: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const finish = (error?: Error) => {
      engine.removeAllListeners();
      engine.on('error', () => {});
      engine.destroy();
      if (length >= limit) resolve(new Uint8Array(Buffer.concat(parts, length).subarray(0, limit)));
      else if (error) reject(error);
      else resolve(new Uint8Array(Buffer.concat(parts, length)));
    };
    engine.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length >= limit) finish();
    });
    engine.on('end', () => finish());
    engine.on('error', finish);
    engine.end(source);
  });
}

/** The codec of disk formats over Node's zlib, which works on its own threads. */
export const nodeCodec: Codec = {
  inflateRaw: (source, limit) => decompress(zlib.createInflateRaw(), source, limit),
  // The window that qcow2 readers expect (4 KiB).
  deflateRaw: (source) => deflateRaw(source, { windowBits: 12 }),
  inflate: (source, limit) => decompress(zlib.createInflate(), source, limit),
  deflate: (source) => deflate(source),
  unzstd: (source, limit) => decompress(zlib.createZstdDecompress(), source, limit),
  zstd: (source) => zstd(source),
};
