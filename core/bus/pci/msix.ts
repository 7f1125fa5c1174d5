/**
 * MSI-X, PCI Local Bus Specification 3.0 section 6.8.2: a table of messages in memory, each with a mask, and a pending bit each.
 *
 * Capability: +0 id 11h  +1 next  +2 control (bits 10..0 table size - 1, 14 function mask, 15 enable)  +4 table BAR and offset  +8 pending bits likewise
 * Table entry: u32 address, u32 upper address, u32 data, u32 vector control (bit 0 mask)
 */
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { MessageSink } from './msi.ts';
import type { PciDevice } from './pcidevice.ts';

export const CAPABILITY_MSIX = 0x11;
export const MSIX_CAPABILITY_BYTES = 12;
/** The window with both tables, bytes. Entries from 0, pending bits in its second half. */
export const MSIX_WINDOW_BYTES = 0x1000;
const PENDING_AT = 0x800;
const CONTROL = 2;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;
const ENTRY_WORDS = 4;
const VECTOR_CONTROL = 3;
const MASKED = 1;

export interface MsixParts {
  device: PciDevice;
  config: Uint8Array;
  writeMask: Uint8Array;
  /** Where the capability begins. */
  at: number;
  /** BAR with the window. */
  bar: number;
  /** 1..64. */
  vectors: number;
  sink: MessageSink;
}

export class Msix {
  readonly vectors: number;
  private readonly device: PciDevice;
  private readonly at: number;
  private readonly sink: MessageSink;
  private readonly table: Uint32Array;
  private readonly pending: Uint8Array;

  constructor({ device, config, writeMask, at, bar, vectors, sink }: MsixParts) {
    this.device = device;
    this.at = at;
    this.sink = sink;
    this.vectors = vectors;
    this.table = new Uint32Array(vectors * ENTRY_WORDS);
    this.pending = new Uint8Array(vectors);
    const view = new DataView(config.buffer, config.byteOffset + at);
    view.setUint16(CONTROL, vectors - 1, true);
    view.setUint32(4, bar, true);
    view.setUint32(8, PENDING_AT | bar, true);
    writeMask[at + CONTROL + 1] = (ENABLE | FUNCTION_MASK) >> 8;
    this.reset();
  }

  get enabled(): boolean {
    return (this.control & ENABLE) !== 0;
  }

  /** Sends the message of `vector`, or remembers it while it is masked. A vector that does not exist is nobody's. */
  send(vector: number): void {
    if (vector >= this.vectors || !this.enabled) return;
    if (this.masked(vector)) {
      this.pending[vector] = 1;
      return;
    }
    this.pending[vector] = 0;
    const [low = 0, high = 0, data = 0] = this.table.subarray(vector * ENTRY_WORDS);
    this.sink(low + high * 2 ** 32, data);
  }

  /** The control register may have changed: what waited may go now. */
  configWritten(): void {
    for (let vector = 0; vector < this.vectors; vector++) if (this.pending[vector]) this.send(vector);
  }

  read(offset: number, size: number): number {
    const word = this.word(offset & ~3);
    return size === 4 ? word : (word >>> ((offset & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
  }

  /** Whole words only (section 6.8.2): others have no defined effect. */
  write(offset: number, value: number, size: number): void {
    const index = offset >> 2;
    if (size !== 4 || offset & 3 || index >= this.table.length) return;
    const place = index % ENTRY_WORDS;
    this.table[index] = place === 0 ? value & ~3 : place === VECTOR_CONTROL ? value & MASKED : value;
    const vector = Math.floor(index / ENTRY_WORDS);
    if (this.pending[vector]) this.send(vector);
  }

  reset(): void {
    this.table.fill(0);
    this.pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) this.table[vector * ENTRY_WORDS + VECTOR_CONTROL] = MASKED;
  }

  save(): { [key: string]: StateValue } {
    return { table: [...this.table], pending: [...this.pending] };
  }

  restore(state: StateReader): void {
    this.reset();
    this.table.set(state.numbers('table', this.table.length).map((word) => word >>> 0));
    this.pending.set(state.numbers('pending', this.vectors).map((bit) => bit & 1));
  }

  private get control(): number {
    return this.device.readConfig(this.at + CONTROL, 2);
  }

  private masked(vector: number): boolean {
    return (this.control & FUNCTION_MASK) !== 0 || (this.table[vector * ENTRY_WORDS + VECTOR_CONTROL]! & MASKED) !== 0;
  }

  private word(offset: number): number {
    if (offset < this.table.length * 4) return this.table[offset >> 2]!;
    if (offset < PENDING_AT || offset >= PENDING_AT + 8) return 0;
    let bits = 0;
    const first = (offset - PENDING_AT) * 8;
    for (let bit = 0; bit < 32; bit++) if (this.pending[first + bit]) bits |= 1 << bit;
    return bits >>> 0;
  }
}
