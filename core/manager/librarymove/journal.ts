/**
 * A move of the library under way, beside the settings. Until it says `removing` the machines are whole where they were; from `placing` on they are whole in the new place too, or, after
 * a rename, only there. So whatever cuts it off leaves one whole library, and the next start goes back, or on.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, realpath, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { syncFolder, writeFileAtomic } from '../../platform/atomicfile.ts';
import { chooseLibrary, chosenLibrary } from '../../platform/chosenlibrary.ts';
import { acquireLock, type Lock } from '../../platform/locks.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import type { Logger } from '../../util/logger.ts';
import { type Saying, say } from '../../util/say.ts';
import { repoint } from './repoint.ts';
import { listTree } from './tree.ts';

const journalSchema = z.object({
  /** The library as its machines name it, with all links followed where that is another path. */
  from: z.string(),
  real: z.string(),
  to: z.string(),
  how: z.enum(['rename', 'copy']),
  stage: z.enum(['copying', 'placing', 'removing']),
  /** Entries of the library. */
  names: z.array(z.string()),
  /** The new folder was made for this. */
  made: z.boolean(),
  /** Folder in the new one for what is not whole yet. */
  staging: z.string(),
});
export type MoveJournal = z.infer<typeof journalSchema>;

const journalFile = (config: string) => path.join(config, 'librarymove.json');

/** Undefined where there is none; rejects for one that can't be understood. */
async function readMoveJournal(config: string): Promise<MoveJournal | undefined> {
  if (!existsSync(journalFile(config))) return undefined;
  return journalSchema.parse(JSON.parse(await readFile(journalFile(config), 'utf8')));
}

export const writeMoveJournal = (config: string, journal: MoveJournal): Promise<void> =>
  writeFileAtomic(journalFile(config), `${JSON.stringify(journal, undefined, 2)}\n`);

export async function endMoveJournal(config: string): Promise<void> {
  await rm(journalFile(config), { force: true });
  await syncFolder(config);
}

/** Held while a library is moved, or a move that was cut off is settled. Throws 'in-use'. */
export const lockMove = (config: string): Lock =>
  acquireLock(path.join(config, 'librarymove.lock'), 'the library', 'a move of the library');

export const placesOf = ({ from, real, to }: MoveJournal) => ({ from: [...new Set([from, real])], to });

/** Everything that was copied comes to its place. Doing it once more changes nothing. */
export async function place({ to, staging, names }: MoveJournal): Promise<void> {
  for (const name of names) {
    const copied = path.join(to, staging, name);
    if (existsSync(copied)) await rename(copied, path.join(to, name));
  }
  await rmdir(path.join(to, staging)).catch(() => {});
  await syncFolder(to);
}

/** What was copied and came to its place is no more than a copy again. */
export async function displace({ to, staging, names }: MoveJournal): Promise<void> {
  await mkdir(path.join(to, staging), { recursive: true, mode: 0o700 });
  for (const name of names) {
    const placed = path.join(to, name);
    if (existsSync(placed)) await rename(placed, path.join(to, staging, name));
  }
}

/** Takes away what a copy that will not be finished has made. */
export async function unmake({ to, staging, made }: MoveJournal): Promise<void> {
  await rm(path.join(to, staging), { recursive: true, force: true });
  if (made) await rmdir(to).catch(() => {});
}

/** The old place goes, as far as it is what was moved. Rejects where something can't be removed. */
async function removeOld({ real, names }: MoveJournal): Promise<void> {
  for (const name of names) await rm(path.join(real, name), { recursive: true, force: true });
  await rmdir(real).catch(() => {});
}

export interface Settled {
  /** What was cut off and what came of it, for people; undefined when nothing was. */
  said: Saying | undefined;
  /** Once the library opened: the old place goes. Never rejects. */
  opened(): Promise<Saying | undefined>;
}

const nothing: Settled = { said: undefined, opened: async () => undefined };

/** Goes back or on with a move that was cut off, before the library is opened; which one that is may be another afterwards (`chosenLibrary`). Rejects when the machines are where nobody can get at them now. */
export async function settleMove(config: string, log: Logger): Promise<Settled> {
  if (!existsSync(journalFile(config))) return nothing;
  let lock: Lock;
  try {
    lock = lockMove(config);
  } catch (error) {
    // Somebody is at it.
    if (asHypervueError(error).kind === 'in-use') return nothing;
    throw error;
  }
  try {
    const journal = await readMoveJournal(config).catch(() => null);
    if (journal === null) log.warn(`${journalFile(config)} can't be understood and is left aside`);
    if (!journal) return nothing;
    const settled = await settle(config, journal, log);
    if (settled.said) log.warn(settled.said.text);
    return settled;
  } catch (error) {
    if (error instanceof HypervueError) throw error;
    log.warn(`a move of the library that was cut off could not be settled now: ${asHypervueError(error).message}`);
    return nothing;
  } finally {
    lock.dispose();
  }
}

/**
 * A library is opened that was named for this run. Where it is the old place of a move that was cut off, it may change now, and nothing of it may go any more because a copy of it is elsewhere:
 * the move ends here, and what it copied stays as far as it is whole.
 */
export async function leaveMove(config: string, library: string, log: Logger): Promise<void> {
  const journal = await readMoveJournal(config).catch(() => undefined);
  const named = await realpath(library).catch(() => undefined);
  if (journal?.how !== 'copy' || named !== journal.real) return;
  const lock = lockMove(config);
  try {
    if (journal.stage === 'copying') await unmake(journal);
    await endMoveJournal(config);
    log.warn(say(journal.stage === 'copying' ? 'moveCutOff' : 'moveLeft', { from: journal.from, to: journal.to }).text);
  } finally {
    lock.dispose();
  }
}

async function settle(config: string, journal: MoveJournal, log: Logger): Promise<Settled> {
  const { from, real, to, how, stage, names } = journal;
  const back = async (): Promise<Settled> => {
    if (chosenLibrary(config) === to) await chooseLibrary(config, from);
    await endMoveJournal(config);
    return { ...nothing, said: say('moveCutOff', { from, to }) };
  };
  if (how === 'rename') {
    // An empty folder in the old place tells nothing: whoever looked for machines there may have made it.
    const moved = existsSync(to) && names.every((name) => existsSync(path.join(to, name))) && (names.length > 0 || !existsSync(real));
    if (moved) await rmdir(real).catch(() => {});
    else if (existsSync(real)) {
      if (!journal.made) await mkdir(to, { recursive: true, mode: 0o700 }).catch(() => {});
      return back();
    } else
      throw new HypervueError(
        'not-found',
        say('moveAway', { to }),
        { path: to, operation: 'open', reason: 'library-away' },
        say('fixMoveAway'),
      );
    await finishRename(config, journal, log);
    return { ...nothing, said: say('moveFinished', { to }) };
  }
  if (stage === 'copying') {
    await unmake(journal);
    return back();
  }
  // The copy is whole. It counts where all of it can be had.
  const whole = names.every((name) => existsSync(path.join(to, name)) || existsSync(path.join(to, journal.staging, name)));
  if (stage === 'placing' && whole) {
    await place(journal);
    await chooseLibrary(config, to);
    await writeMoveJournal(config, { ...journal, stage: 'removing' });
    return { said: say('moveFinished', { to }), opened: () => finishCopy(config, journal, log) };
  }
  // Somebody chose the old place again, or the new one is away: the old one is whole, and nothing of it is removed.
  if (stage === 'placing' || chosenLibrary(config) !== to) return back();
  return { said: undefined, opened: () => finishCopy(config, journal, log) };
}

/** After the library, which was chosen before, was renamed: what its files say of places. What fails is tried again by the next start. Never rejects. */
export async function finishRename(config: string, journal: MoveJournal, log: Logger): Promise<void> {
  const { to } = journal;
  try {
    await chooseLibrary(config, to);
    await repoint(placesOf(journal), to, await listTree(to), (error) => log.warn(error.message));
    await endMoveJournal(config);
  } catch (error) {
    log.error(`what the files of ${to} say of their old place could not be changed: ${asHypervueError(error).message}`);
  }
}

async function finishCopy(config: string, journal: MoveJournal, log: Logger): Promise<Saying | undefined> {
  const { real, to, names } = journal;
  try {
    // The folder alone tells nothing: it may be where a drive is mounted that is away.
    const away = names.find((name) => !existsSync(path.join(to, name)));
    if (away !== undefined) throw new HypervueError('not-found', say('fileENOENT', { path: path.join(to, away) }), { path: to });
    await removeOld(journal);
    await endMoveJournal(config);
    return undefined;
  } catch (error) {
    await endMoveJournal(config).catch(() => {});
    const left = say('moveOldLeft', { to, from: real });
    log.warn(`${left.text} (${asHypervueError(error).message})`);
    return left;
  }
}
