import { statfs } from 'node:fs/promises';
import { cpus, freemem, hostname, totalmem } from 'node:os';
import path from 'node:path';

/** Bytes free for this user on the file system of `folder` or of its nearest existing parent. */
export async function freeBytes(folder: string): Promise<number> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if (at === path.dirname(at)) throw error;
    }
  }
}

export interface HostFacts {
  hostname: string;
  platform: string;
  cpuCount: number;
  cpuModel: string;
  /** What this process may use: the computer's, or less in a container. */
  memoryBytes: number;
  freeMemoryBytes: number;
}

export function hostFacts(): HostFacts {
  const processors = cpus();
  // 0, or a number larger than any memory, where nothing limits this process.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return {
    hostname: hostname(),
    platform: `${process.platform} ${process.arch}`,
    cpuCount: processors.length,
    cpuModel: processors[0]?.model.trim() ?? 'unknown',
    memoryBytes: Math.min(totalmem(), limit),
    freeMemoryBytes: Math.min(freemem(), process.availableMemory() || Number.POSITIVE_INFINITY),
  };
}
