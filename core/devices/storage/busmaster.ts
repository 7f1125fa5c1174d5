import { ScatterList } from '../../bus/scatterlist.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import type { DmaEngine } from './ataunit.ts';
import { DmaTransfer } from './dmatransfer.ts';

/*
 * One channel of the bus-master IDE function. "Programming Interface for Bus Master IDE Controller" revision 1.0.
 *
 * +0 command  bit 0 start, bit 3 direction (1 = to memory)
 * +2 status   bit 0 active, 1 error (w1c), 2 interrupt (w1c), 5/6 drive DMA capable, 7 simplex
 * +4 descriptor table pointer
 * Physical region descriptor: u32 base, u16 byte count (0 = 64 KiB), u16 flags (bit 15 = last)
 */
const CMD_START = 0x01;
const CMD_TO_MEMORY = 0x08;
const ST_ACTIVE = 0x01;
const ST_ERROR = 0x02;
const ST_INTERRUPT = 0x04;
const ST_CAPABLE = 0x60;
const LAST = 0x8000;
/** A table never needs more: 64 KiB holds 8192 descriptors (the table must not cross a 64 KiB boundary). */
const MAX_DESCRIPTORS = 8192;

interface Request {
  toMemory: boolean;
  bytes: number;
  start: (transfer: DmaTransfer) => void;
}

export class BusMaster implements DmaEngine {
  private readonly memory: GuestMemory;
  private readonly log: Logger;
  private command = 0;
  private status = 0;
  private table = 0;
  private waiting: Request | undefined;
  private transfer: DmaTransfer | undefined;

  constructor(memory: GuestMemory, log: Logger) {
    this.memory = memory;
    this.log = log;
  }

  request(toMemory: boolean, bytes: number, start: (transfer: DmaTransfer) => void): void {
    this.waiting = { toMemory, bytes, start };
    this.go();
  }

  complete(): void {
    this.stop();
  }

  cancel(): void {
    this.waiting = undefined;
    this.command &= ~CMD_START;
    this.stop();
  }

  /** The drive raised INTRQ. */
  interrupted(): void {
    this.status |= ST_INTERRUPT;
  }

  reset(): void {
    this.cancel();
    this.command = 0;
    this.status = 0;
    this.table = 0;
  }

  read(offset: number, size: number): number {
    if (offset === 4 && size === 4) return this.table;
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (i * 8);
    return value >>> 0;
  }

  write(offset: number, value: number, size: number): void {
    if (offset === 4 && size === 4) this.table = (value & ~3) >>> 0;
    else for (let i = 0; i < size; i++) this.writeByte(offset + i, (value >>> (i * 8)) & 0xff);
  }

  save(): { [key: string]: StateValue } {
    return { command: this.command, status: this.status, table: this.table };
  }

  restore(state: StateReader): void {
    this.cancel();
    this.command = state.byte('command') & CMD_TO_MEMORY;
    this.status = state.byte('status') & ~ST_ACTIVE;
    this.table = state.number('table', 0, 0xffffffff);
  }

  private readByte(offset: number): number {
    if (offset === 0) return this.command;
    if (offset === 2) return this.status;
    return offset >= 4 ? (this.table >>> ((offset - 4) * 8)) & 0xff : 0;
  }

  private writeByte(offset: number, value: number): void {
    if (offset === 0) {
      const rising = (value & CMD_START) !== 0 && (this.command & CMD_START) === 0;
      this.command = value & (CMD_START | CMD_TO_MEMORY);
      if (rising) {
        this.status |= ST_ACTIVE;
        this.go();
      } else if (!(value & CMD_START)) this.stop();
    } else if (offset === 2) this.status = ((this.status & ~ST_CAPABLE) | (value & ST_CAPABLE)) & ~(value & (ST_ERROR | ST_INTERRUPT));
    else if (offset >= 4 && offset < 8) {
      const shift = (offset - 4) * 8;
      this.table = ((this.table & ~(0xff << shift)) | (value << shift)) >>> 0;
      this.table = (this.table & ~3) >>> 0;
    }
  }

  /** Starts once both the drive and the guest are ready. */
  private go(): void {
    const { waiting } = this;
    // After a transfer the engine rests until the guest starts it again, with a table for the next one.
    if (!waiting || !(this.status & ST_ACTIVE)) return;
    this.waiting = undefined;
    if (((this.command & CMD_TO_MEMORY) !== 0) !== waiting.toMemory) this.log.guest('bus master started in the wrong direction');
    const ranges: { gpa: number; length: number }[] = [];
    let left = waiting.bytes;
    for (let index = 0; index < MAX_DESCRIPTORS && left > 0; index++) {
      const at = this.table + index * 8;
      const gpa = (this.memory.read32(at) & ~1) >>> 0;
      const word = this.memory.read32(at + 4);
      const length = Math.min(left, word & 0xfffe || 0x10000);
      ranges.push({ gpa, length });
      left -= length;
      if ((word >>> 16) & LAST) break;
    }
    // A table shorter than the command: hardware leaves the transfer hanging; what is described is moved and the rest reported.
    if (left > 0) this.status |= ST_ERROR;
    this.transfer = new DmaTransfer(this.memory, new ScatterList(this.memory, ranges), waiting.bytes);
    waiting.start(this.transfer);
  }

  private stop(): void {
    if (this.transfer) this.transfer.live = false;
    this.transfer = undefined;
    this.status &= ~ST_ACTIVE;
  }
}
