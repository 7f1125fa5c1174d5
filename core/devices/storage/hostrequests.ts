import { BLOCK_OK, type BlockDevice, type BlockDone } from '../../backend/asyncblock.ts';
import type { ScatterList } from '../../bus/scatterlist.ts';
import { PIECE_BYTES, RequestBuffers } from './requestbuffers.ts';

/** What a transfer moves between guest memory and the disk. */
export interface Transfer {
  write: boolean;
  data: ScatterList;
  /** Byte of the disk where it begins. */
  offset: number;
  /** A write is on stable storage before it is answered. */
  durable: boolean;
}

interface Moving extends Transfer {
  done: number;
  ended: BlockDone;
}

/**
 * A controller's requests that are with the host, many at a time. Data goes through buffers of its own, piece by piece. A reset takes all requests from the
 * guest: their memory is left alone from then on, and the controller starts nothing new before the host is done with them, so that nothing overtakes them.
 */
export class HostRequests {
  /** The last of the requests that were taken from the guest is over. */
  onDrained: (() => void) | undefined;
  private readonly block: BlockDevice;
  private readonly buffers = new RequestBuffers();
  /** Transfers for which no buffer was left. */
  private readonly waiting: Moving[] = [];
  private generation = 0;
  private active = 0;
  private abandoned = 0;

  constructor(block: BlockDevice) {
    this.block = block;
  }

  /** True while the host is busy with requests that are the guest's no more. */
  get draining(): boolean {
    return this.abandoned > 0;
  }

  /** Makes one request of the disk; `ended` is not called when it was abandoned meanwhile. */
  request(start: (answered: BlockDone) => void, ended: BlockDone): void {
    this.perform(start, ended, () => {});
  }

  /** Moves all of `data`, which is not empty. `ended` may be called before this returns. */
  transfer(transfer: Transfer, ended: BlockDone): void {
    const { write, data, offset, durable } = transfer;
    const { block } = this;
    if (block.moveNow && !(write && durable) && data.direct(!write, (runs) => block.moveNow!(write, offset, runs))) {
      ended(BLOCK_OK);
      return;
    }
    const moving: Moving = { ...transfer, done: 0, ended };
    if (this.waiting.length || !this.move(moving)) this.waiting.push(moving);
  }

  /** Takes everything from the guest. */
  abandon(): void {
    this.generation++;
    this.abandoned += this.active;
    this.active = 0;
    this.waiting.length = 0;
  }

  /** `abandoned` is called in place of `ended` for a request that is nobody's any more. */
  private perform(start: (answered: BlockDone) => void, ended: BlockDone, abandoned: () => void): void {
    const { generation } = this;
    this.active++;
    start((status) => {
      if (generation === this.generation) {
        this.active--;
        ended(status);
      } else {
        abandoned();
        this.abandoned--;
        if (this.abandoned === 0) this.onDrained?.();
      }
    });
  }

  /** Starts the next piece; false when there is no buffer for it now. */
  private move(moving: Moving): boolean {
    const { write, data, offset, done, durable } = moving;
    const bytes = Math.min(PIECE_BYTES, data.bytes - done);
    const buffer = this.buffers.take(bytes);
    if (!buffer) return false;
    const piece = buffer.subarray(0, bytes);
    if (write) data.take(done, piece);
    this.perform(
      (answered) =>
        write ? this.block.write(offset + done, [piece], answered, durable) : this.block.read(offset + done, [piece], answered),
      (status) => {
        if (status === BLOCK_OK && !write) data.put(done, piece);
        this.buffers.give(buffer);
        moving.done += bytes;
        if (status !== BLOCK_OK || moving.done === data.bytes) moving.ended(status);
        else if (!this.move(moving)) this.waiting.unshift(moving);
        this.moveWaiting();
      },
      () => this.buffers.give(buffer),
    );
    return true;
  }

  private moveWaiting(): void {
    while (this.waiting[0] && this.move(this.waiting[0])) this.waiting.shift();
  }
}
