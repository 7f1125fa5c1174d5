import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Disposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { fileError } from './nodefile.ts';

/** One process: its start time tells it from a later one of the same pid. Empty where the system does not say. */
interface LockProcess {
  pid: number;
  startTime: string;
}

/** Who holds a lock: enough to tell a living owner from a dead one, and to tell the user. */
export interface LockOwner extends LockProcess {
  /**
   * Processes that use what the lock guards on the owner's behalf. They may outlive an owner that was killed for as long as it takes to flush
   * their disks, and the lock counts as held until the last is gone.
   */
  others: LockProcess[];
  host: string;
  /** Changes at every boot of the host; empty where the system does not say. */
  bootId: string;
  /** What holds it, for people: a machine's name. */
  holder: string;
}

export interface Lock extends Disposable {
  /** Another process of ours works under this lock; see `LockOwner.others`. */
  share(pid: number): void;
}

/**
 * State letter and start time (clock ticks since boot) of a process, fields 3 and 22 of /proc/pid/stat in proc(5). Empty where the system does not
 * say.
 */
function processFacts(pid: number): { state: string; startTime: string } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the name in parentheses, which may itself hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
  } catch {
    return { state: '', startTime: '' };
  }
}

function processAlive({ pid, startTime }: LockProcess): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const facts = processFacts(pid);
  // A zombie is dead, only nobody has asked yet how it died; in a container without an init that can take for ever.
  if (facts.state === 'Z' || facts.state === 'X') return false;
  return startTime === '' || facts.startTime === startTime;
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
  return [owner, ...owner.others].some(processAlive);
}

/** kill(2) gives 0 and negative numbers a meaning of their own. */
const isPid = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;

function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as Partial<LockOwner> | null;
    if (!isPid(owner?.pid) || typeof owner.host !== 'string' || typeof owner.holder !== 'string') return undefined;
    const others = Array.isArray(owner.others) ? owner.others.filter((other) => isPid(other?.pid)) : [];
    return {
      pid: owner.pid,
      host: owner.host,
      holder: owner.holder,
      startTime: String(owner.startTime ?? ''),
      bootId: String(owner.bootId ?? ''),
      others: others.map(({ pid, startTime }) => ({ pid, startTime: String(startTime ?? '') })),
    };
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // What another user locked can't be read, and must not pass for free.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw fileError(error, file, 'lock');
  }
}

/** The living owner of a lock file; undefined when there is no lock, or a stale or unreadable one. */
export function livingOwner(file: string): LockOwner | undefined {
  const owner = parseOwner(readText(file) ?? '');
  return owner && lockOwnerAlive(owner) ? owner : undefined;
}

export function inUseError(object: string, file: string, owner: LockOwner): HypervueError {
  const elsewhere = owner.host !== hostname();
  const { pid } = (!elsewhere && [owner, ...owner.others].find(processAlive)) || owner;
  return new HypervueError(
    'in-use',
    elsewhere
      ? say('imageInUseOn', { image: object, holder: owner.holder, pid: String(pid), host: owner.host })
      : say('imageInUse', { image: object, holder: owner.holder, pid: String(pid) }),
    { object, path: file, holder: owner.holder, pid },
    elsewhere ? say('fixStopHolderOn', { holder: owner.holder, file }) : say('fixStopHolder', { holder: owner.holder }),
  );
}

/**
 * Takes the lock file `file` for this process. A lock whose owner is dead is taken over. Throws 'in-use' naming `object` and the holder.
 * The lock appears complete or not at all: it is written aside and then linked into place.
 */
export function acquireLock(file: string, object: string, holder: string): Lock {
  const unique = `${process.pid}.${randomBytes(4).toString('hex')}`;
  const mine = `${file}.${unique}`;
  const owner: LockOwner = {
    pid: process.pid,
    startTime: processFacts(process.pid).startTime,
    host: hostname(),
    bootId: bootId(),
    holder,
    others: [],
  };
  const content = JSON.stringify({ ...owner, unique });
  try {
    writeFileSync(mine, content, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    rmSync(mine, { force: true });
    throw fileError(error, file, 'lock');
  }
  try {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        linkSync(mine, file);
        return heldLock(file, mine, content);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, file, 'lock');
      }
      const seen = readText(file);
      if (seen === undefined) continue;
      const other = parseOwner(seen);
      if (other && lockOwnerAlive(other)) throw inUseError(object, file, other);
      moveStaleAside(file, seen, `${mine}.stale`);
    }
    throw new HypervueError('in-use', say('imageTaken', { image: object }), { object, path: file }, say('fixTryAgain'));
  } finally {
    rmSync(mine, { force: true });
  }
}

function heldLock(file: string, aside: string, first: string): Lock {
  let content = first;
  let held = true;
  /** Somebody may have removed the file by hand, and a third taken it since: that one is not ours to touch. */
  const ours = () => {
    try {
      return held && readText(file) === content;
    } catch {
      return false;
    }
  };
  return {
    share(pid) {
      if (!ours()) return;
      const owner = JSON.parse(content) as LockOwner & { unique: string };
      if (owner.others.some((other) => other.pid === pid)) return;
      owner.others.push({ pid, startTime: processFacts(pid).startTime });
      const next = JSON.stringify(owner);
      try {
        writeFileSync(aside, next, { flag: 'wx', mode: 0o600 });
        renameSync(aside, file);
        content = next;
      } catch (error) {
        rmSync(aside, { force: true });
        throw fileError(error, file, 'lock');
      }
    },
    dispose() {
      if (ours()) rmSync(file, { force: true });
      held = false;
    },
  };
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
