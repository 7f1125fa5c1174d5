import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { type Disposable, toDisposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';
import { fileError } from './nodefile.ts';

/** Who holds a lock: enough to tell a living owner from a dead one, and to tell the user. */
export interface LockOwner {
  pid: number;
  /** Start time of the process, so that a reused pid is not taken for the owner. Empty where the system does not say. */
  startTime: string;
  host: string;
  /** Changes at every boot of the host; empty where the system does not say. */
  bootId: string;
  /** What holds it, for people: a machine's name. */
  holder: string;
}

/** Clock ticks since boot at which the process started (proc(5), field 22 of stat); empty where the system does not say. */
function processStartTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

export function lockOwnerAlive(owner: LockOwner): boolean {
  // A lock made on another computer (a shared folder) can't be checked; it counts as held.
  if (owner.host !== hostname()) return true;
  if (owner.bootId !== '' && owner.bootId !== bootId()) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return owner.startTime === '' || processStartTime(owner.pid) === owner.startTime;
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as Partial<LockOwner> | null;
    if (typeof owner?.pid !== 'number' || typeof owner.host !== 'string' || typeof owner.holder !== 'string') return undefined;
    return {
      pid: owner.pid,
      host: owner.host,
      holder: owner.holder,
      startTime: String(owner.startTime ?? ''),
      bootId: String(owner.bootId ?? ''),
    };
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** The living owner of a lock file; undefined when there is no lock, or a stale or unreadable one. */
export function livingOwner(file: string): LockOwner | undefined {
  const owner = parseOwner(readText(file) ?? '');
  return owner && lockOwnerAlive(owner) ? owner : undefined;
}

export function inUseError(object: string, file: string, owner: LockOwner): HypervueError {
  const elsewhere = owner.host !== hostname();
  return new HypervueError(
    'in-use',
    `${object} is in use by ${owner.holder} (process ${owner.pid}${elsewhere ? ` on ${owner.host}` : ''})`,
    { object, path: file, holder: owner.holder, pid: owner.pid },
    elsewhere ? `Stop ${owner.holder} there. If that computer is gone, delete ${file}.` : `Stop ${owner.holder} first.`,
  );
}

/**
 * Takes the lock file `file` for this process. A lock whose owner is dead is taken over. Throws 'in-use' naming `object` and the holder.
 * The lock appears complete or not at all: it is written aside and then linked into place.
 */
export function acquireLock(file: string, object: string, holder: string): Disposable {
  const unique = `${process.pid}.${randomBytes(4).toString('hex')}`;
  const mine = `${file}.${unique}`;
  const owner: LockOwner = { pid: process.pid, startTime: processStartTime(process.pid), host: hostname(), bootId: bootId(), holder };
  const content = JSON.stringify({ ...owner, unique });
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    const descriptor = openSync(mine, 'wx', 0o600);
    writeSync(descriptor, content);
    closeSync(descriptor);
  } catch (error) {
    rmSync(mine, { force: true });
    throw fileError(error, file, 'lock');
  }
  try {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        linkSync(mine, file);
        return toDisposable(() => {
          if (readText(file) === content) rmSync(file, { force: true });
        });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, file, 'lock');
      }
      const seen = readText(file);
      if (seen === undefined) continue;
      const other = parseOwner(seen);
      if (other && lockOwnerAlive(other)) throw inUseError(object, file, other);
      moveStaleAside(file, seen, `${mine}.stale`);
    }
    throw new HypervueError('in-use', `${object} is being taken by several processes at once`, { object, path: file }, 'Try again.');
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Another process may take the stale lock over at the same time: what was moved is checked, and put back when it is a fresh lock. */
function moveStaleAside(file: string, seen: string, aside: string): void {
  try {
    renameSync(file, aside);
  } catch {
    return;
  }
  if (readText(aside) !== seen) {
    try {
      linkSync(aside, file);
    } catch {
      // A third process has it by now; it is the one that holds.
    }
  }
  rmSync(aside, { force: true });
}
