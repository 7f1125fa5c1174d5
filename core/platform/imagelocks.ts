import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { deviceNumber, overlapping } from './blockdevice.ts';
import { identityOf } from './fileidentity.ts';
import { acquireLock, inUseError, type Lock, livingOwner } from './locks.ts';
import { fileError } from './nodefile.ts';
import { openInQemu } from './qemulocks.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

/** Who has an image that QEMU, or a program on top of it, holds. */
const QEMU = 'another program (QEMU or one of its tools)';

const keyOf = (identity: string): string => createHash('sha256').update(identity).digest('hex').slice(0, 32);

/** Counts over all instances: two managers in one process are two readers. */
let nextReader = 0;

/**
 * Locks of disk images: one writer, or any number of readers. They lie in a folder that every manager of this user shares, named by device and
 * inode, so that every path and link to an image is the same lock and nothing is left beside the user's files. A disk of this computer and its partitions keep each other's writers out.
 */
export class ImageLocks {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Throws 'in-use' naming the machine or program that has the image, or 'not-found'. */
  acquire(image: string, readOnly: boolean, holder: string): Lock {
    const lock = this.acquireOurs(image, readOnly, holder);
    // Also after the own one: of two at once, at least one sees the other.
    const overlap = this.overlapHolder(image, readOnly);
    if (overlap) {
      lock.dispose();
      throw inUseError(image, image, overlap);
    }
    if (!openInQemu(statSync(image, { bigint: true }), readOnly)) return lock;
    lock.dispose();
    throw new HypervueError('in-use', say('imageInQemu', { image }), { object: image, path: image, holder: QEMU }, say('fixImageInQemu'));
  }

  /** Against other Hypervues. */
  private acquireOurs(image: string, readOnly: boolean, holder: string): Lock {
    const key = this.key(image);
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    const writer = path.join(this.folder, `${key}.writer`);
    if (!readOnly) {
      const lock = acquireLock(writer, image, holder);
      try {
        this.refuseReaders(key, image);
      } catch (error) {
        lock.dispose();
        throw error;
      }
      return lock;
    }
    // Reader first, then the look for a writer; a writer does it the other way round. Of two at once, at least one sees the other.
    const lock = acquireLock(path.join(this.folder, `${key}.reader-${process.pid}-${nextReader++}`), image, holder);
    const owner = livingOwner(writer);
    if (owner) {
      lock.dispose();
      throw inUseError(image, image, owner);
    }
    return lock;
  }

  /** The machine that would refuse `acquire`, for checks ahead of time. */
  conflict(image: string, readOnly: boolean): string | undefined {
    const key = this.key(image);
    const writer = livingOwner(path.join(this.folder, `${key}.writer`));
    if (writer) return writer.holder;
    const overlap = this.overlapHolder(image, readOnly);
    if (overlap) return overlap.holder;
    if (openInQemu(statSync(image, { bigint: true }), readOnly)) return QEMU;
    if (readOnly) return undefined;
    for (const file of this.readers(key)) {
      const owner = livingOwner(file);
      if (owner) return owner.holder;
    }
    return undefined;
  }

  /** Who has a device that has bytes in common with this one, in a way that does not go together. */
  private overlapHolder(image: string, readOnly: boolean): ReturnType<typeof livingOwner> {
    const info = statSync(image, { bigint: true });
    if (!info.isBlockDevice()) return undefined;
    for (const number of overlapping(deviceNumber(info.rdev))) {
      const key = keyOf(`device ${number}`);
      for (const file of [path.join(this.folder, `${key}.writer`), ...(readOnly ? [] : this.readers(key))]) {
        const owner = livingOwner(file);
        if (owner) return owner;
      }
    }
    return undefined;
  }

  private refuseReaders(key: string, image: string): void {
    for (const file of this.readers(key)) {
      const owner = livingOwner(file);
      if (owner) throw inUseError(image, image, owner);
      rmSync(file, { force: true });
    }
  }

  private readers(key: string): string[] {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    return readdirSync(this.folder)
      .filter((name) => /^[0-9a-f]+\.reader-\d+-\d+$/.test(name) && name.startsWith(`${key}.`))
      .map((name) => path.join(this.folder, name));
  }

  private key(image: string): string {
    try {
      return keyOf(identityOf(statSync(image, { bigint: true })));
    } catch (error) {
      throw fileError(error, image, 'lock');
    }
  }
}
