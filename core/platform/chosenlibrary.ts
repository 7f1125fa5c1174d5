import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { writeFileAtomic } from './atomicfile.ts';
import { fileError } from './nodefile.ts';

/** Beside the settings, and apart from them: it is read before anything is opened. */
export const chosenLibraryFile = (config: string): string => path.join(config, 'library.json');

/**
 * The folder of machines that was chosen in the window, undefined when none was. Throws 'corrupt' when that can't be told: to go on with the usual folder would show a library
 * without its machines.
 */
export function chosenLibrary(config: string): string | undefined {
  const file = chosenLibraryFile(config);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, file, 'read');
  }
  const folder = folderIn(text);
  if (folder === undefined)
    throw new HypervueError('corrupt', say('choiceDamaged', { file }), { path: file, operation: 'read' }, say('fixChoiceDamaged'));
  return folder;
}

function folderIn(text: string): string | undefined {
  try {
    const { folder } = JSON.parse(text) as { folder?: unknown };
    return typeof folder === 'string' && path.isAbsolute(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the choice for the next start. */
export async function chooseLibrary(config: string, folder: string): Promise<void> {
  await mkdir(config, { recursive: true, mode: 0o700 });
  await writeFileAtomic(chosenLibraryFile(config), `${JSON.stringify({ folder })}\n`);
}
