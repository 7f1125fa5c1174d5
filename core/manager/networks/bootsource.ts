/** What a network hands out for machines to start from. */
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { bootFileFor, type BootSource, isBootUrl, type Network } from '../../contract/networks.ts';
import type { FirmwareKind } from '../../contract/vm.ts';
import { bootFolder } from '../../platform/bootfolder.ts';
import { fileError } from '../../platform/nodefile.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { isBelow } from '../paths.ts';

/**
 * Rejects where machines can't be given the files of a folder: one that is not there or can't be read, all of a file system, or one that has to do with what
 * is Hypervue's own (`own`: folders that are, or may come to be).
 */
export async function checkBootFolder(name: string, { folder }: Pick<BootSource, 'folder'>, own: readonly string[]): Promise<void> {
  if (folder === null) return;
  const about = { object: name, field: 'boot', path: folder };
  if (!path.isAbsolute(folder))
    throw new HypervueError('invalid-argument', say('notAbsolute', { path: folder }), about, say('fixAbsolute'));
  let real: string;
  try {
    real = await realpath(folder);
    if (!(await stat(real)).isDirectory())
      throw new HypervueError('invalid-argument', say('noFolder', { path: folder }), about, say('fixChooseFolder'));
    await access(real, constants.R_OK | constants.X_OK);
  } catch (error) {
    throw error instanceof HypervueError ? error : fileError(error, folder, 'open');
  }
  if (path.dirname(real) === real)
    throw new HypervueError('invalid-argument', say('bootFolderRoot', { folder, name }), about, say('fixBootFolder'));
  for (const each of own) {
    const one = await realpath(each).catch(() => path.resolve(each));
    if (one === real || isBelow(real, one) || isBelow(one, real))
      throw new HypervueError('invalid-argument', say('bootFolderOwn', { folder, name, own: each }), about, say('fixBootFolder'));
  }
}

/** What keeps machines from being started over a network, as far as it can be known; null for nothing, or where others answer. */
export async function bootProblem({ name, kind, dhcp, boot }: Network, firmware: FirmwareKind): Promise<HypervueError | null> {
  const about = { object: name, field: 'boot' };
  // Who gives addresses there says what there is to start, too.
  if (kind === 'bridged' || (kind !== 'nat' && dhcp === null)) return null;
  if (boot === null)
    return kind === 'nat'
      ? new HypervueError('not-found', say('bootNothing', { name }), about, say('fixBootNothing'))
      : new HypervueError('unsupported', say('bootNothing', { name }), about, say('fixBootOtherKind'));
  const { folder } = boot;
  const file = bootFileFor(boot, firmware);
  if (folder === null) return null;
  const there = await stat(folder).catch((error) => asHypervueError(fileError(error, folder, 'open')));
  if (there instanceof HypervueError) return there;
  if (!there.isDirectory())
    return new HypervueError('invalid-argument', say('noFolder', { path: folder }), { ...about, path: folder }, say('fixChooseFolder'));
  if (isBootUrl(file)) return null;
  const found = await bootFolder(folder)(file);
  found?.close();
  return found ? null : new HypervueError('not-found', say('bootFileGone', { file, folder, name }), about, say('fixBootFileGone'));
}
