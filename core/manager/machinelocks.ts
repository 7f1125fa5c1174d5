import path from 'node:path';
import type { Drive } from '../contract/vm.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { acquireLock, inUseError, livingOwner, type Lock } from '../platform/locks.ts';
import { imagesBelow } from '../platform/openimage.ts';
import type { Disposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Held in the VM folder while the machine runs, and by whoever works on it. */
export const LOCK_FILE = '.lock';

const worker = (name: string): string => `another Hypervue, which works on ${name}`;

/** Keeps others from a machine's folder; `doing` says what the holder does with it. Throws 'in-use'. */
export function lockFolder(folder: string, name: string, doing: 'runs' | 'works on'): Lock {
  const lock = path.join(folder, LOCK_FILE);
  try {
    return acquireLock(lock, name, doing === 'works on' ? worker(name) : `another Hypervue, which runs ${name}`);
  } catch (error) {
    // It is this one: a clone, an export, a snapshot.
    if (!(error instanceof HypervueError) || error.context.pid !== process.pid || error.context.holder !== worker(name)) throw error;
    throw new HypervueError('in-use', say('machineWorkedOn', { name }), { object: name, path: lock }, say('fixWaitTask'), error);
  }
}

/**
 * The same for who moves the folder away, also where there is no room for a lock: then nobody else can take one either, and it is enough that nobody has it. Throws 'in-use'.
 */
export function lockFolderToRemove(folder: string, name: string): Disposable {
  try {
    return lockFolder(folder, name, 'works on');
  } catch (error) {
    if (!(error instanceof HypervueError) || error.kind !== 'no-space') throw error;
    const lock = path.join(folder, LOCK_FILE);
    const owner = livingOwner(lock);
    if (owner) throw inUseError(name, lock, owner);
    return { dispose() {} };
  }
}

/** What a running machine keeps others from: its folder and its images. */
export class MachineLocks {
  private readonly images: ImageLocks;
  private readonly drives = new Map<string, Lock>();
  private folder: Lock | undefined;

  constructor(images: ImageLocks) {
    this.images = images;
  }

  takeFolder(folder: string, name: string): void {
    this.folder = lockFolder(folder, name, 'runs');
  }

  /** Locks the image of a drive, and for reading those below it: whoever changed one of them would change this disk. */
  async takeDrive({ id, path: file, format, readOnly, kind }: Drive, folder: string, name: string): Promise<void> {
    const image = path.resolve(folder, file!);
    this.drives.set(id, this.images.acquire(image, readOnly || kind === 'cdrom', name));
    if (kind !== 'disk') return;
    const below = await imagesBelow(image, format);
    below.forEach((lower, depth) => {
      this.drives.set(`${id} below ${depth}`, this.images.acquire(lower, true, name));
    });
  }

  /** Another medium is in the drive, or none. */
  replaceDrive(id: string, lock: Lock | undefined): void {
    this.drives.get(id)?.dispose();
    this.drives.delete(id);
    if (lock) this.drives.set(id, lock);
  }

  /** A drive was pulled out: its image and all below it. */
  dropDrive(id: string): void {
    for (const [name, lock] of this.drives) {
      if (name !== id && !name.startsWith(`${id} `)) continue;
      lock.dispose();
      this.drives.delete(name);
    }
  }

  /** An image was put on top of the one in the drive; both are kept. */
  addOverlay(id: string, lock: Lock): void {
    this.drives.set(`${id} overlay`, lock);
  }

  /** The locks hold as long as this process lives too. */
  share(pid: number): void {
    for (const lock of [this.folder, ...this.drives.values()]) lock?.share(pid);
  }

  release(): void {
    for (const lock of this.drives.values()) lock.dispose();
    this.drives.clear();
    this.folder?.dispose();
    this.folder = undefined;
  }
}
