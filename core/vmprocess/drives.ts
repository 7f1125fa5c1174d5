import path from 'node:path';
import { BLOCK_IO_ERROR, BLOCK_NO_MEDIUM, BLOCK_OK, BLOCK_READ_ONLY, type BlockStatus } from '../backend/asyncblock.ts';
import type { BlockBackend, BlockInfo } from '../backend/block.ts';
import type { Drive } from '../contract/vm.ts';
import { RawDisk } from '../disk/raw.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { asHypervueError, type HypervueError } from '../util/errors.ts';
import type { Logger } from '../util/logger.ts';
import type { FromMachine, ToMachine } from './machinemessages.ts';

type BlockRequest = Extract<FromMachine, { t: 'block' }>;

/** Opens the image of a drive. `folder` resolves relative paths. */
export async function openDrive(drive: Pick<Drive, 'kind' | 'path' | 'readOnly'>, folder: string): Promise<BlockBackend | undefined> {
  if (drive.path === null) return undefined;
  const file = await NodeFile.open(path.resolve(folder, drive.path), drive.readOnly || drive.kind === 'cdrom');
  try {
    return await RawDisk.open(file, { readOnly: drive.readOnly, sectorBytes: drive.kind === 'cdrom' ? 2048 : 512 });
  } catch (error) {
    await file.close();
    throw error;
  }
}

export interface DriveServiceOptions {
  folder: string;
  post(message: ToMachine): void;
  /**
   * The host could not complete a write (disk full, I/O error). The machine should be paused; the request is kept and
   * tried again by `retry`.
   */
  onHostError(drive: string, error: HypervueError): void;
  log: Logger;
}

/** The main thread's end of all drives: does the file I/O straight between files and guest RAM. */
export class DriveService {
  private readonly options: DriveServiceOptions;
  private readonly backends = new Map<string, BlockBackend>();
  private readonly kinds = new Map<string, Drive['kind']>();
  private stuck: BlockRequest[] = [];
  private pending = 0;
  private idleWaiters: (() => void)[] = [];
  readBytes = 0;
  writtenBytes = 0;

  constructor(options: DriveServiceOptions) {
    this.options = options;
  }

  /** Opens every drive's image; on a failure closes those already open and rethrows. */
  async open(drives: readonly Drive[]): Promise<{ [drive: string]: BlockInfo }> {
    const media: { [drive: string]: BlockInfo } = {};
    try {
      for (const drive of drives) {
        this.kinds.set(drive.id, drive.kind);
        const backend = await openDrive(drive, this.options.folder);
        if (!backend) continue;
        this.backends.set(drive.id, backend);
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
    const next = await openDrive({ kind, path: imagePath, readOnly }, this.options.folder);
    const old = this.backends.get(drive);
    if (next) this.backends.set(drive, next);
    else this.backends.delete(drive);
    // Out first, so that the guest sees a change even from one disc to another.
    if (old) this.options.post({ t: 'media', drive, info: undefined });
    if (next) this.options.post({ t: 'media', drive, info: next.info });
    await old?.close();
  }

  async handle(request: BlockRequest): Promise<void> {
    this.pending++;
    const status = await this.perform(request);
    this.pending--;
    if (status !== undefined) this.options.post({ t: 'blockDone', drive: request.drive, id: request.id, status });
    if (this.pending === 0) for (const wake of this.idleWaiters.splice(0)) wake();
  }

  /** Tries again what failed on the host; call when the machine resumes. */
  retry(): void {
    for (const request of this.stuck.splice(0)) void this.handle(request);
  }

  /** Flushes and closes every image, after requests under way have ended. */
  async close(): Promise<void> {
    if (this.pending) await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
    for (const [drive, backend] of this.backends) {
      try {
        await backend.close();
      } catch (error) {
        this.options.log.error(`${drive}: ${asHypervueError(error).message}`);
      }
    }
    this.backends.clear();
  }

  /** The status to answer with, or undefined when the request waits for `retry`. */
  private async perform(request: BlockRequest): Promise<BlockStatus | undefined> {
    const backend = this.backends.get(request.drive);
    if (!backend) return BLOCK_NO_MEDIUM;
    if (request.op === 'write' && backend.info.readOnly) return BLOCK_READ_ONLY;
    try {
      if (request.op === 'flush') {
        await backend.flush();
        return BLOCK_OK;
      }
      let offset = request.offset;
      for (const view of request.views) {
        if (request.op === 'read') await backend.read(offset, view);
        else await backend.write(offset, view);
        offset += view.length;
      }
      if (request.op === 'read') this.readBytes += offset - request.offset;
      else this.writtenBytes += offset - request.offset;
      return BLOCK_OK;
    } catch (cause) {
      const error = asHypervueError(cause, { object: request.drive });
      if (request.op === 'read' || error.kind === 'invalid-argument') {
        this.options.log.warn(`${request.drive}: ${request.op} at byte ${request.offset} failed: ${error.message}`);
        return BLOCK_IO_ERROR;
      }
      this.stuck.push(request);
      this.options.onHostError(request.drive, error);
      return undefined;
    }
  }
}
