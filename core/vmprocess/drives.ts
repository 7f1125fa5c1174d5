import path from 'node:path';
import { BLOCK_IO_ERROR, BLOCK_NO_MEDIUM, BLOCK_OK, BLOCK_READ_ONLY, type BlockStatus } from '../backend/asyncblock.ts';
import type { BlockBackend, BlockInfo } from '../backend/block.ts';
import { defaultPolicy, type DriveId, type DrivePolicy, fullPolicy, goesAroundCache, syncsWrites } from '../contract/drives.ts';
import type { Drive } from '../contract/vm.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { freeBytes } from '../platform/hostinfo.ts';
import { openImage } from '../platform/openimage.ts';
import type { DeriveKey } from '../platform/statecipher.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';
import { bayOf } from './drivebay.ts';
import { bytesOf, carryOut, describe } from './blockrequest.ts';
import { DirectGate } from './directgate.ts';
import { DriveThrottle } from './drivethrottle.ts';
import { FlushHold } from './flushhold.ts';
import type { BlockRequest, Grant, ToMachine } from './machinemessages.ts';

/** Opens the image of a drive. `folder` resolves relative paths. */
export async function openDrive(
  drive: Pick<Drive, 'kind' | 'path' | 'readOnly' | 'format' | 'cache'>,
  folder: string,
  passphrase?: string,
): Promise<BlockBackend | undefined> {
  if (drive.path === null) return undefined;
  return openImage(path.resolve(folder, drive.path), {
    readOnly: drive.readOnly || drive.kind === 'cdrom',
    format: drive.format,
    passphrase,
    quick: true,
    direct: drive.kind === 'disk' && goesAroundCache(drive.cache ?? defaultPolicy.cache),
    sectorBytes: drive.kind === 'cdrom' ? 2048 : 512,
  });
}

export interface DriveServiceOptions {
  folder: string;
  /** Opens encrypted images. */
  passphrase?: string | undefined;
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

/** A medium and what is under way on it. */
interface OpenMedium {
  readonly number: number;
  backend: BlockBackend;
  /** Where the machine thread may do requests by itself. */
  gate: DirectGate;
  pending: number;
  failures: number;
  /** Another image takes the place of this one: requests wait for it. */
  held?: Promise<void>;
  /** Called when nothing is under way any more. */
  idle: (() => void)[];
}

/** The main thread's end of all drives: does the file I/O as each drive's policy wants it. */
export class DriveService {
  private readonly options: DriveServiceOptions;
  private readonly media = new Map<string, OpenMedium>();
  private readonly kinds = new Map<string, Drive['kind']>();
  private readonly policies = new Map<string, Required<DrivePolicy>>();
  private readonly throttles = new Map<string, DriveThrottle>();
  private stuck: BlockRequest[] = [];
  private opened = 0;
  /** Brings tables of images to their files now and then, so that a crash of this process loses little of what no guest asked to be flushed. */
  private readonly writingBack = setInterval(() => this.writeBack(), WRITE_BACK_MS);
  /** For whoever writes a snapshot beside the guest. */
  readonly flushHold = new FlushHold();
  private readonly moved = { read: 0, written: 0 };

  constructor(options: DriveServiceOptions) {
    this.options = options;
    this.writingBack.unref();
  }

  /** Opens every drive's image; on a failure closes those already open and rethrows. */
  async open(drives: readonly Drive[]): Promise<{ [drive: string]: BlockInfo }> {
    const media: { [drive: string]: BlockInfo } = {};
    try {
      for (const drive of drives) {
        const info = await this.take(drive, this.options.passphrase);
        if (info) media[drive.id] = info;
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    return media;
  }

  /** Opens the image of a drive that comes while the machine is on, and tells the guest. Rejects as opening does; nothing has changed then. `passphrase`: other than the machine's. */
  async plug(drive: Drive, passphrase = this.options.passphrase): Promise<void> {
    const info = await this.take(drive, passphrase);
    this.options.post({ t: 'plugDrive', bay: bayOf(drive), info });
  }

  /**
   * Pulls a drive out. What the guest has written by then is on stable storage when this resolves; what it keeps in its own memory is lost, as with a real one. Rejects with
   * 'invalid-state' while writes wait for room on the host.
   */
  async unplug(drive: DriveId): Promise<void> {
    if (this.stuck.some((request) => request.drive === drive)) throw this.waitsForRoom(drive);
    const medium = this.media.get(drive);
    this.options.post({ t: 'unplugDrive', drive });
    this.media.delete(drive);
    this.throttles.get(drive)?.end();
    for (const known of [this.kinds, this.policies, this.throttles]) known.delete(drive);
    if (medium) await this.closeMedium(drive, medium);
  }

  /** From now on it is one of the machine's. Resolves with what its image is, if there is one. */
  private async take(drive: Drive, passphrase: string | undefined): Promise<BlockInfo | undefined> {
    const backend = await openDrive(drive, this.options.folder, passphrase);
    this.kinds.set(drive.id, drive.kind);
    this.policies.set(drive.id, fullPolicy(drive));
    this.throttles.set(drive.id, new DriveThrottle(drive.limits ?? {}));
    if (backend) this.media.set(drive.id, this.medium(backend));
    return backend?.info;
  }

  private waitsForRoom(drive: string): HypervueError {
    return new HypervueError('invalid-state', say('guestWaits', { drive }), { object: drive }, say('fixRoomResume'));
  }

  private medium(backend: BlockBackend): OpenMedium {
    const gate = new DirectGate();
    backend.onMove = (range) => gate.revoke(range);
    return { number: ++this.opened, backend, gate, pending: 0, failures: 0, idle: [] };
  }

  async changeMedium(drive: string, imagePath: string | null, readOnly: boolean): Promise<void> {
    const kind = this.kinds.get(drive) ?? 'disk';
    const next = await openDrive({ kind, path: imagePath, readOnly, format: 'raw' }, this.options.folder);
    const old = this.media.get(drive);
    if (next) this.media.set(drive, this.medium(next));
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

  /**
   * From now on the disk is the image at `file`, which reads as the one that is there now. Requests wait meanwhile. Rejects as opening does, and 'invalid-state' while writes wait for room
   * on the host; the disk is the old one then.
   */
  async overlay(drive: string, file: string): Promise<void> {
    const medium = this.media.get(drive);
    if (!medium) throw new HypervueError('not-found', say('noDiskIn', { drive }), { object: drive });
    if (this.stuck.length) throw this.waitsForRoom(drive);
    let release = () => {};
    medium.held = new Promise((resolve) => {
      release = resolve;
    });
    try {
      medium.gate.revoke();
      if (medium.pending) await new Promise<void>((resolve) => medium.idle.push(resolve));
      // Requests that ended last may have granted more.
      medium.gate.revoke();
      await medium.backend.flush();
      const cache = this.policy(drive).cache;
      const top = await openDrive({ kind: 'disk', path: file, readOnly: false, format: 'qcow2', cache }, this.options.folder);
      const old = medium.backend;
      top!.onMove = (range) => medium.gate.revoke(range);
      medium.backend = top!;
      // From here on it has happened. Everything was flushed.
      await old.close().catch((error) => this.options.log.warn(`${drive}: ${asHypervueError(error).message}`));
    } finally {
      delete medium.held;
      release();
    }
  }

  async handle(request: BlockRequest): Promise<void> {
    let medium = this.media.get(request.drive);
    if (medium?.held) {
      await medium.held;
      medium = this.media.get(request.drive);
    }
    if (!medium) {
      this.answer(request, BLOCK_NO_MEDIUM);
      return;
    }
    medium.pending++;
    if (request.op === 'flush') await this.flushHold.wait();
    const turn = this.throttles.get(request.drive)?.admit(bytesOf(request));
    if (turn) await turn;
    await this.serve(request, medium);
  }

  /** Other rules for a drive from now on. */
  setPolicy(drive: string, policy: DrivePolicy): void {
    this.media.get(drive)?.gate.revoke();
    this.policies.set(drive, fullPolicy(policy));
    this.throttles.get(drive)?.setLimits(policy.limits ?? {});
  }

  /** Makes the disk in a drive larger and tells the guest. Rejects as the image does, and with 'invalid-argument' for a size that is no larger. */
  async grow(drive: string, sizeBytes: number): Promise<void> {
    const backend = this.media.get(drive)?.backend;
    if (!backend) throw new HypervueError('not-found', say('noDiskIn', { drive }), { object: drive, operation: 'resize' });
    const { readOnly, sizeBytes: now, label } = backend.info;
    if (readOnly || !backend.resize)
      throw new HypervueError('unsupported', say('noResizeInUse', { image: label }), {
        object: drive,
        path: label,
        operation: 'resize',
      });
    if (sizeBytes <= now || sizeBytes % 512)
      throw new HypervueError(
        'invalid-argument',
        say('growOnly', { image: label, bytes: now }),
        { object: drive, path: label, operation: 'resize' },
        say('fixOffToShrink'),
      );
    await backend.resize(sizeBytes);
    this.options.post({ t: 'resized', drive, info: backend.info });
  }

  /** Bytes that guests have read from all drives. */
  get readBytes(): number {
    return [...this.media.values()].reduce((sum, { gate }) => sum + gate.readBytes, this.moved.read);
  }

  get writtenBytes(): number {
    return [...this.media.values()].reduce((sum, { gate }) => sum + gate.writtenBytes, this.moved.written);
  }

  /** Images by drive id, for snapshots of them. */
  images(): Map<string, BlockBackend> {
    return new Map([...this.media].map(([drive, { backend }]) => [drive, backend]));
  }

  /** A drive with an encrypted disk, whose key can be made others of; the machine's memory is then as secret as the disk. */
  get sealing(): { drive: string; derive: DeriveKey } | undefined {
    for (const drive of this.media.keys()) {
      const derive = this.deriver(drive);
      if (derive) return { drive, derive };
    }
    return undefined;
  }

  deriver(drive: string): DeriveKey | undefined {
    const backend = this.media.get(drive)?.backend;
    return backend instanceof Qcow2Image ? backend.deriveKey : undefined;
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
    await Promise.all(
      this.stuck.splice(0).map((request) => {
        const medium = this.media.get(request.drive);
        // A medium that is gone has taken its requests along.
        if (!medium) return undefined;
        medium.pending++;
        return this.serve(request, medium);
      }),
    );
    return this.stuck.length === 0;
  }

  /** Flushes and closes every image, after requests under way have ended. */
  async close(): Promise<void> {
    clearInterval(this.writingBack);
    for (const throttle of this.throttles.values()) throttle.end();
    const media = [...this.media];
    this.media.clear();
    await Promise.all(media.map(([drive, medium]) => this.closeMedium(drive, medium)));
    if (this.stuck.length) this.options.log.error(`${this.stuck.length} writes for which the host had no room are lost`);
    this.stuck = [];
  }

  /** Carries a request out that `pending` counts already. */
  private async serve(request: BlockRequest, medium: OpenMedium): Promise<void> {
    const status = await this.perform(request, medium);
    medium.pending--;
    if (status !== undefined) this.answer(request, status, status === BLOCK_OK ? this.grant(request, medium) : undefined);
    if (medium.pending === 0) for (const wake of medium.idle.splice(0)) wake();
  }

  private writeBack(): void {
    // A failure shows at the next flush of the guest, or at the end.
    for (const { backend } of this.media.values()) backend.writeBack?.().catch(() => {});
  }

  private answer({ drive, id }: BlockRequest, status: BlockStatus, grant?: Grant): void {
    this.options.post(grant ? { t: 'blockDone', drive, id, status, grant } : { t: 'blockDone', drive, id, status });
  }

  /** Lets the machine thread do more requests there by itself, where the drive's policy has no say in them. */
  private grant(request: BlockRequest, { backend, gate, number }: OpenMedium): Grant | undefined {
    if ((request.op !== 'read' && request.op !== 'write') || this.throttles.get(request.drive)?.limited) return undefined;
    const { cache, detectZeroes } = this.policy(request.drive);
    const places = gate.places(backend, request.offset, !syncsWrites(cache) && !detectZeroes);
    return places.length ? { places, medium: number, shared: gate.shared } : undefined;
  }

  private async closeMedium(drive: string, medium: OpenMedium): Promise<void> {
    medium.gate.revoke();
    if (medium.pending) await new Promise<void>((resolve) => medium.idle.push(resolve));
    // Requests that ended last may have granted more.
    medium.gate.revoke();
    try {
      await medium.backend.close();
    } catch (error) {
      this.options.log.error(`${drive}: ${asHypervueError(error).message}; what the guest wrote last may be lost`);
    }
    this.moved.read += medium.gate.readBytes;
    this.moved.written += medium.gate.writtenBytes;
  }

  /** The status to answer with, or undefined when the request waits for `retry`. */
  private async perform(request: BlockRequest, medium: OpenMedium): Promise<BlockStatus | undefined> {
    const { backend } = medium;
    if (request.op !== 'read' && request.op !== 'flush' && backend.info.readOnly) return BLOCK_READ_ONLY;
    try {
      await carryOut(request, backend, this.policy(request.drive));
      if (request.op === 'read') this.moved.read += bytesOf(request);
      else this.moved.written += bytesOf(request);
      return BLOCK_OK;
    } catch (cause) {
      const error = asHypervueError(cause, { object: request.drive });
      if (this.media.get(request.drive) !== medium) {
        // The medium was changed meanwhile: there is nowhere left to try again.
        this.options.log.error(`${request.drive}: ${describe(request)} failed: ${error.message}`);
        return BLOCK_IO_ERROR;
      }
      return this.failed(request, medium, error);
    }
  }

  /** What the drive's policy makes of an error of the host. */
  private async failed(request: BlockRequest, medium: OpenMedium, error: HypervueError): Promise<BlockStatus | undefined> {
    const { writeErrors, readErrors } = this.policy(request.drive);
    const reading = request.op === 'read';
    const stop = reading ? readErrors === 'stop' : writeErrors === 'stop' || (writeErrors === 'stop-if-full' && error.kind === 'no-space');
    // A range that does not exist is no failure of the host.
    if (!stop || error.kind === 'invalid-argument') {
      medium.failures++;
      if (medium.failures <= LOGGED_FAILURES)
        this.options.log.warn(
          `${request.drive}: ${describe(request)} failed: ${error.message}${medium.failures === LOGGED_FAILURES ? ' (further failures of this medium are not logged)' : ''}`,
        );
      return !reading && writeErrors === 'ignore' && error.kind !== 'invalid-argument' ? BLOCK_OK : BLOCK_IO_ERROR;
    }
    const again = request.op !== 'flush';
    if (again) this.stuck.push(request);
    // Many requests fail at once; one message says it.
    if (!again || this.stuck.length === 1) this.options.onHostError(request.drive, await this.explain(request.drive, medium, error, again));
    return again ? undefined : BLOCK_IO_ERROR;
  }

  /** Says which drive and file it was, how much room there is, and what to do. */
  private async explain(drive: string, { backend }: OpenMedium, error: HypervueError, again: boolean): Promise<HypervueError> {
    const file = typeof error.context.path === 'string' ? error.context.path : backend.info.label;
    const folder = path.dirname(path.resolve(file));
    const free = await freeBytes(folder).catch(() => undefined);
    const full = error.kind === 'no-space';
    const problem = error.saying();
    const fix = full ? say('fixRoomThenResume') : (error.sayingFix() ?? say('fixCauseThenResume'));
    return new HypervueError(
      error.kind,
      full && free !== undefined
        ? say('driveFailedRoom', { drive, problem, freeBytes: free, folder })
        : say('driveFailed', { drive, problem }),
      { ...error.context, object: drive, path: file, ...(free === undefined ? {} : { freeBytes: free }) },
      again ? say('fixRedone', { fix }) : fix,
      error,
    );
  }

  private policy(drive: string): Required<DrivePolicy> {
    return this.policies.get(drive) ?? defaultPolicy;
  }
}
