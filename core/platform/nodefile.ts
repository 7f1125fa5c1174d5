import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { RandomAccessFile } from '../backend/file.ts';
import { type ErrorKind, HypervueError } from '../util/errors.ts';
import type { SaidKey } from '../contract/saidtexts.ts';
import { say } from '../util/say.ts';
import { deviceError, refusedDevice, refuseReadOnlyDevice } from './blockdevice.ts';
import { allocateRoom, beginWriteOut, CACHED_READ_BYTES, endOf, holeAt, punchHole, punchHoleAside, readCached } from './fallocate.ts';
import { AROUND_BLOCK, AroundCache } from './aroundcache.ts';
import { QuickIo } from './quickio.ts';

/** Bytes that are written before the system is told to bring them to the disk. */
const WRITE_BEHIND_BYTES = 16 << 20;
/** Writes from this size on go around the cache, in files that are made in one go. */
const AROUND_BYTES = 256 << 10;
/** Reads of one file that may be answered without a wait, one after another. */
const TURNS = 32;

export interface NodeFileOptions {
  /** Reads and writes on the calling thread while the system answers from its cache (QuickIo). */
  quick?: boolean | undefined;
  /**
   * What is written goes on to the disk while more is written, rather than all of it at the sync: for files that are made in one go. Large pieces in whole blocks, from memory that begins
   * at one, go around the system's cache where it lets them: it need not find memory for what nobody reads soon.
   */
  writeBehind?: boolean | undefined;
  /** Goes around the system's cache; then whoever reads and writes minds alignment (AlignedFile). */
  around?: boolean | undefined;
}

/** A host file or block device behind RandomAccessFile. */
export class NodeFile implements RandomAccessFile {
  readonly path: string;
  readonly readOnly: boolean;
  readonly device: boolean;
  private readonly handle: FileHandle;
  private canReadNow = true;
  private turns = 1;
  private readonly quick: QuickIo | undefined;
  private readonly around: boolean;
  private readonly writeBehind: boolean;
  /** Bytes written since the system was last told to write out. */
  private unsent = 0;
  private sending: Promise<void> | undefined;
  private readonly past: AroundCache | undefined;

  private constructor(
    handle: FileHandle,
    { path, readOnly, device }: { path: string; readOnly: boolean; device: boolean },
    options: NodeFileOptions,
    past: AroundCache | undefined,
  ) {
    this.handle = handle;
    this.device = device;
    this.past = past;
    this.around = options.around ?? false;
    this.canReadNow = !this.around;
    this.quick = options.quick ? new QuickIo(handle.fd) : undefined;
    this.writeBehind = options.writeBehind ?? false;
    this.path = path;
    this.readOnly = readOnly;
  }

  get descriptor(): number | undefined {
    return this.around ? undefined : this.handle.fd;
  }

  /**
   * Rejects with 'not-found', 'permission-denied', 'invalid-argument' (a folder, a pipe, ...), 'in-use' or 'io-error', each naming the path. A block device is opened for writing by one
   * only, and by none while the kernel uses it (open(2), O_EXCL): file systems on it, swap, what is made from it.
   */
  static async open(path: string, readOnly: boolean, options: NodeFileOptions = {}): Promise<NodeFile> {
    let handle: FileHandle;
    if (options.around && !constants.O_DIRECT) throw fileError(Object.assign(new Error('no O_DIRECT'), { code: 'EINVAL' }), path, 'open');
    try {
      // Before it is opened: opening alone makes a watchdog count, and a pipe wait for its other end.
      const before = await stat(path);
      refuseOddFile(before, path);
      const exclusive = !readOnly && before.isBlockDevice();
      if (exclusive) await refuseReadOnlyDevice(path, before.rdev);
      // Without O_NONBLOCK, a pipe that takes the file's place in this instant would hold a thread for ever; files don't care.
      handle = await open(
        path,
        (readOnly ? constants.O_RDONLY : constants.O_RDWR) |
          (constants.O_NONBLOCK ?? 0) |
          (options.around ? constants.O_DIRECT : 0) |
          (exclusive ? constants.O_EXCL : 0),
      );
    } catch (error) {
      throw await openError(error, path);
    }
    try {
      const info = await handle.stat();
      refuseOddFile(info, path);
      const device = info.isBlockDevice();
      const past = options.writeBehind && !readOnly ? await AroundCache.open(path, 'write') : undefined;
      return new NodeFile(handle, { path, readOnly, device }, options, past);
    } catch (error) {
      await handle.close();
      throw fileError(error, path, 'open');
    }
  }

  async size(): Promise<number> {
    if (!this.device) return (await this.handle.stat()).size;
    return endOf(this.handle.fd) ?? blockDeviceSize(this.handle);
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    /** Known not to be in the system's cache. */
    let cold = false;
    // Now and then by way of a thread all the same: a long walk over tables must let others have their turn.
    if (this.canReadNow && target.length <= CACHED_READ_BYTES && target.length && this.turns++ % TURNS) {
      const now = readCached(this.handle.fd, offset, target);
      if (now) return target.length;
      this.canReadNow = now !== undefined;
      cold = now === false;
    }
    try {
      let done = cold ? 0 : (this.quick?.read(offset, target) ?? 0);
      while (done < target.length) {
        const { bytesRead } = await this.handle.read(target, done, target.length - done, offset + done);
        // The end of the file; behind it nothing would be aligned.
        if (bytesRead === 0 || (this.around && bytesRead < target.length - done)) return done + bytesRead;
        done += bytesRead;
      }
      return done;
    } catch (error) {
      throw this.failure(error, 'read');
    }
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    try {
      let done = this.quick?.write(offset, source) ?? 0;
      if (this.past && offset % AROUND_BLOCK === 0 && source.length % AROUND_BLOCK === 0 && source.length >= AROUND_BYTES) {
        done = await this.past.write([source], offset);
        if (done === source.length) return;
      }
      while (done < source.length) done += (await this.handle.write(source, done, source.length - done, offset + done)).bytesWritten;
    } catch (error) {
      throw this.failure(error, 'write');
    }
    if (this.writeBehind) this.send(source.length);
  }

  private send(bytes: number): void {
    this.unsent += bytes;
    if (this.sending || this.unsent < WRITE_BEHIND_BYTES) return;
    this.unsent = 0;
    this.sending = beginWriteOut(this.handle.fd).then(() => {
      this.sending = undefined;
    });
  }

  async sync(): Promise<void> {
    try {
      await this.handle.sync();
    } catch (error) {
      throw this.failure(error, 'flush');
    }
  }

  async truncate(bytes: number): Promise<void> {
    if (this.device) throw refusedDevice(this.path, 'resize');
    try {
      await this.handle.truncate(bytes);
    } catch (error) {
      throw fileError(error, this.path, 'resize');
    }
  }

  async discard(offset: number, length: number): Promise<void> {
    await this.punch(offset, length);
  }

  holeAt(offset: number, end: number): { hole: boolean; length: number } | undefined {
    return holeAt(this.handle.fd, offset, end);
  }

  async punch(offset: number, length: number): Promise<boolean> {
    // Of a device only where it has a command for zeros (BLKZEROOUT without a fallback); that may take it a while.
    return this.device ? punchHoleAside(this.handle.fd, offset, length) : punchHole(this.handle.fd, offset, length);
  }

  async allocate(offset: number, length: number): Promise<void> {
    if (allocateRoom(this.handle.fd, offset, length) === 'no-room')
      throw fileError(Object.assign(new Error('no room'), { code: 'ENOSPC' }), this.path, 'allocate');
  }

  private failure(error: unknown, operation: string): HypervueError {
    return (this.device ? deviceError(error, this.path, operation) : undefined) ?? fileError(error, this.path, operation);
  }

  async close(): Promise<void> {
    // Its number may be another file's afterwards.
    await this.sending;
    await this.past?.close();
    await this.handle.close();
  }
}

function refuseOddFile(info: Stats, path: string): void {
  if (info.isFile() || info.isBlockDevice()) return;
  const what = say(info.isDirectory() ? 'fileFolder' : 'fileOdd', { path });
  throw new HypervueError('invalid-argument', what, { path, operation: 'open' }, say('fixChooseFile'));
}

/** Why it could not be opened; of a device with what may be done about it. */
async function openError(error: unknown, path: string): Promise<HypervueError> {
  const info = await stat(path).catch(() => undefined);
  return (info?.isBlockDevice() ? deviceError(error, path, 'open', info.gid) : undefined) ?? fileError(error, path, 'open');
}

/** stat gives 0 for block devices, and not every system can seek to their end: found by bisection over readable offsets. */
async function blockDeviceSize(handle: FileHandle): Promise<number> {
  const probe = new Uint8Array(1);
  const readable = async (offset: number) => (await handle.read(probe, 0, 1, offset).catch(() => ({ bytesRead: 0 }))).bytesRead === 1;
  // A drive without a medium.
  if (!(await readable(0))) return 0;
  let low = 0;
  let high = 1 << 20;
  while (await readable(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await readable(middle)) low = middle;
    else high = middle;
  }
  return high;
}

const kinds: Record<string, [ErrorKind, SaidKey, SaidKey]> = {
  ENOENT: ['not-found', 'fileENOENT', 'fixPath'],
  ENOTDIR: ['not-found', 'fileENOENT', 'fixPath'],
  EACCES: ['permission-denied', 'fileEACCES', 'fixRights'],
  EPERM: ['permission-denied', 'fileEACCES', 'fixRights'],
  EROFS: ['permission-denied', 'fileEROFS', 'fixReadOnly'],
  EISDIR: ['invalid-argument', 'fileEISDIR', 'fixChooseFile'],
  ENOSPC: ['no-space', 'fileENOSPC', 'fixSpace'],
  EDQUOT: ['no-space', 'fileEDQUOT', 'fixSpace'],
  // Whoever owns a file closed it in the middle of what another one does with it.
  EBADF: ['invalid-state', 'fileEBADF', 'fixTryAgain'],
  EFBIG: ['no-space', 'fileEFBIG', 'fixMoveImage'],
  ENAMETOOLONG: ['invalid-argument', 'fileENAMETOOLONG', 'fixOtherFile'],
  ELOOP: ['not-found', 'fileELOOP', 'fixPath'],
  // What Node says of a path with a zero byte.
  ERR_INVALID_ARG_VALUE: ['invalid-argument', 'fileBadPath', 'fixOtherFile'],
  ETXTBSY: ['in-use', 'fileEBUSY', 'fixCloseProgram'],
  EBUSY: ['in-use', 'fileEBUSY', 'fixCloseProgram'],
};

/** A host file error as HypervueError with the path and the operation in it. */
export function fileError(error: unknown, path: string, operation: string): HypervueError {
  if (error instanceof HypervueError) return error;
  const code = (error as { code?: string }).code ?? '';
  const [kind, what, fix] = kinds[code] ?? (['io-error', 'fileOther', undefined] as const);
  const message = say(what, { path, ...(kinds[code] ? {} : { code: code || String(error) }) });
  const way = fix && say(fix);
  return new HypervueError(kind, message, { path, operation, code }, way, error);
}
