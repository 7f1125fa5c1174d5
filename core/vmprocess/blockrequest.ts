import type { BlockBackend } from '../backend/block.ts';
import { type DrivePolicy, syncsWrites } from '../contract/drives.ts';
import { isZero } from '../disk/zeros.ts';
import type { BlockRequest } from './machinemessages.ts';

const ZEROS = new Uint8Array(1 << 20);

/** Bytes that a request moves. */
export function bytesOf(request: BlockRequest): number {
  return request.op === 'read' || request.op === 'write' ? request.views.reduce((sum, { length }) => sum + length, 0) : 0;
}

/** For messages: what was asked, and where. */
export function describe(request: BlockRequest): string {
  return request.op === 'flush' ? 'flush' : `${request.op} at byte ${request.offset}`;
}

/** Does to an image what a guest asked, as the drive's policy wants it done. Rejects as the image does. */
export async function carryOut(request: BlockRequest, image: BlockBackend, policy: Required<DrivePolicy>): Promise<void> {
  switch (request.op) {
    case 'read': {
      let { offset } = request;
      for (const view of request.views) {
        await image.read(offset, view);
        offset += view.length;
      }
      return;
    }
    case 'write':
      await write(request.offset, request.views, image, policy);
      if (request.fua) await flush(image, policy);
      else if (syncsWrites(policy.cache)) await image.flush();
      return;
    case 'flush':
      return flush(image, policy);
    case 'discard':
      if (policy.discard === 'unmap') await image.discard?.(request.offset, request.length);
      return;
    case 'zero':
      await zero(image, request.offset, request.length, request.unmap && policy.discard === 'unmap');
      if (syncsWrites(policy.cache)) await image.flush();
  }
}

async function write(at: number, views: readonly Uint8Array[], image: BlockBackend, policy: Required<DrivePolicy>): Promise<void> {
  let offset = at;
  for (const view of views) {
    if (policy.detectZeroes && isZero(view)) await zero(image, offset, view.length, policy.discard === 'unmap');
    else await image.write(offset, view);
    offset += view.length;
  }
}

async function flush(image: BlockBackend, { cache }: Required<DrivePolicy>): Promise<void> {
  if (cache !== 'unsafe') await image.flush();
}

async function zero(image: BlockBackend, offset: number, length: number, unmap: boolean): Promise<void> {
  if (image.writeZeroes) return image.writeZeroes(offset, length, unmap);
  for (let done = 0; done < length; done += ZEROS.length)
    await image.write(offset + done, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)));
}
