/**
 * The device's side of a split virtqueue. Virtual I/O Device (VIRTIO) version 1.2, section 2.7.
 *
 * Descriptor (16 bytes): u64 address, u32 length, u16 flags (1 next, 2 device writes, 4 indirect), u16 next
 * Driver area: u16 flags (1 no interrupt), u16 index, u16 ring[size], u16 used_event
 * Device area: u16 flags, u16 index, {u32 id, u32 length} ring[size], u16 avail_event
 *
 * Everything in them is the guest's: a queue that breaks the rules is broken until the driver resets the device.
 */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { type MemoryRange, ScatterList } from '../scatterlist.ts';

/** Most descriptors a queue can have here; a power of two. */
export const QUEUE_SIZE = 256;
const DESCRIPTOR_BYTES = 16;
const FLAG_NEXT = 1;
const FLAG_WRITE = 2;
const FLAG_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;
/** Descriptors of one request. The specification allows as many as the queue has; some drivers use longer indirect tables. */
const MAX_CHAIN = 1024;

/** One request: what the device may read, then what it writes. */
export interface Chain {
  /** Names the request in the device area. */
  readonly head: number;
  readonly readable: ScatterList;
  readonly writable: ScatterList;
}

export class VirtQueue {
  /** As the driver set them; addresses are guest-physical. */
  size = QUEUE_SIZE;
  enabled = false;
  descriptors = 0;
  driver = 0;
  device = 0;
  /** MSI-X vector of the queue, 0xffff for none. */
  vector = 0xffff;
  /** Both negotiated. */
  eventIndex = false;
  indirect = false;
  /** Why the queue is of no use any more. */
  broken: string | undefined;
  private readonly memory: GuestMemory;
  /** The next entry of the driver area to take, and of the device area to fill; both count on modulo 65536. */
  private taken = 0;
  private used = 0;
  /** `used` when the driver was last interrupted. */
  private signalled = 0;

  constructor(memory: GuestMemory) {
    this.memory = memory;
  }

  reset(): void {
    this.size = QUEUE_SIZE;
    this.enabled = false;
    this.descriptors = this.driver = this.device = 0;
    this.vector = 0xffff;
    this.eventIndex = this.indirect = false;
    this.broken = undefined;
    this.taken = this.used = this.signalled = 0;
  }

  /** The next request, or undefined when there is none (or none that makes sense: then the queue is broken). */
  pop(): Chain | undefined {
    if (!this.enabled || this.broken !== undefined) return undefined;
    const waiting = (this.memory.read16(this.driver + 2) - this.taken) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > this.size) return this.fail(`${waiting} requests in a queue of ${this.size}`);
    const head = this.memory.read16(this.driver + 4 + (this.taken % this.size) * 2);
    const chain = this.chain(head);
    if (chain) this.taken = (this.taken + 1) & 0xffff;
    return chain;
  }

  /** The last `count` requests that were taken are to be taken again. */
  putBack(count: number): void {
    this.taken = (this.taken - count) & 0xffff;
  }

  /** Asks the driver for a notification of the next request, and of none before. Call when `pop` had nothing left. */
  askForNotification(): void {
    if (this.enabled && this.eventIndex) this.memory.write16(this.device + 4 + this.size * 8, this.taken);
  }

  /** Gives a request back; the device wrote the first `written` bytes of what it may write. */
  push(head: number, written: number): void {
    if (!this.enabled) return;
    const at = this.device + 4 + (this.used % this.size) * 8;
    this.memory.write32(at, head);
    this.memory.write32(at + 4, written);
    this.used = (this.used + 1) & 0xffff;
    this.memory.write16(this.device + 2, this.used);
  }

  /** True when the driver wants to hear of what was given back since the last time (section 2.7.7). */
  takeInterrupt(): boolean {
    if (!this.enabled) return false;
    const before = this.signalled;
    if (before === this.used) return false;
    this.signalled = this.used;
    if (!this.eventIndex) return (this.memory.read16(this.driver) & AVAIL_NO_INTERRUPT) === 0;
    const event = this.memory.read16(this.driver + 4 + this.size * 2);
    return ((this.used - event - 1) & 0xffff) < ((this.used - before) & 0xffff);
  }

  /** The request of a saved machine that was under way: its descriptors are still the device's. */
  chain(head: number): Chain | undefined {
    const readable: MemoryRange[] = [];
    const writable: MemoryRange[] = [];
    let table = this.descriptors;
    let entries = this.size;
    let index = head;
    let inside = false;
    for (let seen = 0; ; seen++) {
      if (index >= entries) return this.fail(`descriptor ${index} of ${entries}`);
      // Longer than the table is a ring.
      if (seen >= Math.min(entries, MAX_CHAIN)) return this.fail('a request whose descriptors have no end');
      const at = table + index * DESCRIPTOR_BYTES;
      const gpa = this.memory.read32(at) + this.memory.read32(at + 4) * 2 ** 32;
      const length = this.memory.read32(at + 8);
      const flags = this.memory.read16(at + 12);
      if (flags & FLAG_INDIRECT) {
        if (!this.indirect || inside || flags & FLAG_NEXT) return this.fail('an indirect descriptor where none may be');
        if (length === 0 || length % DESCRIPTOR_BYTES) return this.fail(`an indirect table of ${length} bytes`);
        inside = true;
        table = gpa;
        entries = Math.min(length / DESCRIPTOR_BYTES, MAX_CHAIN);
        index = 0;
        seen = -1;
        continue;
      }
      if (flags & FLAG_WRITE) writable.push({ gpa, length });
      else if (writable.length) return this.fail('something to read behind something to write');
      else readable.push({ gpa, length });
      if (!(flags & FLAG_NEXT)) break;
      index = this.memory.read16(at + 14);
    }
    return { head, readable: new ScatterList(this.memory, readable), writable: new ScatterList(this.memory, writable) };
  }

  save(): { [key: string]: StateValue } {
    const { size, enabled, descriptors, driver, device, vector, eventIndex, indirect, taken, used, signalled } = this;
    return {
      size,
      enabled,
      descriptors,
      driver,
      device,
      vector,
      eventIndex,
      indirect,
      taken,
      used,
      signalled,
      broken: this.broken ?? null,
    };
  }

  restore(state: StateReader): void {
    const size = state.number('size', 1, QUEUE_SIZE);
    this.size = validQueueSize(size) ? size : QUEUE_SIZE;
    this.enabled = state.boolean('enabled');
    this.descriptors = state.number('descriptors', 0);
    this.driver = state.number('driver', 0);
    this.device = state.number('device', 0);
    this.vector = state.number('vector', 0, 0xffff);
    this.eventIndex = state.boolean('eventIndex');
    this.indirect = state.boolean('indirect');
    this.taken = state.number('taken', 0, 0xffff);
    this.used = state.number('used', 0, 0xffff);
    this.signalled = state.number('signalled', 0, 0xffff);
    this.broken = state.optionalString('broken');
  }

  private fail(reason: string): undefined {
    this.broken = reason;
    return undefined;
  }
}

export function validQueueSize(size: number): boolean {
  return size >= 1 && size <= QUEUE_SIZE && (size & (size - 1)) === 0;
}
