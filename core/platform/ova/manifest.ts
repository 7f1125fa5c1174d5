/** The manifest of an OVF package (DSP0243 section 5.1): a checksum of every file. */
import { createHash } from 'node:crypto';
import type { RandomAccessFile } from '../../backend/file.ts';
import { stopIfAborted, type TaskOptions } from '../../disk/task.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';

const CHUNK = 4 << 20;

export interface ManifestLine {
  algorithm: 'sha1' | 'sha256' | 'sha512';
  digest: string;
}

/** By file name. Throws 'corrupt' for lines that are none. */
export function parseManifest(text: string, path: string): Map<string, ManifestLine> {
  const lines = new Map<string, ManifestLine>();
  for (const line of text.split(/\r?\n/)) {
    if (!line.trim()) continue;
    const match = /^(SHA1|SHA256|SHA512)\s*\((.*)\)\s*=\s*([0-9a-f]{40,128})\s*$/i.exec(line);
    if (!match)
      throw new HypervueError(
        'corrupt',
        say('manifestLine', { path, line: line.slice(0, 80) }),
        { path, operation: 'import' },
        say('fixOtherFileCopy'),
      );
    lines.set(match[2]!, { algorithm: match[1]!.toLowerCase() as ManifestLine['algorithm'], digest: match[3]!.toLowerCase() });
  }
  return lines;
}

/** The checksum of a file, in hexadecimal. */
export async function digestOf(file: RandomAccessFile, algorithm: ManifestLine['algorithm'], options: TaskOptions): Promise<string> {
  const hash = createHash(algorithm);
  const total = await file.size();
  for (let at = 0; at < total; at += CHUNK) {
    stopIfAborted(options, file.path);
    const bytes = Buffer.allocUnsafe(Math.min(CHUNK, total - at));
    hash.update(bytes.subarray(0, await file.read(at, bytes)));
    options.progress?.(Math.min(at + CHUNK, total), total);
  }
  return hash.digest('hex');
}

/** Throws 'corrupt' when the file is not the one of the manifest. */
export async function verifyDigest(file: RandomAccessFile, name: string, line: ManifestLine, options: TaskOptions): Promise<void> {
  if ((await digestOf(file, line.algorithm, options)) === line.digest) return;
  throw new HypervueError(
    'corrupt',
    say('manifestDiffers', { name, path: file.path, algorithm: line.algorithm.toUpperCase() }),
    { path: file.path, operation: 'import' },
    say('fixDownloadAgain'),
  );
}
