/** Another folder of machines. */
import { constants } from 'node:fs';
import { access, mkdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Result } from '../contract/methods.ts';
import type { Handlers } from '../contract/server.ts';
import { freeBytes } from '../platform/hostinfo.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { type Saying, say } from '../util/say.ts';
import type { ManagerContext, ManagerOptions } from './context.ts';
import { type MovePlace, moveLibrary, planMove } from './librarymove/move.ts';
import { absolutePath, existingPart, isBelow } from './paths.ts';
import type { Services } from './services.ts';
import { vmFolders } from './library.ts';
import { CONFIG_FILE } from './vmconfigfile.ts';

/** The options are taken apart by whoever calls, so only what counts is asked for. */
export function libraryChange({ libraryFrom, changeLibrary }: Pick<ManagerOptions, 'libraryFrom' | 'changeLibrary'>): {
  available: boolean;
  reason: Saying;
} {
  if (libraryFrom === 'named') return { available: false, reason: say('libraryNamed') };
  return changeLibrary ? { available: true, reason: say('libraryCanChange') } : { available: false, reason: say('libraryShort') };
}

export function libraryHandlers(context: ManagerContext, { volumes, pools }: Pick<Services, 'volumes' | 'pools'>) {
  const { options, machines, tasks } = context;
  return {
    'host.planLibrary': async ({ path: wanted }) => {
      const place = await placeFor(options.library, wanted);
      return { ...place, left: machines.all().length };
    },
    'host.setLibrary': async ({ path: wanted }) => {
      const { available, reason } = libraryChange(options);
      if (!available) throw new HypervueError('unsupported', reason, { path: wanted, operation: 'set library' });
      const { folder } = await placeFor(options.library, wanted);
      refuseBusy(context);
      await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
        throw fileError(error, folder, 'create');
      });
      await options.changeLibrary!(folder);
      return null;
    },
    'host.planMove': async ({ path: wanted }) => {
      const { refusal, ...plan } = await planMove(context, volumes, await placeToMove(options.library, wanted));
      const why = refusal ?? busy(context);
      return { ...plan, refusal: why?.toJSON() ?? null };
    },
    'host.moveLibrary': async ({ path: wanted }) => {
      const { available, reason } = libraryChange(options);
      if (!available) throw new HypervueError('unsupported', reason, { path: wanted, operation: 'move library' });
      const place = await placeToMove(options.library, wanted);
      const stillAlone = (own = 0) => {
        const why = busy(context, own);
        if (why) throw why;
      };
      stillAlone();
      await tasks.run('host.moveLibrary', place.folder, async (control) => {
        const { refusal, sameDisk } = await planMove(context, volumes, place);
        if (refusal) throw refusal;
        await machines.exclusively(() => moveLibrary(context, place, sameDisk, control, () => stillAlone(1)));
        await pools.keepBeside(place.folder);
      });
      await options.changeLibrary!(place.folder);
      return null;
    },
  } satisfies Partial<Handlers>;
}

/** The manager ends: nothing may be under way. */
function refuseBusy(context: ManagerContext): void {
  const why = busy(context);
  if (why) throw why;
}

/** What is under way besides `own` tasks. */
function busy({ machines, tasks }: ManagerContext, own = 0): HypervueError | undefined {
  const on = machines.all().filter((machine) => machine.active);
  const context = { operation: 'set library' };
  if (on.length)
    return new HypervueError(
      'invalid-state',
      say('libraryMachinesOn', { names: on.map(({ name }) => name).join(', ') }),
      context,
      say('fixLibraryMachinesOn'),
    );
  const count = tasks.list().filter(({ state }) => state === 'running').length - own;
  return count > 0 ? new HypervueError('invalid-state', say('libraryTasks', { count }), context, say('fixLibraryTasks')) : undefined;
}

async function placeToMove(library: string, wanted: string): Promise<MovePlace> {
  const { folder, missing } = await placeFor(library, wanted);
  return { real: await realpath(library), folder, missing };
}

async function placeFor(library: string, wanted: string): Promise<Omit<Result<'host.planLibrary'>, 'left'>> {
  const above = await existingPart(path.resolve(absolutePath(wanted)));
  const folder = path.join(above.real, above.rest);
  const missing = above.rest !== '';
  const present = await realpath(library).catch(() => path.resolve(library));
  const refuse = (message: Saying, fix: Saying) => new HypervueError('invalid-argument', message, { path: folder }, fix);
  if (folder === present) throw refuse(say('libraryIsThis', { folder }), say('fixOtherFolder'));
  if (isBelow(present, folder)) throw refuse(say('liesInLibrary', { path: folder }), say('fixOtherFolder'));
  await usable(above.real);
  const one = await access(path.join(folder, CONFIG_FILE)).then(
    () => true,
    () => false,
  );
  if (one) throw refuse(say('libraryOfMachine', { folder }), say('fixLibraryOfMachine'));
  return { folder, missing, machines: missing ? 0 : (await vmFolders(folder)).length, freeBytes: await freeBytes(folder) };
}

async function usable(folder: string): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory())
      throw new HypervueError('invalid-argument', say('noFolder', { path: folder }), { path: folder }, say('fixChooseFolder'));
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw error instanceof HypervueError ? error : fileError(error, folder, 'write');
  }
}
