import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/**
 * The file that an image of another program names: one in the image's folder or below it. An absolute path, or one of another computer, is looked for by its
 * name alone: an image that somebody sent must not pull other files of this computer into a disk. Rejects with 'not-found'.
 */
export async function fileBeside(image: string, name: string): Promise<string> {
  const folder = path.dirname(path.resolve(image));
  const plain = name.replace(/^file:\/*/i, '/').replaceAll('\\', '/');
  const relative = path.posix.normalize(plain);
  const inside = !/^([a-z]:|\/)/i.test(plain) && relative !== '..' && !relative.startsWith('../');
  const last = plain.split('/').at(-1)!;
  for (const candidate of inside ? [relative, last] : [last]) {
    if (!candidate || candidate.includes('\0')) continue;
    const found = await realpath(path.join(folder, candidate)).catch(() => undefined);
    if (found === undefined) continue;
    const real = await realpath(folder);
    if (found.startsWith(real.endsWith(path.sep) ? real : real + path.sep)) return found;
  }
  throw new HypervueError(
    'not-found',
    say('besideMissing', { path: image, name }),
    { path: image, object: name, operation: 'open' },
    say('fixBeside', { name: last }),
  );
}
