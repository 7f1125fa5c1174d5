import { createCipheriv, randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { constants, createDeflate } from 'node:zlib';
import type { Deflater, RfbPlatform } from '../vnc/platformparts.ts';

/** RfbPlatform over Node: zlib runs on the thread pool, so compressing never holds up the process. */
export function createRfbPlatform(): RfbPlatform {
  return {
    createDeflater,
    desEncrypt(key, data) {
      // EDE with three equal keys is single DES; a fresh zero IV for each block makes CBC act as ECB. OpenSSL 3 and BoringSSL both have it.
      const tripled = Buffer.concat([key, key, key]);
      const output = new Uint8Array(data.length);
      for (let at = 0; at < data.length; at += 8) {
        const cipher = createCipheriv('des-ede3-cbc', tripled, Buffer.alloc(8)).setAutoPadding(false);
        output.set(cipher.update(data.subarray(at, at + 8)), at);
      }
      return output;
    },
    randomBytes: (count) => new Uint8Array(randomBytes(count)),
    now: () => performance.now(),
    after(ms, callback) {
      const timer = setTimeout(callback, ms);
      return { dispose: () => clearTimeout(timer) };
    },
  };
}

function createDeflater(level: number): Deflater {
  const stream = createDeflate({ level, flush: constants.Z_NO_FLUSH });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  let failed: Error | undefined;
  stream.on('error', (error) => {
    failed = error;
  });
  return {
    deflate: (input) =>
      new Promise((resolve, reject) => {
        if (failed) {
          reject(failed);
          return;
        }
        stream.write(input);
        stream.flush(constants.Z_SYNC_FLUSH, () => {
          const output = Buffer.concat(chunks);
          chunks.length = 0;
          resolve(new Uint8Array(output.buffer, output.byteOffset, output.length));
        });
      }),
    close: () => stream.destroy(),
  };
}
