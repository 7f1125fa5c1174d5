/**
 * Files that go to a browser and come from one. A browser's downloads can't carry the access token, and an address with it in would be kept in histories and
 * logs: the contract gives out tickets, each for one file and a short while.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { Volume } from '../../contract/storage.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { fileError } from '../../platform/nodefile.ts';
import type { Disposable } from '../../util/disposable.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import type { Pools } from './pools.ts';
import type { Volumes } from './volumes.ts';
import { isBelow } from '../paths.ts';

/** A ticket that nobody used for so long is worth nothing, ms. */
const VALID_MS = 10 * 60_000;
const MAX_TICKETS = 1000;

/** A file that is being sent. `close` it. */
export interface OpenedFile {
  name: string;
  sizeBytes: number;
  /** Changes with the contents. */
  tag: string;
  /** `end` counts in. */
  read(start: number, end: number): Readable;
  close(): Promise<void>;
}

interface Upload {
  pool: string;
  name: string;
  sizeBytes: number;
}

/** `tokenId`: whose it is; null for the owner's. `ended`: what an upload that was begun with it comes to. */
type Ticket = { until: number; tokenId: string | null } & ({ file: string } | { upload: Upload; ended?: Promise<Volume> });

export interface WebFilesParts {
  pools: Pools;
  volumes: Volumes;
  locks: ImageLocks;
  /** Whether an access token is still good: tickets end with the token that they were asked for with. */
  tokenValid: (id: string) => boolean;
}

export class WebFiles {
  private readonly parts: WebFilesParts;
  private readonly tickets = new Map<string, Ticket>();
  /** Exported files outside of the pools. */
  private readonly exported = new Set<string>();

  constructor(parts: WebFilesParts) {
    this.parts = parts;
  }

  /** From now on this file may be downloaded, wherever it lies. */
  async allow(file: string): Promise<void> {
    this.exported.add(await realpath(file));
  }

  /** A ticket for a file of a pool or a machine, or for one that was exported. Rejects with 'permission-denied' for others. */
  async offer(wanted: string, tokenId: string | null): Promise<{ ticket: string; name: string; sizeBytes: number }> {
    const opened = await this.openFile(wanted);
    await opened.close();
    return { ticket: this.add({ file: path.resolve(wanted), tokenId }), name: opened.name, sizeBytes: opened.sizeBytes };
  }

  /** A ticket for one upload. Rejects when the name is taken, or when there is no room. */
  async expect(upload: Upload, tokenId: string | null): Promise<{ ticket: string }> {
    await this.parts.volumes.expectUpload(upload.pool, upload.name, upload.sizeBytes);
    return { ticket: this.add({ upload, tokenId }) };
  }

  /** Rejects with 'not-found' for a ticket that is none any more. */
  async open(ticket: string): Promise<OpenedFile> {
    const found = this.get(ticket);
    if (!('file' in found)) throw noTicket();
    // A long download that breaks off can go on.
    found.until = Date.now() + VALID_MS;
    return this.openFile(found.file);
  }

  /**
   * Takes what was announced. A ticket is good for one try: whoever comes again with it, as browsers do by themselves when a connection breaks, is told how
   * that one ended.
   */
  async receive(ticket: string, source: Readable): Promise<Volume> {
    const found = this.get(ticket);
    if (!('upload' in found)) throw noTicket();
    if (found.ended) return found.ended;
    const { pool, name, sizeBytes } = found.upload;
    found.until = Number.POSITIVE_INFINITY;
    found.ended = this.parts.volumes.upload(pool, name, sizeBytes, source).finally(() => {
      found.until = Date.now() + VALID_MS;
    });
    return found.ended;
  }

  /** How the upload of this ticket ended, once it did; rejects with its error. 'not-found' when none was begun. */
  async received(ticket: string): Promise<Volume> {
    const found = this.get(ticket);
    if (!('upload' in found) || !found.ended) throw noTicket();
    return found.ended;
  }

  private add(ticket: Ticket extends infer T ? (T extends { until: number } ? Omit<T, 'until'> : never) : never): string {
    const now = Date.now();
    for (const [key, { until }] of this.tickets) if (until < now) this.tickets.delete(key);
    if (this.tickets.size >= MAX_TICKETS) this.tickets.delete(this.tickets.keys().next().value!);
    const key = randomBytes(32).toString('base64url');
    this.tickets.set(key, { ...ticket, until: now + VALID_MS } as Ticket);
    return key;
  }

  private get(ticket: string): Ticket {
    const found = this.tickets.get(ticket);
    if (!found || found.until < Date.now()) throw noTicket();
    if (found.tokenId !== null && !this.parts.tokenValid(found.tokenId)) {
      this.tickets.delete(ticket);
      throw noTicket();
    }
    return found;
  }

  private async openFile(wanted: string): Promise<OpenedFile> {
    // Links are followed before it is asked where the file lies.
    const file = await realpath(path.resolve(wanted)).catch((error) => {
      throw fileError(error, wanted, 'open');
    });
    if (!(await this.allowed(file)))
      throw new HypervueError(
        'permission-denied',
        say('inNoPool', { path: wanted }),
        { path: wanted, operation: 'download' },
        say('fixInNoPool'),
      );
    // Nobody may write to an image while it is sent.
    let lock: Disposable | undefined;
    let handle: FileHandle | undefined;
    try {
      handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error) => {
        throw fileError(error, file, 'open');
      });
      const info = await handle.stat();
      if (!info.isFile()) throw new HypervueError('unsupported', say('noFile', { path: wanted }), { path: wanted, operation: 'download' });
      lock = this.parts.locks.acquire(file, true, 'a download');
      return opened(handle, lock, path.basename(file), info.size, `"${info.size.toString(16)}-${Math.floor(info.mtimeMs).toString(16)}"`);
    } catch (error) {
      lock?.dispose();
      await handle?.close();
      throw error;
    }
  }

  private async allowed(file: string): Promise<boolean> {
    if (this.exported.has(file)) return true;
    for (const { folder } of this.parts.pools.settings()) {
      const root = await realpath(folder).catch(() => undefined);
      if (root === undefined || !isBelow(root, file)) continue;
      // The trash, and what is not ready yet.
      if (
        !path
          .relative(root, file)
          .split(path.sep)
          .some((part) => part.startsWith('.'))
      )
        return true;
    }
    return false;
  }
}

function opened(handle: FileHandle, lock: Disposable, name: string, sizeBytes: number, tag: string): OpenedFile {
  let done: Promise<void> | undefined;
  return {
    name,
    sizeBytes,
    tag,
    read: (start, end) => handle.createReadStream({ start, end, autoClose: false, highWaterMark: 256 * 1024 }),
    close: () => {
      done ??= handle.close().finally(() => lock.dispose());
      return done;
    },
  };
}

const noTicket = () => new HypervueError('not-found', say('transferOver'), { operation: 'download' }, say('fixTransferOver'));
