import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** The path as it is. Throws 'invalid-argument' for one that is not absolute: it would be looked for in the folder that Hypervue was started in, which nobody means. */
export function absolutePath(wanted: string): string {
  if (path.isAbsolute(wanted)) return wanted;
  throw new HypervueError('invalid-argument', say('notAbsolute', { path: wanted }), { path: wanted }, say('fixAbsolute'));
}

/** Whether a path leads into a folder, by its name alone: both whole, and links followed by who asks where that matters. The folder itself does not. */
export const isBelow = (folder: string, file: string): boolean => file.startsWith(`${folder}${path.sep}`);

/** The part of a folder's path that is there, with all links followed, and the rest, empty when all of it is. Rejects when the way there can't be gone. */
export async function existingPart(folder: string): Promise<{ real: string; rest: string }> {
  try {
    return { real: await realpath(folder), rest: '' };
  } catch (error) {
    const above = path.dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === folder) throw fileError(error, folder, 'open');
    const { real, rest } = await existingPart(above);
    return { real, rest: path.join(rest, path.basename(folder)) };
  }
}
