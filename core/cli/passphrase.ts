import { readFileSync } from 'node:fs';
import { fileError } from '../platform/nodefile.ts';

/** The first line of the file that --passphrase-file names. A passphrase on the command line would be everybody's to see. */
export function readPassphrase(file: string): string {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/)[0]!;
  } catch (error) {
    throw fileError(error, file, 'read');
  }
}
