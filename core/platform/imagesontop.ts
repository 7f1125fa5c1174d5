/** Which images need another one: it must not be changed, made larger or smaller, or deleted under them. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { identity, imagesBelow } from './openimage.ts';

/** Files of a folder that are looked into; a folder with more is no place for images. */
const MAX_FILES = 2000;

/**
 * Those of `candidates` that lie on top of `image`, at whatever distance. Candidates that can't be read are left out, and those that lie on it by way of
 * `through`, as that one itself.
 */
export async function imagesOnTop(image: string, candidates: Iterable<string>, through?: string): Promise<string[]> {
  const id = await identity(image);
  const way = through === undefined ? undefined : await identity(through);
  const found: string[] = [];
  for (const candidate of new Set([...candidates].map((file) => path.resolve(file)))) {
    const chain = [candidate, ...(await imagesBelow(candidate, undefined).catch(() => []))];
    for (const [i, file] of chain.entries()) {
      const here = await identity(file).catch(() => undefined);
      if (here === undefined || here === way) break;
      if (here !== id) continue;
      if (i > 0) found.push(candidate);
      break;
    }
  }
  return found;
}

/** The other files in the image's folder: where an overlay usually lies. */
export async function filesBeside(image: string): Promise<string[]> {
  const own = path.resolve(image);
  return (await filesIn(path.dirname(own))).filter((file) => file !== own);
}

/** Files of a folder, which may not be there. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .slice(0, MAX_FILES)
    .map((entry) => path.join(folder, entry.name));
}

/** Throws 'in-use' naming the images that lie on top of `image` otherwise than by way of `through`, on behalf of which it is changed. */
export async function refuseWhenBelow(image: string, candidates: Iterable<string>, operation: string, through?: string): Promise<void> {
  const others = await imagesOnTop(image, candidates, through);
  if (!others.length) return;
  throw new HypervueError(
    'in-use',
    say(others.length > 1 ? 'lieOn' : 'liesOn', { names: others.join(', '), image }),
    { path: image, operation },
    say('fixStandAlone'),
  );
}
