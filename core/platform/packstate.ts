/** Makes a state file smaller that was written in a hurry: the same sections, compressed, in a file that takes its place when it is whole. */
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { UNFINISHED } from './newfile.ts';
import { StateFileReader } from './statefilereader.ts';
import { StateFileWriter } from './statefilewriter.ts';

/** Nobody waits for it, so it uses one thread. */
const DEPTH = 1;

/** Resolves with the new size. Rejects, and leaves the file as it was, when it is damaged, there is no room, or `signal` says so. */
export async function packStateFile(file: string, signal: AbortSignal): Promise<number> {
  const folder = path.dirname(file);
  // What a killed program left.
  for (const name of await readdir(folder)) if (name.startsWith(UNFINISHED)) await rm(path.join(folder, name), { force: true });
  const reader = await StateFileReader.open(file);
  try {
    const temporary = path.join(folder, `${UNFINISHED}${randomBytes(6).toString('hex')}`);
    const writer = await StateFileWriter.create(file, { temporary, depth: DEPTH });
    try {
      for (let section = await reader.next(); section; section = await reader.next()) {
        signal.throwIfAborted();
        await writer.add(section.header.kind, section.header.index, section.plain);
      }
      await writer.finish();
      signal.throwIfAborted();
      await writer.commit();
      return writer.bytes;
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  } finally {
    await reader.close();
  }
}
