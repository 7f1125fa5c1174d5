import { createHash, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Disposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { hasNoHardLinks } from './hardlinks.ts';
import { fixHolder, saidHolder } from './holderwords.ts';
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

/** Where a lock that is a folder says whose it is. */
const OWNER_FILE = 'owner';

const isFolder = (place: string): boolean => statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** What a lock says, be it a file or a folder; undefined where there is none, or one that says nothing (an empty folder). */
function readText(lock: string): string | undefined {
  const said = readIfThere(lock, lock);
  if (said !== 'folder') return said?.text;
  const owner = readIfThere(path.join(lock, OWNER_FILE), lock);
  return owner === 'folder' ? '' : owner?.text;
}

/** A folder that lies in a lock's place and says nothing is nobody's; one that says something stays. */
function removeEmptyFolder(place: string): void {
  try {
    rmdirSync(place);
  } catch {
    // There is none, or it is not empty.
  }
}

function readIfThere(file: string, lock: string): { text: string } | 'folder' | undefined {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    // What another user locked can't be read, and must not pass for free.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EISDIR' || isFolder(file)) return 'folder';
    throw fileError(error, lock, 'lock');
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
      ? say('imageInUseOn', { image: object, holder: saidHolder(owner.holder), pid: String(pid), host: owner.host })
      : say('imageInUse', { image: object, holder: saidHolder(owner.holder), pid: String(pid) }),
    { object, path: file, holder: owner.holder, pid },
    elsewhere ? say('fixStopHolderOn', { holder: owner.holder, file }) : fixHolder(owner.holder),
  );
}

/**
 * Takes the lock `file` for this process. A lock whose owner is dead is taken over. Throws 'in-use' naming `object` and the holder.
 *
 * The lock appears complete or not at all. It is a file that is written aside and then linked into place, as link(2) refuses a place that is taken.
 * Where there are no hard links (FAT, exFAT, some FUSE) it is a folder with that file in it, made aside and then renamed: rename(2) puts a folder
 * in the place of nothing or of an empty folder only. Both are understood everywhere, as folders of machines are copied with a lock in them.
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
    const as = new Claim(file, mine, content, object).take(file);
    return heldLock(file, as, mine, content);
  } finally {
    rmSync(mine, { force: true });
  }
}

type LockForm = 'file' | 'folder';

/** Removes what lies at `place`, if anything, in one step, so that nobody meets a folder without its owner; `aside` is a name that nobody else uses. */
function removeLock(place: string, aside: string): void {
  try {
    renameSync(place, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  rmSync(aside, { recursive: true, force: true });
}

/** How often what lies in the way may turn out to be gone or stale before we give up. Three go to a stale lock that others want, too. */
const ATTEMPTS = 16;

/** One process's try for the lock `file`, with what it writes there, `content`, at hand in the file `mine`. */
class Claim {
  private readonly file: string;
  private readonly mine: string;
  private readonly content: string;
  private readonly object: string;
  private attempts = 0;

  constructor(file: string, mine: string, content: string, object: string) {
    this.file = file;
    this.mine = mine;
    this.content = content;
    this.object = object;
  }

  /** Puts what is ours at `place`: the lock itself, or the right to remove a stale one. Throws 'in-use' when somebody living has it. */
  take(place: string): LockForm {
    while (this.attempts++ < ATTEMPTS) {
      const form = this.put(place);
      if (form) return form;
      const seen = readText(place);
      if (seen === undefined) {
        removeEmptyFolder(place);
        continue;
      }
      const other = parseOwner(seen);
      if (other && lockOwnerAlive(other)) throw inUseError(this.object, this.file, other);
      this.remove(place, seen);
    }
    throw new HypervueError(
      'in-use',
      say('imageTaken', { image: this.object }),
      { object: this.object, path: this.file },
      say('fixTryAgain'),
    );
  }

  /** Undefined when something lies at `place`. */
  private put(place: string): LockForm | undefined {
    try {
      linkSync(this.mine, place);
      return 'file';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
      if (hasNoHardLinks(error)) return this.putFolder(place);
      throw fileError(error, this.file, 'lock');
    }
  }

  private putFolder(place: string): LockForm | undefined {
    const folder = `${this.mine}.folder`;
    try {
      mkdirSync(folder, { mode: 0o700 });
      writeFileSync(path.join(folder, OWNER_FILE), this.content, { flag: 'wx', mode: 0o600 });
      renameSync(folder, place);
      return 'folder';
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      // Something is in the way, or was; Windows says EPERM.
      if (/^(ENOTEMPTY|EEXIST|ENOTDIR)$/.test((error as NodeJS.ErrnoException).code ?? '') || existsSync(place)) return undefined;
      throw fileError(error, this.file, 'lock');
    }
  }

  /**
   * Removes what a dead owner left. Several may have found it dead at once, and there is no call that removes a file only while it holds what was
   * read. So the right to remove what says `stale` is a lock of its own, named after what it says, and taken by the same rule; nobody else touches
   * it, and who comes to the right late finds that it says something else by then, or is gone.
   */
  private remove(place: string, stale: string): void {
    const right = `${this.file}.${createHash('sha256').update(stale).digest('hex').slice(0, 16)}.over`;
    this.take(right);
    const aside = `${this.mine}.stale`;
    try {
      if (readText(place) === stale) removeLock(place, aside);
    } catch (error) {
      throw fileError(error, this.file, 'lock');
    } finally {
      removeLock(right, aside);
    }
  }
}

function heldLock(file: string, form: LockForm, aside: string, first: string): Lock {
  let content = first;
  let held = true;
  /** Somebody may have removed the lock by hand, and a third taken it since: that one is not ours to touch. */
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
        renameSync(aside, form === 'file' ? file : path.join(file, OWNER_FILE));
        content = next;
      } catch (error) {
        rmSync(aside, { force: true });
        throw fileError(error, file, 'lock');
      }
    },
    dispose() {
      if (ours()) removeLock(file, aside);
      held = false;
    },
  };
}
