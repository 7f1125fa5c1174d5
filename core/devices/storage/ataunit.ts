import { BLOCK_OK, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { Logger } from '../../util/logger.ts';

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

/** Bytes of a unit's transfer buffer: 256 sectors, the most that LBA28 commands move. */
export const BUFFER_BYTES = 131_072;

/** How a unit asks the bus-master engine of its channel for data. */
export interface DmaEngine {
  /** The unit wants to move `bytes`; `start` is called with views on guest memory once the guest has started the engine. */
  request(toMemory: boolean, bytes: number, start: (views: Uint8Array[]) => void): void;
  /** The transfer ended; `written` bytes went into guest memory. */
  complete(written: number): void;
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
  protected readonly buffer = new Uint8Array(new SharedArrayBuffer(BUFFER_BYTES));
  /** Requests of an aborted command must not touch the present one. */
  protected generation = 0;
  private readonly onInterrupt: () => void;
  private pio: PioTransfer | undefined;

  constructor(options: AtaUnitOptions) {
    this.id = options.id;
    this.block = options.block;
    this.dma = options.dma;
    this.log = options.log;
    this.onInterrupt = options.onInterrupt;
  }

  /** Executes a command byte. The unit is selected and not busy. */
  abstract command(code: number): void;
  /** Puts the unit's signature into the registers, section 9.12. */
  abstract signature(): void;

  /** Hardware or software reset. */
  reset(): void {
    this.abandon();
    this.error = 1;
    this.features = 0;
    this.hob.features = this.hob.sectorCount = this.hob.lbaLow = this.hob.lbaMid = this.hob.lbaHigh = 0;
    this.setInterrupt(false);
    this.signature();
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
    [this.features, this.sectorCount, this.lbaLow, this.lbaMid, this.lbaHigh, this.device, this.status, this.error] = registers as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const [features, sectorCount, lbaLow, lbaMid, lbaHigh] = state.numbers('previous', 5) as [number, number, number, number, number];
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

  /** Wraps a completion so that one of an abandoned command is ignored. */
  protected guarded(then: (status: BlockStatus) => void): (status: BlockStatus) => void {
    const generation = this.generation;
    return (status) => {
      if (generation === this.generation) then(status);
    };
  }

  /** Drops whatever is under way. */
  protected abandon(): void {
    this.generation++;
    this.pio = undefined;
    this.dma.cancel();
  }

  protected static ok(status: BlockStatus): boolean {
    return status === BLOCK_OK;
  }

  private advance(pio: PioTransfer, size: number): void {
    pio.position += size;
    if (pio.position < pio.end) return;
    this.pio = undefined;
    this.status &= ~ST_DRQ;
    pio.done();
  }
}

/** Stores ASCII as ATA strings are: two characters a word, the first in the high byte, padded with blanks. */
export function ataString(words: Uint16Array, start: number, length: number, text: string): void {
  const padded = text.padEnd(length * 2).slice(0, length * 2);
  for (let i = 0; i < length; i++) words[start + i] = (padded.charCodeAt(i * 2) << 8) | padded.charCodeAt(i * 2 + 1);
}
