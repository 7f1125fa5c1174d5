import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { AtaUnit, type AtaUnitOptions, BUFFER_BYTES, DEV_LBA, ERR_ABRT, ERR_IDNF, ERR_UNC, ST_DRDY, ST_DSC } from './ataunit.ts';
import type { DmaTransfer } from './dmatransfer.ts';
import { HEADS, identifyDisk, LBA28_SECTORS, MAX_MULTIPLE, MAX_TRIM_BLOCKS, SECTORS_PER_TRACK } from './ataidentify.ts';

/** Logical sector, bytes. */
const SECTOR = 512;
/** DATA SET MANAGEMENT: what it is to do. */
const DSM_TRIM = 0x01;
/** Pages of READ LOG EXT. */
const LOG_DIRECTORY = 0x00;
const LOG_QUEUED_ERROR = 0x10;
const NOT_QUEUED = 0x80;
/** Ultra DMA mode 5. */
const POWER_ON_MODE = 0x45;

/** How a data command moves its sectors. */
type Way = 'pio' | 'multiple' | 'dma';

interface DataCommand {
  write: boolean;
  way: Way;
  extended: boolean;
  /** On stable storage before the command ends, whatever the write cache is set to. */
  durable?: true;
}

/** Command codes of data transfers, ATA/ATAPI-6 section 8 and table 21. */
const dataCommands = new Map<number, DataCommand>([
  [0x20, { write: false, way: 'pio', extended: false }],
  [0x21, { write: false, way: 'pio', extended: false }],
  [0x24, { write: false, way: 'pio', extended: true }],
  [0x25, { write: false, way: 'dma', extended: true }],
  [0x29, { write: false, way: 'multiple', extended: true }],
  [0x30, { write: true, way: 'pio', extended: false }],
  [0x31, { write: true, way: 'pio', extended: false }],
  [0x34, { write: true, way: 'pio', extended: true }],
  [0x35, { write: true, way: 'dma', extended: true }],
  [0x39, { write: true, way: 'multiple', extended: true }],
  [0x3d, { write: true, way: 'dma', extended: true, durable: true }],
  [0xc4, { write: false, way: 'multiple', extended: false }],
  [0xc5, { write: true, way: 'multiple', extended: false }],
  [0xc8, { write: false, way: 'dma', extended: false }],
  [0xc9, { write: false, way: 'dma', extended: false }],
  [0xca, { write: true, way: 'dma', extended: false }],
  [0xcb, { write: true, way: 'dma', extended: false }],
]);

export interface AtaDiskOptions extends AtaUnitOptions {
  /** At most 20 characters. */
  serial: string;
  /** False: no write cache until the guest turns one on. */
  writeCache?: boolean;
  /** Serial ATA, with native command queuing by its controller. */
  sata?: boolean;
}

/** What the controller found wrong with a queued command, for READ LOG EXT page 10h (ACS-3 section A.14, "NCQ Command Error log"). */
export interface QueuedError {
  tag: number;
  status: number;
  error: number;
  lba: number;
}

/** A hard disk, ATA/ATAPI-6: CHS, LBA28 and LBA48 addressing, PIO, MULTIPLE and DMA transfers, write cache with FLUSH CACHE. */
export class AtaDisk extends AtaUnit {
  /** The last queued command that failed. */
  queuedError: QueuedError | undefined;
  private readonly serial: string;
  private readonly sata: boolean;
  private readonly cacheAtStart: boolean;
  /** Sectors a MULTIPLE block has; 0 = not set. */
  private multiple = MAX_MULTIPLE;
  /** Geometry of INITIALIZE DEVICE PARAMETERS. */
  private heads = HEADS;
  private sectorsPerTrack = SECTORS_PER_TRACK;
  /** Selected transfer mode as SET FEATURES gave it. */
  private transferMode = POWER_ON_MODE;
  /** Without it a write is on stable storage before the command ends. */
  private writeCache: boolean;

  constructor(options: AtaDiskOptions) {
    super(options);
    this.serial = options.serial;
    this.sata = options.sata ?? false;
    this.cacheAtStart = this.writeCache = options.writeCache ?? true;
  }

  override hardReset(): void {
    super.hardReset();
    this.multiple = MAX_MULTIPLE;
    this.heads = HEADS;
    this.sectorsPerTrack = SECTORS_PER_TRACK;
    this.transferMode = POWER_ON_MODE;
    this.writeCache = this.cacheAtStart;
    this.queuedError = undefined;
  }

  signature(): void {
    this.sectorCount = 1;
    this.lbaLow = 1;
    this.lbaMid = 0;
    this.lbaHigh = 0;
    this.device = 0;
    this.status = ST_DRDY | ST_DSC;
  }

  command(code: number): void {
    const data = dataCommands.get(code);
    if (data) this.transfer(data);
    else if ((code & 0xf0) === 0x10) this.succeed();
    else this.control(code);
  }

  override saveUnit(): { [key: string]: StateValue } {
    return {
      ...super.saveUnit(),
      multiple: this.multiple,
      heads: this.heads,
      sectorsPerTrack: this.sectorsPerTrack,
      transferMode: this.transferMode,
      writeCache: this.writeCache,
    };
  }

  override restoreUnit(state: StateReader): void {
    super.restoreUnit(state);
    const multiple = state.byte('multiple');
    this.multiple = validMultiple(multiple) ? multiple : MAX_MULTIPLE;
    this.heads = state.number('heads', 1, 16);
    this.sectorsPerTrack = state.number('sectorsPerTrack', 1, 255);
    this.transferMode = state.byte('transferMode');
    this.writeCache = state.boolean('writeCache');
  }

  /** True when writes wait for stable storage. */
  get writeThrough(): boolean {
    return !this.writeCache;
  }

  get sectors(): number {
    return Math.floor((this.block.info?.sizeBytes ?? 0) / SECTOR);
  }

  private control(code: number): void {
    switch (code) {
      case 0xec: // IDENTIFY DEVICE
        this.identify();
        this.startPio(true, 0, 512, true, () => this.idle());
        break;
      case 0x40: // READ VERIFY SECTORS
      case 0x41:
      case 0x42: {
        const range = this.range(code === 0x42);
        if (range) this.succeed();
        else this.fail(ERR_IDNF);
        break;
      }
      case 0x70: // SEEK
        this.succeed();
        break;
      case 0x91: // INITIALIZE DEVICE PARAMETERS
        if (this.sectorCount === 0) this.fail(ERR_ABRT);
        else {
          this.heads = (this.device & 0x0f) + 1;
          this.sectorsPerTrack = this.sectorCount;
          this.succeed();
        }
        break;
      case 0xc6: // SET MULTIPLE MODE
        if (!validMultiple(this.sectorCount)) this.fail(ERR_ABRT);
        else {
          this.multiple = this.sectorCount;
          this.succeed();
        }
        break;
      case 0x06: // DATA SET MANAGEMENT
        this.dataSetManagement();
        break;
      case 0x2f: // READ LOG EXT
        this.readLog();
        break;
      case 0xe7: // FLUSH CACHE
      case 0xea: // FLUSH CACHE EXT
        this.flush();
        break;
      case 0xef:
        this.setFeatures();
        break;
      case 0xf8: // READ NATIVE MAX ADDRESS
        this.putLba(Math.min(this.sectors, LBA28_SECTORS) - 1, false);
        this.succeed();
        break;
      case 0x27: // READ NATIVE MAX ADDRESS EXT
        this.putLba(this.sectors - 1, true);
        this.succeed();
        break;
      case 0xe5: // CHECK POWER MODE: active
      case 0x98:
        this.sectorCount = 0xff;
        this.succeed();
        break;
      // STANDBY and IDLE (IMMEDIATE), SLEEP, with their old codes.
      case 0xe0:
      case 0xe1:
      case 0xe2:
      case 0xe3:
      case 0xe6:
      case 0x94:
      case 0x95:
      case 0x96:
      case 0x97:
      case 0x99:
        this.succeed();
        break;
      default:
        this.fail(ERR_ABRT);
    }
  }

  private idle(): void {
    this.status = ST_DRDY | ST_DSC;
  }

  /** Section 8.46. */
  private setFeatures(): void {
    switch (this.features) {
      case 0x03: {
        const mode = this.sectorCount;
        const pio = mode <= 0x0c && (mode <= 1 || mode >= 0x08);
        const multiword = mode >= 0x20 && mode <= 0x22;
        const ultra = mode >= 0x40 && mode <= 0x45;
        if (!pio && !multiword && !ultra) this.fail(ERR_ABRT);
        else {
          if (!pio) this.transferMode = mode;
          this.succeed();
        }
        break;
      }
      case 0x02:
        this.writeCache = true;
        this.succeed();
        break;
      case 0x82:
        // What the cache holds is written first.
        this.writeCache = false;
        this.flush();
        break;
      // Read look-ahead on/off, power-on defaults on/off, advanced power management and acoustic settings.
      case 0xaa:
      case 0x55:
      case 0x66:
      case 0xcc:
      case 0x05:
      case 0x85:
      case 0x42:
      case 0xc2:
        this.succeed();
        break;
      default:
        this.fail(ERR_ABRT);
    }
  }

  /** First sector and count from the registers, or undefined when the range is not on the disk. */
  private range(extended: boolean): { start: number; count: number } | undefined {
    let start: number;
    let count: number;
    if (extended) {
      count = (this.hob.sectorCount << 8) | this.sectorCount || 65_536;
      start =
        this.lbaLow +
        this.lbaMid * 2 ** 8 +
        this.lbaHigh * 2 ** 16 +
        this.hob.lbaLow * 2 ** 24 +
        this.hob.lbaMid * 2 ** 32 +
        this.hob.lbaHigh * 2 ** 40;
    } else {
      count = this.sectorCount || 256;
      if (this.device & DEV_LBA) start = this.lbaLow + this.lbaMid * 2 ** 8 + this.lbaHigh * 2 ** 16 + (this.device & 0x0f) * 2 ** 24;
      else {
        const cylinder = this.lbaMid | (this.lbaHigh << 8);
        const head = this.device & 0x0f;
        if (this.lbaLow === 0 || this.lbaLow > this.sectorsPerTrack || head >= this.heads) return undefined;
        start = (cylinder * this.heads + head) * this.sectorsPerTrack + this.lbaLow - 1;
      }
    }
    return start + count <= this.sectors ? { start, count } : undefined;
  }

  private putLba(lba: number, extended: boolean): void {
    this.lbaLow = lba % 0x100;
    this.lbaMid = Math.floor(lba / 2 ** 8) % 0x100;
    this.lbaHigh = Math.floor(lba / 2 ** 16) % 0x100;
    const top = Math.floor(lba / 2 ** 24);
    if (!extended) this.device = (this.device & 0xf0) | DEV_LBA | (top & 0x0f);
    else {
      this.hob.lbaLow = top % 0x100;
      this.hob.lbaMid = Math.floor(top / 2 ** 8) % 0x100;
      this.hob.lbaHigh = Math.floor(top / 2 ** 16) % 0x100;
    }
  }

  /** ACS-2 section 7.10: ranges that the guest does not need any more, 8 bytes each (48 bits sector, 16 bits count). */
  private dataSetManagement(): void {
    const blocks = (this.hob.sectorCount << 8) | this.sectorCount;
    if ((this.features & 0xff) !== DSM_TRIM || blocks === 0 || blocks > MAX_TRIM_BLOCKS || this.block.info?.readOnly) {
      this.fail(ERR_ABRT);
      return;
    }
    this.busy();
    this.requestDma(false, blocks * SECTOR, (transfer) => {
      const bytes = Math.min(transfer.bytes, blocks * SECTOR);
      const list = new Uint8Array(bytes);
      transfer.take(list);
      this.dma.complete();
      this.trim(new DataView(list.buffer), 0);
    });
  }

  private trim(list: DataView, at: number): void {
    if (at + 8 > list.byteLength) {
      this.succeed();
      return;
    }
    const start = list.getUint32(at, true) + list.getUint16(at + 4, true) * 2 ** 32;
    const count = list.getUint16(at + 6, true);
    if (count === 0) this.trim(list, nextRange(list, at));
    else if (start + count > this.sectors) this.fail(ERR_ABRT | ERR_IDNF);
    else
      this.discardMedium(start * SECTOR, count * SECTOR, (status) =>
        AtaUnit.ok(status) ? this.trim(list, nextRange(list, at + 8)) : this.fail(ERR_ABRT),
      );
  }

  /** ACS-2 section 7.24: the directory, and what went wrong with a queued command. */
  private readLog(): void {
    const page = this.lbaLow;
    const count = (this.hob.sectorCount << 8) | this.sectorCount;
    if (!this.sata || count !== 1 || (page !== LOG_DIRECTORY && page !== LOG_QUEUED_ERROR)) {
      this.fail(ERR_ABRT);
      return;
    }
    const log = new Uint8Array(SECTOR);
    if (page === LOG_DIRECTORY) {
      log[0] = 1; // version
      log[LOG_QUEUED_ERROR * 2] = 1; // pages
    } else {
      const { queuedError } = this;
      log[0] = queuedError ? queuedError.tag : NOT_QUEUED;
      if (queuedError) {
        log[2] = queuedError.status;
        log[3] = queuedError.error;
        for (let i = 0; i < 6; i++) log[i < 3 ? 4 + i : 5 + i] = Math.floor(queuedError.lba / 2 ** (8 * i)) & 0xff;
        log[7] = DEV_LBA;
      }
      log[SECTOR - 1] = -log.reduce((sum, byte) => sum + byte, 0) & 0xff;
    }
    this.buffer.set(log);
    this.startPio(true, 0, SECTOR, true, () => this.idle());
  }

  private transfer({ write, way, extended, durable }: DataCommand): void {
    const range = this.range(extended);
    if (way === 'multiple' && this.multiple === 0) this.fail(ERR_ABRT);
    else if (!range) this.fail(ERR_IDNF);
    else if (write && this.block.info?.readOnly) this.fail(ERR_ABRT);
    else if (way === 'dma') this.transferDma(write, range.start * SECTOR, range.count * SECTOR, durable ?? false);
    else {
      const block = (way === 'multiple' ? this.multiple : 1) * SECTOR;
      if (write) this.writePio(range.start * SECTOR, range.count * SECTOR, block, true);
      else this.readPio(range.start * SECTOR, range.count * SECTOR, block);
    }
  }

  private transferDma(write: boolean, offset: number, bytes: number, durable: boolean): void {
    this.busy();
    this.requestDma(!write, bytes, (transfer) => {
      // A table that ends within a sector moves the sectors before it.
      const whole = transfer.bytes - (transfer.bytes % SECTOR);
      const direct = whole > 0 && !(write && (durable || !this.writeCache));
      if (direct && this.moveNow(!write, transfer, offset, whole)) this.dmaOver(transfer, 0);
      else if (write) this.writeDma(transfer, offset, whole, durable);
      else this.readDma(transfer, offset, whole);
    });
  }

  private readDma(transfer: DmaTransfer, offset: number, bytes: number): void {
    const size = Math.min(bytes, BUFFER_BYTES);
    if (this.dmaOver(transfer, bytes)) return;
    this.readMedium(offset, size, (status) => {
      if (!AtaUnit.ok(status)) {
        this.dma.complete();
        this.fail(ERR_UNC);
        return;
      }
      transfer.put(this.buffer.subarray(0, size));
      this.readDma(transfer, offset + size, bytes - size);
    });
  }

  private writeDma(transfer: DmaTransfer, offset: number, bytes: number, durable: boolean): void {
    const size = Math.min(bytes, BUFFER_BYTES);
    if (this.dmaOver(transfer, bytes)) return;
    transfer.take(this.buffer.subarray(0, size));
    this.writeMedium(offset, size, (status) => {
      if (!AtaUnit.ok(status)) {
        this.dma.complete();
        this.fail(ERR_ABRT);
      } else if (bytes > size) this.writeDma(transfer, offset + size, bytes - size, durable);
      else {
        this.dma.complete();
        this.written(durable);
      }
    });
  }

  /** Ends the command when nothing is left to move, or the guest stopped the engine. */
  private dmaOver(transfer: DmaTransfer, left: number): boolean {
    if (transfer.live && left > 0) return false;
    const stopped = !transfer.live;
    this.dma.complete();
    if (stopped) this.fail(ERR_ABRT);
    else this.succeed();
    return true;
  }

  private flush(): void {
    this.busy();
    this.flushMedium((status) => (AtaUnit.ok(status) ? this.succeed() : this.fail(ERR_ABRT)));
  }

  /** All sectors of a write command are with the host. */
  private written(durable = false): void {
    if (this.writeCache && !durable) this.succeed();
    else this.flush();
  }

  /** Reads a buffer full, then hands it out block by block with an interrupt each. */
  private readPio(offset: number, bytes: number, block: number): void {
    this.busy();
    const chunk = Math.min(bytes, BUFFER_BYTES);
    const deliver = (at: number) => {
      if (at < chunk) this.startPio(true, at, Math.min(at + block, chunk), true, () => deliver(at + block));
      else if (bytes > chunk) this.readPio(offset + chunk, bytes - chunk, block);
      else this.idle();
    };
    this.readMedium(offset, chunk, (status) => (AtaUnit.ok(status) ? deliver(0) : this.fail(ERR_UNC)));
  }

  /** Takes blocks from the host until the buffer is full, then writes it. No interrupt before the first block (section 9.7). */
  private writePio(offset: number, bytes: number, block: number, first: boolean): void {
    const chunk = Math.min(bytes, BUFFER_BYTES);
    const accept = (at: number) => {
      if (at < chunk) {
        this.startPio(false, at, Math.min(at + block, chunk), !(first && at === 0), () => accept(at + block));
        return;
      }
      this.busy();
      this.writeMedium(offset, chunk, (status) => {
        if (!AtaUnit.ok(status)) this.fail(ERR_ABRT);
        else if (bytes > chunk) this.writePio(offset + chunk, bytes - chunk, block, false);
        else this.written();
      });
    };
    accept(0);
  }

  private identify(): void {
    const { sectors, serial, heads, sectorsPerTrack, multiple, transferMode, writeCache, sata } = this;
    const shape = { sectors, serial, heads, sectorsPerTrack, multiple, transferMode, writeCache, sata };
    this.buffer.set(new Uint8Array(identifyDisk(shape).buffer));
  }
}

/** Where the next range that names sectors is, or the end of the list. */
function nextRange(list: DataView, from: number): number {
  let at = from;
  while (at + 8 <= list.byteLength && list.getUint16(at + 6, true) === 0) at += 8;
  return at;
}

function validMultiple(sectors: number): boolean {
  return sectors <= MAX_MULTIPLE && (sectors & (sectors - 1)) === 0;
}
