import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, readdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { DEFAULT_POOL, MACHINES_POOL, type Pool, type PoolSetting, poolSettingSchema } from '../../contract/storage.ts';
import { fileError } from '../../platform/nodefile.ts';
import { HypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import { say } from '../../util/say.ts';
import { JsonStore } from '../jsonstore.ts';
import { freeName } from '../names.ts';
import { absolutePath, existingPart, isBelow } from '../paths.ts';

const MAX_POOLS = 64;
const poolsFileSchema = z.object({ pools: z.array(poolSettingSchema).default([]) });

/** Of the pool that is always there, beside the library. */
const defaultFolder = (library: string): string => path.join(path.dirname(path.resolve(library)), 'disks');

/** Folders of all pools but the machines', for who only wants to look: what can't be read or understood has none. */
export async function poolFolders(configFolder: string, library: string): Promise<string[]> {
  const added = await readFile(path.join(configFolder, 'pools.json'), 'utf8')
    .then((text) => poolsFileSchema.parse(JSON.parse(text)).pools)
    .catch(() => []);
  return [defaultFolder(library), ...added.filter(({ id }) => id !== DEFAULT_POOL && id !== MACHINES_POOL).map(({ folder }) => folder)];
}

/** The folders in which volumes are kept: that of the machines, one beside it, and those that were added. */
export class Pools {
  private readonly store: JsonStore<{ pools: PoolSetting[] }>;
  private readonly library: string;

  private constructor(store: JsonStore<{ pools: PoolSetting[] }>, library: string) {
    this.store = store;
    this.library = library;
  }

  static async open(configFolder: string, library: string, log: Logger): Promise<Pools> {
    return new Pools(await JsonStore.open(path.join(configFolder, 'pools.json'), poolsFileSchema, log), path.resolve(library));
  }

  settings(): PoolSetting[] {
    const { pools } = this.store.get();
    const named = pools.find(({ id }) => id === DEFAULT_POOL);
    return [
      { id: DEFAULT_POOL, name: named?.name ?? '', folder: defaultFolder(this.library) },
      { id: MACHINES_POOL, name: '', folder: this.library },
      ...pools.filter(({ id }) => id !== DEFAULT_POOL && id !== MACHINES_POOL),
    ];
  }

  get(id: string): PoolSetting {
    const pool = this.settings().find((each) => each.id === id);
    if (!pool) throw new HypervueError('not-found', say('poolGone'), { object: id }, say('fixPoolGone'));
    return pool;
  }

  async list(): Promise<Pool[]> {
    return Promise.all(this.settings().map((pool) => describe(pool)));
  }

  /** The folder of a pool in which something is to be made; made itself where it is ours to make. */
  async folderFor(id: string): Promise<string> {
    const { folder } = this.get(id);
    if (id === MACHINES_POOL) throw new HypervueError('invalid-argument', say('machineFoldersOnly'), { path: folder }, say('fixOtherPool'));
    if (id === DEFAULT_POOL)
      await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
        throw fileError(error, folder, 'create');
      });
    return folder;
  }

  async add(name: string, wanted: string, create = false): Promise<Pool> {
    const folder = await placeOf(absolutePath(wanted), create);
    const pool: PoolSetting = { id: randomUUID(), name: name.trim(), folder };
    const others = await Promise.all(
      this.settings().map(async (each) => ({ ...each, real: await realpath(each.folder).catch(() => each.folder) })),
    );
    const refuse = () => {
      if (this.store.get().pools.length >= MAX_POOLS)
        throw new HypervueError('resource-limit', say('poolsFull', { most: MAX_POOLS }), {}, say('fixPoolsFull'));
      this.refuseName(pool.name);
      const same = others.find(({ real }) => real === folder);
      if (same) throw new HypervueError('already-exists', say('isPoolAlready', { folder }), { path: folder }, say('fixOtherFolder'));
      // A machine's folder is the machine's own.
      const library = others.find(({ id }) => id === MACHINES_POOL)!.real;
      if (isBelow(library, folder))
        throw new HypervueError('invalid-argument', say('poolAmongMachines', { folder }), { path: folder }, say('fixOtherFolder'));
    };
    // What is refused leaves no folder behind.
    refuse();
    await openFolder(folder);
    await this.store.change(({ pools }) => {
      refuse();
      return { pools: [...pools, pool] };
    });
    return describe(pool);
  }

  /** The library is in `next` from now on: the pool that was beside it stays where it is, as one of those that were added, if there is anything in it. */
  async keepBeside(next: string): Promise<void> {
    const folder = defaultFolder(this.library);
    if (folder === defaultFolder(next) || (await readdir(folder).catch(() => [])).length === 0) return;
    await this.store.change(({ pools }) => {
      if (pools.length >= MAX_POOLS || pools.some((each) => each.folder === folder)) return { pools };
      const name = freeName(
        path.basename(folder),
        pools.map((each) => each.name),
      );
      return { pools: [...pools, { id: randomUUID(), name, folder }] };
    });
  }

  async rename(id: string, name: string): Promise<Pool> {
    const now = this.get(id);
    if (id === MACHINES_POOL) throw new HypervueError('invalid-argument', say('machinePoolName'), { path: now.folder });
    const next = { ...now, name: name.trim() };
    await this.store.change(({ pools }) => {
      this.refuseName(next.name, id);
      const known = pools.some((each) => each.id === id);
      return { pools: known ? pools.map((each) => (each.id === id ? next : each)) : [...pools, next] };
    });
    return describe(next);
  }

  async remove(id: string): Promise<void> {
    const { folder } = this.get(id);
    if (id === MACHINES_POOL || id === DEFAULT_POOL)
      throw new HypervueError('invalid-argument', say('poolAlways'), { path: folder }, say('fixPoolAlways'));
    await this.store.change(({ pools }) => ({ pools: pools.filter((each) => each.id !== id) }));
  }

  private refuseName(name: string, except?: string): void {
    if (this.settings().some((each) => each.id !== except && each.name.toLowerCase() === name.toLowerCase()))
      throw new HypervueError('already-exists', say('poolTaken', { name }), { object: name }, say('fixName'));
  }
}

/** The folder with all links followed, also when its end does not exist yet and may be made. */
async function placeOf(wanted: string, create: boolean): Promise<string> {
  const { real, rest } = await existingPart(wanted);
  if (rest && !create)
    throw new HypervueError(
      'not-found',
      say('fileENOENT', { path: wanted }),
      { path: wanted, operation: 'open', reason: 'folder-missing' },
      say('fixPoolMissing'),
    );
  return path.join(real, rest);
}

/** Makes it when it is missing, and looks whether it can be read. */
async function openFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      // So says the system of a file in the folder's place.
      if (error.code !== 'EEXIST') throw error;
      throw new HypervueError('invalid-argument', say('fileNoFolder', { path: folder }), { path: folder }, say('fixChooseFolder'));
    });
    await access(folder, constants.R_OK | constants.X_OK);
  } catch (error) {
    throw error instanceof HypervueError ? error : fileError(error, folder, 'open');
  }
}

async function describe({ id, name, folder }: PoolSetting): Promise<Pool> {
  const pool: Pool = { id, name, folder, freeBytes: null, totalBytes: null, problem: null };
  try {
    // Ours, and made when it is first needed: until then its place is what counts.
    let at = folder;
    if (id === DEFAULT_POOL)
      at = await stat(folder).then(
        () => folder,
        () => path.dirname(folder),
      );
    await access(at, constants.R_OK | constants.X_OK);
    if (!(await stat(at)).isDirectory())
      throw new HypervueError('invalid-argument', say('noFolder', { path: folder }), { path: folder }, say('fixPoolFolder'));
    const { bavail, blocks, bsize } = await statfs(at);
    return { ...pool, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    return { ...pool, problem: fileError(error, folder, 'open').toJSON() };
  }
}
