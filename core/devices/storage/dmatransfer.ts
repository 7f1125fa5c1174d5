import { type MoveRuns, ScatterCursor, type ScatterList } from '../../bus/scatterlist.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';

/**
 * The guest memory that a descriptor table names, taken in order. Data is copied when the unit hands it over, never by the disk behind the guest's back: memory
 * that the guest took back (engine stopped, machine reset) stays untouched, and a disk write keeps the bytes it was given.
 */
export class DmaTransfer {
  /** Bytes the table describes, at most what the unit asked for. */
  readonly bytes: number;
  /** False once the guest stopped the engine or reset the channel: its memory is out of bounds from then on. */
  live = true;
  private readonly list: ScatterList;
  private readonly cursor: ScatterCursor;
  private readonly onMoved: (bytes: number) => void;

  /** `onMoved` hears of every piece that was moved. */
  constructor(memory: GuestMemory, list: ScatterList, bytes: number, onMoved: (bytes: number) => void = () => {}) {
    this.list = list;
    this.cursor = new ScatterCursor(memory, list);
    this.bytes = Math.min(list.bytes, bytes);
    this.onMoved = onMoved;
  }

  /** Puts the next bytes into guest memory. */
  put(source: Uint8Array): void {
    if (this.live) this.onMoved(this.cursor.put(source));
  }

  /** Takes the next bytes from guest memory. */
  take(target: Uint8Array): void {
    if (this.live) this.onMoved(this.cursor.take(target));
  }

  /** The first `bytes`, of which nothing was moved yet, all at once (ScatterList.direct). When it is false, the transfer is as it was. */
  direct(toMemory: boolean, bytes: number, move: MoveRuns): boolean {
    if (!this.live || !this.list.slice(0, bytes).direct(toMemory, move)) return false;
    this.onMoved(bytes);
    return true;
  }
}
