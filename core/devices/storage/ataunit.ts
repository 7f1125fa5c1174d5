import { BLOCK_OK, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { Logger } from '../../util/logger.ts';
import type { DmaTransfer } from './dmatransfer.ts';

/** Status register, ATA/ATAPI-6 section 7.15. */
export const ST_BSY = 0x80;
export const ST_DRDY = 0x40;
export const ST_DF = 0x20;
export const ST_DSC = 0x10;
export const ST_DRQ = 0x08;
export const ST_ERR = 0x01;
/** Error register, section 7.9. */
export const ERR_UNC = 0x40;
export const ERR_IDNF = 0x10;
export const ERR_ABRT = 0x04;
/** Device register, section 7.7. */
export const DEV_LBA = 0x40;
export const DEV_SELECT = 0x10;

/** Bytes of a unit's transfer buffer. A longer command goes through it piece by piece. A multiple of every block size there is. */
export const BUFFER_BYTES = 524_288;

/** How a unit asks the bus-master engine of its channel for data. */
export interface DmaEngine {
  /** The unit wants to move `bytes`; `start` is called once the guest has started the engine. */
  request(toMemory: boolean, bytes: number, start: (transfer: DmaTransfer) => void): void;
  /** The transfer ended. */
  complete(): void;
  cancel(): void;
}

export interface AtaUnitOptions {
  id: string;
  block: BlockDevice;
  dma: DmaEngine;
  /** INTRQ of this unit may have changed. */
  onInterrupt(): void;
  log: Logger;
}

/** What the data register does at the moment. */
interface PioTransfer {
  toHost: boolean;
  position: number;
  end: number;
  /** Called when the host has moved everything up to `end`. */
  done(): void;
}

/**
 * One drive on an ATA channel: its command block registers, its interrupt request and the data register's state. Disks and CD-ROM drives
 * extend it. ATA/ATAPI-6 (T13/1410D) chapters 7 and 9.
 */
export abstract class AtaUnit {
  readonly id: string;
  /** Command block as written; the LBA48 previous contents are in `hob`. */
  features = 0;
  sectorCount = 0;
  lbaLow = 0;
  lbaMid = 0;
  lbaHigh = 0;
  device = 0;
  readonly hob = { features: 0, sectorCount: 0, lbaLow: 0, lbaMid: 0, lbaHigh: 0 };
  status = 0;
  error = 0;
  /** INTRQ before nIEN. */
  interrupt = false;
  protected readonly block: BlockDevice;
  protected readonly dma: DmaEngine;
  protected readonly log: Logger;
  protected buffer = createBuffer();
  /** Answers to requests of an abandoned command must not touch the present one. */
  private generation = 0;
  /** The disk owes an answer, and may read or fill the buffer until then. */
  private waiting = false;
  private readonly onInterrupt: () => void;
  private pio: PioTransfer | undefined;

  constructor(options: AtaUnitOptions) {
    this.id = options.id;
    this.block = options.block;
    this.dma = options.dma;
    this.log = options.log;
    this.onInterrupt = options.onInterrupt;
  }

  /** A packet device obeys DEVICE RESET even while it is busy (section 8.7). */
  readonly packet: boolean = false;
  /** Executes a command byte. The unit is selected and not busy. */
  abstract command(code: number): void;
  /** Puts the unit's signature into the registers, section 9.12. */
  abstract signature(): void;

  /** Software reset, or the first half of a hardware reset. Settings that commands made stay (section 9.2 lets them). */
  reset(): void {
    this.abandon();
    this.error = 1;
    this.features = 0;
    this.hob.features = this.hob.sectorCount = this.hob.lbaLow = this.hob.lbaMid = this.hob.lbaHigh = 0;
    this.setInterrupt(false);
    this.signature();
  }

  /** Reset line or power: what commands set goes too. */
  hardReset(): void {
    this.reset();
  }

  /** Software reset is being held: whatever was under way is dropped. */
  holdReset(): void {
    this.abandon();
    this.status = ST_BSY;
  }

  /** Data register, 2 or 4 bytes at a time. */
  readData(size: number): number {
    const pio = this.pio;
    if (!pio?.toHost) return 0;
    let value = 0;
    for (let i = 0; i < size; i++) value |= (pio.position + i < pio.end ? this.buffer[pio.position + i]! : 0) << (i * 8);
    this.advance(pio, size);
    return value >>> 0;
  }

  writeData(value: number, size: number): void {
    const pio = this.pio;
    if (!pio || pio.toHost) return;
    for (let i = 0; i < size && pio.position + i < pio.end; i++) this.buffer[pio.position + i] = value >>> (i * 8);
    this.advance(pio, size);
  }

  /** As many reads of the data register as do not end the block, `size` bytes each: their number. */
  readMany(size: number, into: Uint8Array): number {
    const { pio } = this;
    if (!pio?.toHost) return 0;
    const count = elementsBeforeLast(pio, size, into.length);
    into.set(this.buffer.subarray(pio.position, pio.position + count * size));
    pio.position += count * size;
    return count;
  }

  writeMany(size: number, from: Uint8Array): number {
    const { pio } = this;
    if (!pio || pio.toHost) return 0;
    const count = elementsBeforeLast(pio, size, from.length);
    this.buffer.set(from.subarray(0, count * size), pio.position);
    pio.position += count * size;
    return count;
  }

  /** For controllers that move whole blocks: the part of the buffer that the data register gives or wants now. `moved` says that all of it was moved. */
  get offered(): { toHost: boolean; data: Uint8Array } | undefined {
    const { pio } = this;
    return pio && { toHost: pio.toHost, data: this.buffer.subarray(pio.position, pio.end) };
  }

  moved(): void {
    const { pio } = this;
    if (pio) this.advance(pio, pio.end - pio.position);
  }

  setInterrupt(level: boolean): void {
    this.interrupt = level;
    this.onInterrupt();
  }

  saveUnit(): { [key: string]: StateValue } {
    return {
      registers: [this.features, this.sectorCount, this.lbaLow, this.lbaMid, this.lbaHigh, this.device, this.status, this.error],
      previous: [this.hob.features, this.hob.sectorCount, this.hob.lbaLow, this.hob.lbaMid, this.hob.lbaHigh],
      interrupt: this.interrupt,
    };
  }

  /** A command that was under way when the state was saved is given up with an error: the guest's driver repeats it. */
  restoreUnit(state: StateReader): void {
    const registers = state.numbers('registers', 8);
    const register = (index: number) => (registers[index] ?? 0) & 0xff;
    this.features = register(0);
    this.sectorCount = register(1);
    this.lbaLow = register(2);
    this.lbaMid = register(3);
    this.lbaHigh = register(4);
    this.device = register(5);
    this.status = register(6);
    this.error = register(7);
    const previous = state.numbers('previous', 5).map((value) => value & 0xff);
    const [features = 0, sectorCount = 0, lbaLow = 0, lbaMid = 0, lbaHigh = 0] = previous;
    Object.assign(this.hob, { features, sectorCount, lbaLow, lbaMid, lbaHigh });
    this.abandon();
    const busy = (this.status & (ST_BSY | ST_DRQ)) !== 0;
    if (busy) {
      this.status = ST_DRDY | ST_DSC | ST_ERR;
      this.error = ERR_ABRT;
    }
    this.setInterrupt(state.boolean('interrupt') || busy);
  }

  /** The command is over and went well. */
  protected succeed(): void {
    this.pio = undefined;
    this.status = ST_DRDY | ST_DSC;
    this.error = 0;
    this.setInterrupt(true);
  }

  protected fail(error: number): void {
    this.pio = undefined;
    this.status = ST_DRDY | ST_DSC | ST_ERR;
    this.error = error;
    this.setInterrupt(true);
  }

  protected busy(): void {
    this.pio = undefined;
    this.status = ST_BSY | ST_DSC;
    this.error = 0;
  }

  /** Offers buffer bytes `start`..`end` to the host, or takes them from it. */
  protected startPio(toHost: boolean, start: number, end: number, interrupt: boolean, done: () => void): void {
    this.pio = { toHost, position: start, end, done };
    this.status = ST_DRDY | ST_DSC | ST_DRQ;
    if (interrupt) this.setInterrupt(true);
  }

  /** Fills the first `bytes` of the buffer from byte `offset` of the medium. */
  protected readMedium(offset: number, bytes: number, then: (status: BlockStatus) => void): void {
    this.block.read(offset, [this.buffer.subarray(0, bytes)], this.answer(then));
  }

  /** Puts the first `bytes` of the buffer on the medium. */
  protected writeMedium(offset: number, bytes: number, then: (status: BlockStatus) => void, durable = false): void {
    this.block.write(offset, [this.buffer.subarray(0, bytes)], this.answer(then), durable);
  }

  protected discardMedium(offset: number, bytes: number, then: (status: BlockStatus) => void): void {
    this.block.discard(offset, bytes, this.answer(then));
  }

  protected flushMedium(then: (status: BlockStatus) => void): void {
    this.block.flush(this.answer(then));
  }

  /** Moves all `bytes` of the command at once where the disk can do that without a wait. */
  protected moveNow(toMemory: boolean, transfer: DmaTransfer, offset: number, bytes: number): boolean {
    const { block } = this;
    return block.moveNow !== undefined && transfer.direct(toMemory, bytes, (runs) => block.moveNow!(!toMemory, offset, runs));
  }

  /** Asks for the bus-master engine; an abandoned command never gets it. */
  protected requestDma(toMemory: boolean, bytes: number, start: (transfer: DmaTransfer) => void): void {
    const generation = this.generation;
    this.dma.request(toMemory, bytes, (transfer) => {
      if (generation === this.generation) start(transfer);
    });
  }

  /** Drops whatever is under way. */
  protected abandon(): void {
    this.generation++;
    this.pio = undefined;
    this.dma.cancel();
    if (!this.waiting) return;
    // The disk may still read or fill the old buffer: the next command gets another one.
    this.waiting = false;
    this.buffer = createBuffer();
  }

  protected static ok(status: BlockStatus): boolean {
    return status === BLOCK_OK;
  }

  private answer(then: (status: BlockStatus) => void): (status: BlockStatus) => void {
    const generation = this.generation;
    this.waiting = true;
    return (status) => {
      if (generation !== this.generation) return;
      this.waiting = false;
      then(status);
    };
  }

  private advance(pio: PioTransfer, size: number): void {
    pio.position += size;
    if (pio.position < pio.end) return;
    this.pio = undefined;
    this.status &= ~ST_DRQ;
    pio.done();
  }
}

/** Accesses of `size` bytes that `room` bytes have room for and that leave something for another one. */
function elementsBeforeLast(pio: PioTransfer, size: number, room: number): number {
  return Math.floor(Math.min(room, pio.end - pio.position - 1) / size);
}

function createBuffer(): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(BUFFER_BYTES));
}

/** Stores ASCII as ATA strings are: two characters a word, the first in the high byte, padded with blanks. */
export function ataString(words: Uint16Array, start: number, length: number, text: string): void {
  const padded = text.padEnd(length * 2).slice(0, length * 2);
  for (let i = 0; i < length; i++) words[start + i] = (padded.charCodeAt(i * 2) << 8) | padded.charCodeAt(i * 2 + 1);
}
