import { rename } from 'node:fs/promises';
import path from 'node:path';
import { fileError } from './nodefile.ts';

/** The file in a machine's folder that keeps its UEFI variables. */
export const NVRAM_FILE = 'nvram';

/** Takes a file of UEFI variables out of use without losing it: gives it a name of its own beside the old one, and resolves with that; null when it is not there. */
export async function setNvramAside(file: string): Promise<string | null> {
  const aside = `${file}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
  try {
    await rename(file, aside);
    return path.basename(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(error, file, 'set aside');
  }
}
