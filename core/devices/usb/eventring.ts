/** The interrupter and its event ring: xHCI 1.2, sections 4.9.4, 4.17 and 5.5.2. */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import * as R from './xhciregisters.ts';
import { CYCLE, TRB_BYTES, writeTrb } from './trb.ts';

/** 2^2 segments (HCSPARAMS2, ERST Max). */
export const SEGMENTS_EXPONENT = 2;
const MAX_SEGMENTS = 1 << SEGMENTS_EXPONENT;
const SEGMENT_TRBS = { min: 16, max: 4096 };
/** Events that wait for room; more are lost. Endpoints and commands stand still while any waits, so that a guest does not get here by chance. */
const MAX_WAITING = 65_536;

export interface UsbEvent {
  low: number;
  high: number;
  status: number;
  control: number;
}

interface Segment {
  at: number;
  trbs: number;
}

export interface EventRingOptions {
  memory: GuestMemory;
  /** An interrupt is due: EINT is set and, when interrupts are on, the guest is told. */
  raise(): void;
  /** What waited for room has found it. */
  onRoom(): void;
}

export class EventRing {
  /** IMAN. */
  management = 0;
  private moderation = R.MODERATION_RESET;
  private tableSize = 0;
  private tableLow = 0;
  private tableHigh = 0;
  private dequeueLow = 0;
  private dequeueHigh = 0;
  /** Where the next event goes. */
  private segment = 0;
  private index = 0;
  private cycle = 1;
  /** An interrupt waits until the guest is done with the last one. */
  private again = false;
  private waiting: UsbEvent[] = [];
  private segments: Segment[] | undefined;
  private readonly options: EventRingOptions;

  constructor(options: EventRingOptions) {
    this.options = options;
  }

  /** No event waits for room. */
  get hasRoom(): boolean {
    return this.waiting.length === 0;
  }

  reset(): void {
    this.management = 0;
    this.moderation = R.MODERATION_RESET;
    this.tableSize = this.tableLow = this.tableHigh = this.dequeueLow = this.dequeueHigh = 0;
    this.begin();
  }

  /** `quiet`: no interrupt for this one. */
  post(event: UsbEvent, quiet = false): void {
    if (this.waiting.length > 0 || !this.write(event)) {
      if (this.waiting.length < MAX_WAITING) this.waiting.push(event);
    }
    if (!quiet) this.interrupt();
  }

  read(offset: number): number {
    switch (offset) {
      case R.R_MANAGEMENT:
        return this.management;
      case R.R_MODERATION:
        return this.moderation;
      case R.R_TABLE_SIZE:
        return this.tableSize;
      case R.R_TABLE:
        return this.tableLow;
      case R.R_TABLE + 4:
        return this.tableHigh;
      case R.R_DEQUEUE:
        return this.dequeueLow;
      case R.R_DEQUEUE + 4:
        return this.dequeueHigh;
      default:
        return 0;
    }
  }

  write32(offset: number, value: number): void {
    switch (offset) {
      case R.R_MANAGEMENT:
        if (value & R.MANAGEMENT_PENDING) this.management &= ~R.MANAGEMENT_PENDING;
        this.management = (this.management & R.MANAGEMENT_PENDING) | (value & R.MANAGEMENT_ENABLE);
        break;
      case R.R_MODERATION:
        this.moderation = value;
        break;
      case R.R_TABLE_SIZE:
        this.tableSize = value & 0xffff;
        this.segments = undefined;
        break;
      case R.R_TABLE:
        this.tableLow = (value & ~0x3f) >>> 0;
        this.begin();
        break;
      case R.R_TABLE + 4:
        this.tableHigh = value;
        this.begin();
        break;
      case R.R_DEQUEUE:
        this.dequeueLow = ((value & ~R.DEQUEUE_BUSY) | (value & R.DEQUEUE_BUSY ? 0 : this.dequeueLow & R.DEQUEUE_BUSY)) >>> 0;
        this.guestMoved();
        break;
      case R.R_DEQUEUE + 4:
        this.dequeueHigh = value;
        this.guestMoved();
        break;
    }
  }

  save(): StateValue {
    const { management, moderation, tableSize, tableLow, tableHigh, dequeueLow, dequeueHigh, segment, index, cycle, again } = this;
    return {
      ...{ management, moderation, tableSize, tableLow, tableHigh, dequeueLow, dequeueHigh, segment, index, cycle, again },
      waiting: this.waiting.flatMap(({ low, high, status, control }) => [low, high, status, control]),
    };
  }

  restore(state: StateReader): void {
    this.management = state.number('management', 0, 3);
    this.tableSize = state.number('tableSize', 0, 0xffff);
    for (const name of ['moderation', 'tableLow', 'tableHigh', 'dequeueLow', 'dequeueHigh'] as const)
      this[name] = state.number(name, 0, 0xffffffff);
    this.segment = state.number('segment', 0, MAX_SEGMENTS - 1);
    this.index = state.number('index', 0, SEGMENT_TRBS.max - 1);
    this.cycle = state.number('cycle', 0, 1);
    this.again = state.boolean('again');
    const words = state.numbers('waiting', MAX_WAITING * 4);
    this.waiting = [];
    for (let i = 0; i + 3 < words.length; i += 4) {
      const [low, high, status, control] = words.slice(i, i + 4).map((word) => word >>> 0) as [number, number, number, number];
      this.waiting.push({ low, high, status, control });
    }
    this.segments = undefined;
  }

  /** The guest gave another ring. */
  private begin(): void {
    this.segment = this.index = 0;
    this.cycle = 1;
    this.again = false;
    this.waiting = [];
    this.segments = undefined;
  }

  private get dequeue(): number {
    return this.dequeueHigh * 2 ** 32 + this.dequeueLow - (this.dequeueLow & 0xf);
  }

  private guestMoved(): void {
    const waited = !this.hasRoom;
    let sent = 0;
    while (sent < this.waiting.length && this.write(this.waiting[sent]!)) sent++;
    if (sent > 0) this.waiting.splice(0, sent);
    if (!(this.dequeueLow & R.DEQUEUE_BUSY) && (this.again || sent > 0 || !this.hasRoom)) {
      this.again = false;
      if (this.place !== this.dequeue) this.interrupt();
    }
    if (waited && this.hasRoom) this.options.onRoom();
  }

  /** Interrupts the guest, or remembers to as long as it is at the last interrupt's events (event handler busy). */
  private interrupt(): void {
    if (this.dequeueLow & R.DEQUEUE_BUSY) {
      this.again = true;
      return;
    }
    this.dequeueLow = (this.dequeueLow | R.DEQUEUE_BUSY) >>> 0;
    this.management |= R.MANAGEMENT_PENDING;
    this.options.raise();
  }

  /** Address of the next event; undefined without a ring. */
  private get place(): number | undefined {
    const segment = this.table[this.segment];
    return segment && segment.at + this.index * TRB_BYTES;
  }

  private get table(): Segment[] {
    this.segments ??= this.readTable();
    return this.segments;
  }

  /** The segment table: {u64 base, u16 size, reserved}, section 6.5. One that can't be is no ring at all. */
  private readTable(): Segment[] {
    const { memory } = this.options;
    const table = this.tableHigh * 2 ** 32 + this.tableLow;
    const segments: Segment[] = [];
    for (let i = 0; i < Math.min(this.tableSize, MAX_SEGMENTS); i++) {
      const entry = table + i * TRB_BYTES;
      const low = memory.read32(entry);
      const trbs = memory.read32(entry + 8) & 0xffff;
      if (trbs < SEGMENT_TRBS.min || trbs > SEGMENT_TRBS.max) return [];
      segments.push({ at: memory.read32(entry + 4) * 2 ** 32 + low - (low & 0x3f), trbs });
    }
    return segments;
  }

  /** Puts an event into the ring; false when it is full. */
  private write(event: UsbEvent): boolean {
    const table = this.table;
    // A restored place behind a table that is another one now.
    if (this.segment >= table.length || this.index >= table[this.segment]!.trbs) this.segment = this.index = 0;
    const here = table[this.segment];
    if (!here) return true;
    const last = this.index + 1 >= here.trbs;
    const nextSegment = last ? (this.segment + 1) % table.length : this.segment;
    const nextIndex = last ? 0 : this.index + 1;
    // One place stays free, which tells a full ring from an empty one.
    if (table[nextSegment]!.at + nextIndex * TRB_BYTES === this.dequeue) return false;
    writeTrb(this.options.memory, {
      ...event,
      at: here.at + this.index * TRB_BYTES,
      control: ((event.control & ~CYCLE) | this.cycle) >>> 0,
    });
    if (last && nextSegment === 0) this.cycle ^= 1;
    this.segment = nextSegment;
    this.index = nextIndex;
    return true;
  }
}
