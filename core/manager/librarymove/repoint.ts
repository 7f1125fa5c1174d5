/** What the files of a library say of where others are, so that it holds in another place: whole paths into it, and relative ones that lead out of it. */
import { readFile, utimes } from 'node:fs/promises';
import path from 'node:path';
import { isQcow2 } from '../../disk/qcow2/header.ts';
import { setBackingFile } from '../../disk/qcow2/backinglink.ts';
import type { Qcow2Image } from '../../disk/qcow2/image.ts';
import { writeFileAtomic } from '../../platform/atomicfile.ts';
import { NodeFile } from '../../platform/nodefile.ts';
import { formatName, imageFormat, openImage, readImageHeader } from '../../platform/openimage.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { isBelow } from '../paths.ts';
import { TRASH } from '../trash.ts';
import type { Tree } from './tree.ts';

/** A library is reached by these paths before, and by `to` afterwards. */
export interface Places {
  from: readonly string[];
  to: string;
}

const inside = (folder: string, file: string) => file === folder || isBelow(folder, file);

/** `file` as it has to be written in the new place; undefined when it may stay. `at`: the folder, in the old place, that a relative path is relative to. */
function repointed({ from, to }: Places, at: string, file: string): string | undefined {
  if (path.isAbsolute(file)) {
    const old = from.find((place) => inside(place, path.normalize(file)));
    return old === undefined ? undefined : path.join(to, path.relative(old, file));
  }
  const meant = path.resolve(at, file);
  return from.some((place) => inside(place, meant)) ? undefined : meant;
}

/** The folder that a file of the library is in, or would be in when it came back from the trash. */
function homeOf(library: string, name: string): string {
  const parts = path.dirname(name).split(path.sep);
  return path.join(library, ...(parts[0] === TRASH ? parts.slice(2) : parts));
}

/** Files of ours in which paths stand, and the folder that those are relative to. */
const jsonFiles: Readonly<Record<string, (home: string) => string>> = {
  'vm.json': (home) => home,
  'snapshots.json': (home) => path.dirname(home),
  'journal.json': (home) => path.dirname(home),
  '.deleted.json': (home) => home,
};
/** Fields that are paths of the host. */
const pathFields = new Set(['path', 'initrd', 'from']);

function mapPaths(value: unknown, change: (file: string) => string | undefined, field = ''): unknown {
  if (typeof value === 'string') return pathFields.has(field) ? (change(value) ?? value) : value;
  if (Array.isArray(value)) return value.map((each) => mapPaths(each, change));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapPaths(each, change, key)]));
}

async function repointJson(places: Places, file: string, at: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // What can't be read stays as it is, here as there.
    return;
  }
  const next = mapPaths(value, (each) => repointed(places, at, each));
  if (JSON.stringify(next) !== JSON.stringify(value)) await writeFileAtomic(file, `${JSON.stringify(next, undefined, 2)}\n`);
}

export interface ImageLink {
  /** Relative to the library. */
  name: string;
  backingFile: string;
  backingFormat: string | undefined;
}

/** qcow2 images of the library whose header has to name another path in the new place. Rejects with 'unsupported' for data in another file that is named by its whole path. */
export async function imageLinks(places: Places, root: string, tree: Tree): Promise<ImageLink[]> {
  const links: ImageLink[] = [];
  for (const { name, size } of tree.files) {
    if (size < 512) continue;
    const file = path.join(root, name);
    const opened = await NodeFile.open(file, true);
    const start = new Uint8Array(8);
    await opened.read(0, start).finally(() => opened.close());
    if (!isQcow2(start)) continue;
    // What is no whole image has no path that anybody follows.
    const header = await readImageHeader(file).catch(() => undefined);
    if (!header) continue;
    const at = homeOf(places.from[0]!, name);
    if (header.dataFile && repointed(places, at, header.dataFile) !== undefined)
      throw new HypervueError(
        'unsupported',
        say('moveDataFile', { path: file }),
        { path: file, operation: 'move' },
        say('fixMoveDataFile'),
      );
    const backing = header.backingFile?.replace(/^file:/, '');
    if (backing === undefined || /^[a-z][a-z0-9+.-]*:/i.test(backing)) continue;
    const next = repointed(places, at, backing);
    if (next !== undefined) links.push({ name, backingFile: next, backingFormat: header.backingFormat });
  }
  return links;
}

/** The header alone changes: neither what lies below nor a passphrase is needed, and the image's times stay. */
async function relink(file: string, { backingFile, backingFormat }: ImageLink, { atime, mtime }: Tree['files'][number]): Promise<void> {
  const format = backingFormat ?? formatName(await imageFormat(backingFile).catch(() => 'raw' as const));
  const image = (await openImage(file, { readOnly: false, format: 'qcow2', metadataOnly: true })) as Qcow2Image;
  try {
    await setBackingFile(image, { name: backingFile, format });
  } finally {
    await image.close();
  }
  await utimes(file, atime, mtime);
}

/** Makes what lies in `root`, a library or a copy of it, hold at `places.to`. Doing it once more changes nothing. `failed` hears of images that could not be changed; without it they reject. */
export async function repoint(places: Places, root: string, tree: Tree, failed?: (error: HypervueError) => void): Promise<void> {
  for (const { name } of tree.files) {
    const at = jsonFiles[path.basename(name)];
    if (at) await repointJson(places, path.join(root, name), at(homeOf(places.from[0]!, name)));
  }
  for (const link of await imageLinks(places, root, tree))
    try {
      await relink(path.join(root, link.name), link, tree.files.find(({ name }) => name === link.name)!);
    } catch (error) {
      if (!failed) throw error;
      failed(asHypervueError(error, { path: link.name }));
    }
}
