import { BLOCK_NO_MEDIUM, type BlockDevice, type BlockDone, type BlockStatus } from '../backend/asyncblock.ts';
import type { BlockInfo } from '../backend/block.ts';
import type { DriveShortcut } from './driveshortcut.ts';
import type { BlockOperation, FromMachine, Grant } from './machinemessages.ts';

/**
 * A drive as the machine thread sees it: requests travel to the process's main thread, which owns the file. Where that has said where the bytes lie, and
 * `shortcut` is there, many are done at once.
 */
export class RemoteDrive implements BlockDevice {
  info: BlockInfo | undefined;
  private readonly drive: string;
  private readonly post: (message: FromMachine) => void;
  private readonly waiting = new Map<number, BlockDone>();
  private readonly mediaListeners: (() => void)[] = [];
  private readonly resizeListeners: (() => void)[] = [];
  private readonly deferred: (() => void)[] = [];
  private readonly shortcut: DriveShortcut | undefined;
  /** One series for all drives: an answer to one that was pulled out is none to the one in its place. */
  private static nextId = 1;

  constructor(drive: string, info: BlockInfo | undefined, post: (message: FromMachine) => void, shortcut?: DriveShortcut) {
    this.drive = drive;
    this.shortcut = shortcut;
    this.info = info;
    this.post = post;
  }

  read(offset: number, views: readonly Uint8Array[], done: BlockDone): void {
    this.request({ op: 'read', offset, views }, done);
  }

  write(offset: number, views: readonly Uint8Array[], done: BlockDone, fua = false): void {
    this.request(fua ? { op: 'write', offset, views, fua } : { op: 'write', offset, views }, done);
  }

  flush(done: BlockDone): void {
    this.request({ op: 'flush' }, done);
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.request({ op: 'discard', offset, length }, done);
  }

  writeZeroes(offset: number, length: number, unmap: boolean, done: BlockDone): void {
    this.request({ op: 'zero', offset, length, unmap }, done);
  }

  moveNow(write: boolean, offset: number, runs: readonly number[]): boolean {
    return (this.info && this.shortcut?.move(write, offset, runs)) ?? false;
  }

  /** Requests without an answer. */
  get pending(): number {
    return this.waiting.size;
  }

  onMediaChange(listener: () => void): void {
    this.mediaListeners.push(listener);
  }

  onResize(listener: () => void): void {
    this.resizeListeners.push(listener);
  }

  /** The main thread finished request `id`. */
  complete(id: number, status: BlockStatus, grant?: Grant): void {
    if (grant) this.shortcut?.grant(grant);
    const done = this.waiting.get(id);
    this.waiting.delete(id);
    done?.(status);
  }

  changeMedium(info: BlockInfo | undefined): void {
    this.info = info;
    for (const listener of this.mediaListeners) listener();
  }

  /** The medium has become larger. */
  resized(info: BlockInfo): void {
    this.info = info;
    for (const listener of this.resizeListeners) listener();
  }

  private request(what: BlockOperation, done: BlockDone): void {
    const id = RemoteDrive.nextId++;
    this.waiting.set(id, done);
    if (!this.info) {
      // Answered later like any other, never from inside the request.
      this.deferred.push(() => this.complete(id, BLOCK_NO_MEDIUM));
      return;
    }
    this.post({ t: 'block', drive: this.drive, id, ...what });
  }

  /** Run loop: answers what could not be answered from inside a request. True when there was something. */
  runDeferred(): boolean {
    this.shortcut?.turn();
    const some = this.deferred.length > 0;
    for (let call = this.deferred.shift(); call; call = this.deferred.shift()) call();
    return some;
  }
}
