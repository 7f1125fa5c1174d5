import path from 'node:path';
import { BLOCK_IO_ERROR, BLOCK_NO_MEDIUM, BLOCK_OK, BLOCK_READ_ONLY, type BlockStatus } from '../backend/asyncblock.ts';
import type { BlockBackend, BlockInfo } from '../backend/block.ts';
import type { Drive } from '../contract/vm.ts';
import { openImage } from '../platform/openimage.ts';
import { asHypervueError, type HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import type { BlockRequest, ToMachine } from './machinemessages.ts';

/** Opens the image of a drive. `folder` resolves relative paths. */
export async function openDrive(
  drive: Pick<Drive, 'kind' | 'path' | 'readOnly' | 'format'>,
  folder: string,
): Promise<BlockBackend | undefined> {
  if (drive.path === null) return undefined;
  return openImage(path.resolve(folder, drive.path), {
    readOnly: drive.readOnly || drive.kind === 'cdrom',
    format: drive.format,
    sectorBytes: drive.kind === 'cdrom' ? 2048 : 512,
  });
}

export interface DriveServiceOptions {
  folder: string;
  post(message: ToMachine): void;
  /**
   * The host could not complete a write (disk full, I/O error). The machine should be paused. A write is kept and tried again by `retry`; a failed
   * flush has been answered as an I/O error, because after one the system may have dropped what it could not write, and a second flush that
   * succeeds proves nothing.
   */
  onHostError(drive: string, error: HypervueError): void;
  log: Logger;
}

/** Failed reads of one medium that are logged; a guest may try for ever. */
const LOGGED_FAILURES = 20;
const WRITE_BACK_MS = 5000;
const ZEROS = new Uint8Array(1 << 20);

/** A medium and what is under way on it. */
interface OpenMedium {
  backend: BlockBackend;
  pending: number;
  failures: number;
  /** Called when nothing is under way any more. */
  idle: (() => void)[];
}

/** The main thread's end of all drives: does the file I/O straight between files and guest RAM. */
export class DriveService {
  private readonly options: DriveServiceOptions;
  private readonly media = new Map<string, OpenMedium>();
  private readonly kinds = new Map<string, Drive['kind']>();
  private stuck: BlockRequest[] = [];
  /** Brings tables of images to their files now and then, so that a crash of this process loses little of what no guest asked to be flushed. */
  private readonly writingBack = setInterval(() => this.writeBack(), WRITE_BACK_MS);
  readBytes = 0;
  writtenBytes = 0;

  constructor(options: DriveServiceOptions) {
    this.options = options;
    this.writingBack.unref();
  }

  /** Opens every drive's image; on a failure closes those already open and rethrows. */
  async open(drives: readonly Drive[]): Promise<{ [drive: string]: BlockInfo }> {
    const media: { [drive: string]: BlockInfo } = {};
    try {
      for (const drive of drives) {
        this.kinds.set(drive.id, drive.kind);
        const backend = await openDrive(drive, this.options.folder);
        if (!backend) continue;
        this.media.set(drive.id, { backend, pending: 0, failures: 0, idle: [] });
        media[drive.id] = backend.info;
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    return media;
  }

  async changeMedium(drive: string, imagePath: string | null, readOnly: boolean): Promise<void> {
    const kind = this.kinds.get(drive) ?? 'disk';
    const next = await openDrive({ kind, path: imagePath, readOnly, format: 'raw' }, this.options.folder);
    const old = this.media.get(drive);
    if (next) this.media.set(drive, { backend: next, pending: 0, failures: 0, idle: [] });
    else this.media.delete(drive);
    // What waits for room on the old medium must never reach the new one.
    const lost = this.stuck.filter((request) => request.drive === drive);
    this.stuck = this.stuck.filter((request) => request.drive !== drive);
    for (const { id } of lost) this.options.post({ t: 'blockDone', drive, id, status: BLOCK_IO_ERROR });
    if (lost.length)
      this.options.log.error(`${drive}: ${lost.length} writes were lost, as the medium was changed before there was room for them`);
    // Out first, so that the guest sees a change even from one disc to another.
    if (old) this.options.post({ t: 'media', drive, info: undefined });
    if (next) this.options.post({ t: 'media', drive, info: next.info });
    if (old) await this.closeMedium(drive, old);
  }

  async handle(request: BlockRequest): Promise<void> {
    const medium = this.media.get(request.drive);
    if (!medium) {
      this.answer(request, BLOCK_NO_MEDIUM);
      return;
    }
    medium.pending++;
    const status = await this.perform(request, medium);
    medium.pending--;
    if (status !== undefined) this.answer(request, status);
    if (medium.pending === 0) for (const wake of medium.idle.splice(0)) wake();
  }

  /** Images by drive id, for snapshots of them. */
  images(): Map<string, BlockBackend> {
    return new Map([...this.media].map(([drive, { backend }]) => [drive, backend]));
  }

  /** Writes wait until the host has room for them. */
  get waiting(): boolean {
    return this.stuck.length > 0;
  }

  /** What was written is on stable storage, tables of images too. */
  async flush(): Promise<void> {
    await Promise.all([...this.media.values()].map(({ backend }) => backend.flush()));
  }

  /** Tells the guest that the medium of a removable drive was taken out and put in again. */
  replug(drive: string): void {
    const medium = this.media.get(drive);
    this.options.post({ t: 'media', drive, info: undefined });
    if (medium) this.options.post({ t: 'media', drive, info: medium.backend.info });
  }

  /** Tries again what failed on the host; call before the machine resumes. Resolves with false when something failed again. */
  async retry(): Promise<boolean> {
    await Promise.all(this.stuck.splice(0).map((request) => this.handle(request)));
    return this.stuck.length === 0;
  }

  /** Flushes and closes every image, after requests under way have ended. */
  async close(): Promise<void> {
    clearInterval(this.writingBack);
    const media = [...this.media];
    this.media.clear();
    await Promise.all(media.map(([drive, medium]) => this.closeMedium(drive, medium)));
    if (this.stuck.length) this.options.log.error(`${this.stuck.length} writes for which the host had no room are lost`);
    this.stuck = [];
  }

  private writeBack(): void {
    // A failure shows at the next flush of the guest, or at the end.
    for (const { backend } of this.media.values()) backend.writeBack?.().catch(() => {});
  }

  private answer({ drive, id }: BlockRequest, status: BlockStatus): void {
    this.options.post({ t: 'blockDone', drive, id, status });
  }

  private async closeMedium(drive: string, medium: OpenMedium): Promise<void> {
    if (medium.pending) await new Promise<void>((resolve) => medium.idle.push(resolve));
    try {
      await medium.backend.close();
    } catch (error) {
      this.options.log.error(`${drive}: ${asHypervueError(error).message}; what the guest wrote last may be lost`);
    }
  }

  /** The status to answer with, or undefined when the request waits for `retry`. */
  private async perform(request: BlockRequest, medium: OpenMedium): Promise<BlockStatus | undefined> {
    const { backend } = medium;
    if (request.op !== 'read' && request.op !== 'flush' && backend.info.readOnly) return BLOCK_READ_ONLY;
    try {
      const bytes = await carryOut(request, backend);
      if (request.op === 'read') this.readBytes += bytes;
      else this.writtenBytes += bytes;
      return BLOCK_OK;
    } catch (cause) {
      const error = asHypervueError(cause, { object: request.drive });
      if (request.op === 'read' || error.kind === 'invalid-argument') {
        medium.failures++;
        if (medium.failures <= LOGGED_FAILURES)
          this.options.log.warn(
            `${request.drive}: ${placeOf(request)} failed: ${error.message}${medium.failures === LOGGED_FAILURES ? ' (further failures of this medium are not logged)' : ''}`,
          );
        return BLOCK_IO_ERROR;
      }
      if (this.media.get(request.drive) !== medium) {
        // The medium was changed meanwhile: there is nowhere left to try again.
        this.options.log.error(`${request.drive}: ${placeOf(request)} failed: ${error.message}`);
        return BLOCK_IO_ERROR;
      }
      const again = request.op !== 'flush';
      if (again) this.stuck.push(request);
      this.options.onHostError(request.drive, error);
      return again ? undefined : BLOCK_IO_ERROR;
    }
  }
}

/** Does what was asked and returns how many bytes were moved. */
async function carryOut(request: BlockRequest, backend: BlockBackend): Promise<number> {
  switch (request.op) {
    case 'flush':
      await backend.flush();
      return 0;
    case 'discard':
      await backend.discard?.(request.offset, request.length);
      return 0;
    case 'zero':
      if (backend.writeZeroes) await backend.writeZeroes(request.offset, request.length, request.unmap);
      else await writeZeros(backend, request.offset, request.length);
      return 0;
    default: {
      let { offset } = request;
      for (const view of request.views) {
        if (request.op === 'read') await backend.read(offset, view);
        else await backend.write(offset, view);
        offset += view.length;
      }
      if (request.op === 'write' && request.fua) await backend.flush();
      return offset - request.offset;
    }
  }
}

async function writeZeros(backend: BlockBackend, offset: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += ZEROS.length)
    await backend.write(offset + done, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)));
}

const placeOf = (request: BlockRequest) => (request.op === 'flush' ? 'flush' : `${request.op} at byte ${request.offset}`);
