/**
 * Block device. Virtual I/O Device (VIRTIO) version 1.2, section 5.2.
 *
 * A request: {u32 type, u32 reserved, u64 sector}, data, and a status byte that the device writes. Sectors are 512 bytes.
 */
import { BLOCK_OK, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { ScatterList } from '../../bus/scatterlist.ts';
import { VirtioPciDevice, type VirtioPciOptions } from '../../bus/virtio/virtiopci.ts';
import type { Chain, VirtQueue } from '../../bus/virtio/virtqueue.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { HostRequests } from '../storage/hostrequests.ts';

const SECTOR = 512;
const TYPE_BLOCK = 2;
/** SCSI controller, as drivers of virtio disks know it. */
const CLASS_CODE = 0x010000;

// Feature bits, section 5.2.3.
const F_SEG_MAX = 2;
const F_GEOMETRY = 4;
const F_RO = 5;
const F_BLK_SIZE = 6;
const F_FLUSH = 9;
const F_TOPOLOGY = 10;
const F_CONFIG_WCE = 11;
const F_MQ = 12;
const F_DISCARD = 13;
const F_WRITE_ZEROES = 14;

// Request types and answers, section 5.2.6.
const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;
const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;
const HEADER_BYTES = 16;
const ID_BYTES = 20;

// Device configuration, section 5.2.4.
const CONFIG_BYTES = 60;
const CAPACITY = 0x00;
const WRITEBACK = 0x20;
/** Data descriptors of one request: what is left of a queue beside header and status. */
const SEG_MAX = 254;
const HEADS = 16;
const SECTORS_PER_TRACK = 63;
const MAX_CYLINDERS = 16_383;
/** Physical blocks of 2^3 sectors: what images and host file systems write at a time. */
const PHYSICAL_EXPONENT = 3;
/** Sectors of one discard or write-zeroes segment (1 GiB), and segments of a request. */
const MAX_DISCARD_SECTORS = 1 << 21;
const MAX_DISCARD_SEGMENTS = 32;
const SEGMENT_BYTES = 16;
const SEGMENT_UNMAP = 1;

export interface VirtioBlkOptions extends VirtioPciOptions {
  block: BlockDevice;
  /** At most 20 characters. */
  serial: string;
  /** False: the drive has no volatile cache, every write is on stable storage before it is answered. */
  writeCache: boolean;
  /** Request queues, 1..16; one a processor is enough. */
  queues?: number;
}

/** A request that the device has taken and not yet given back. */
interface Request {
  queue: VirtQueue;
  chain: Chain;
}

export class VirtioBlk extends VirtioPciDevice {
  private readonly block: BlockDevice;
  private readonly serial: string;
  private readonly writeCache: boolean;
  private readonly requests: HostRequests;
  private readonly underWay = new Set<Request>();

  constructor(options: VirtioBlkOptions) {
    const queues = options.queues ?? 1;
    const readOnly = options.block.info?.readOnly ?? false;
    const features = [F_SEG_MAX, F_GEOMETRY, F_BLK_SIZE, F_FLUSH, F_TOPOLOGY, F_CONFIG_WCE];
    if (readOnly) features.push(F_RO);
    else features.push(F_DISCARD, F_WRITE_ZEROES);
    if (queues > 1) features.push(F_MQ);
    super(options, { type: TYPE_BLOCK, classCode: CLASS_CODE, queues, features, configBytes: CONFIG_BYTES });
    this.block = options.block;
    this.requests = new HostRequests(options.block);
    this.requests.onDrained = () => {
      for (const queue of this.queues) this.notified(queue);
    };
    this.serial = options.serial;
    this.writeCache = options.writeCache;
    this.fillConfig(queues);
    const changed = () => {
      this.showCapacity();
      this.configChanged();
    };
    this.block.onResize(changed);
    this.block.onMediaChange(changed);
  }

  override save(): DeviceState {
    // In the order they were taken; what is with the host is done again after a restore.
    const inFlight = [...this.underWay].map(({ queue, chain }) => [this.queues.indexOf(queue), chain.head]);
    return { ...super.save(), writeback: this.deviceConfig[WRITEBACK]!, inFlight };
  }

  /** Guest memory must have been restored before: requests that were under way are read from there and done again. */
  override restore(state: DeviceState): void {
    super.restore(state);
    this.abandon();
    const reader = StateReader.open(state, this.id, 1);
    this.deviceConfig[WRITEBACK] = reader.byte('writeback') & 1;
    for (const item of reader.pairs('inFlight', this.queues.length * 65_536)) {
      const queue = this.queues[item[0]];
      const chain = queue?.chain(item[1]);
      if (queue && chain) this.take(queue, chain);
    }
  }

  protected driverReset(): void {
    this.abandon();
    this.deviceConfig[WRITEBACK] = this.writeCache ? 1 : 0;
  }

  protected queueNotified(queue: VirtQueue): void {
    if (this.requests.draining) return;
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      this.take(queue, chain);
      if (queue.broken !== undefined) return;
    }
    queue.askForNotification();
  }

  protected override configurationWritten(offset: number, value: number, size: number): void {
    if (offset === WRITEBACK && size === 1 && this.hasFeature(F_CONFIG_WCE)) this.deviceConfig[WRITEBACK] = value & 1;
  }

  /** A write is answered only once it is on stable storage: the driver knows of no cache, or turned it off (section 5.2.6.2). */
  private get writeThrough(): boolean {
    return !this.hasFeature(F_FLUSH) || this.deviceConfig[WRITEBACK] === 0;
  }

  private get sectors(): number {
    return Math.floor((this.block.info?.sizeBytes ?? 0) / SECTOR);
  }

  private take(queue: VirtQueue, chain: Chain): void {
    const { readable, writable } = chain;
    if (readable.bytes < HEADER_BYTES || writable.bytes < 1) {
      queue.broken = 'a request without header or status';
      return;
    }
    const request: Request = { queue, chain };
    this.underWay.add(request);
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    readable.take(0, new Uint8Array(header.buffer));
    const sector = header.getUint32(8, true) + header.getUint32(12, true) * 2 ** 32;
    switch (header.getUint32(0, true)) {
      case T_IN:
        this.transfer(request, false, sector, writable.slice(0, writable.bytes - 1));
        break;
      case T_OUT:
        this.transfer(request, true, sector, readable.slice(HEADER_BYTES));
        break;
      case T_FLUSH:
        this.requests.request(
          (answered) => this.block.flush(answered),
          (status) => this.answer(request, status),
        );
        break;
      case T_GET_ID: {
        const id = new Uint8Array(ID_BYTES);
        id.set(new TextEncoder().encode(this.serial).subarray(0, ID_BYTES));
        this.finish(request, S_OK, writable.slice(0, writable.bytes - 1).put(0, id));
        break;
      }
      case T_DISCARD:
      case T_WRITE_ZEROES:
        this.segments(request, header.getUint32(0, true) === T_DISCARD);
        break;
      default:
        this.finish(request, S_UNSUPP);
    }
  }

  private transfer(request: Request, write: boolean, sector: number, data: ScatterList): void {
    if (data.bytes % SECTOR || sector + data.bytes / SECTOR > this.sectors || (write && this.block.info?.readOnly)) {
      this.log.guest(`${write ? 'write' : 'read'} of ${data.bytes} bytes at sector ${sector}, which can not be`);
      this.finish(request, S_IOERR);
    } else if (data.bytes === 0) this.finish(request, S_OK);
    else
      this.requests.transfer({ write, data, offset: sector * SECTOR, durable: this.writeThrough }, (status) =>
        this.answer(request, status, write ? 0 : data.bytes),
      );
  }

  /** DISCARD and WRITE ZEROES: one segment after the other. */
  private segments(request: Request, discard: boolean): void {
    const list = request.chain.readable.slice(HEADER_BYTES);
    const count = list.bytes / SEGMENT_BYTES;
    if (count === 0 || count > MAX_DISCARD_SEGMENTS || !Number.isInteger(count)) {
      this.finish(request, S_UNSUPP);
      return;
    }
    const bytes = new Uint8Array(list.bytes);
    list.take(0, bytes);
    const view = new DataView(bytes.buffer);
    const next = (index: number): void => {
      if (index === count) {
        this.answer(request, BLOCK_OK);
        return;
      }
      const at = index * SEGMENT_BYTES;
      const sector = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      const length = view.getUint32(at + 8, true);
      const flags = view.getUint32(at + 12, true);
      const unmap = (flags & SEGMENT_UNMAP) !== 0;
      if (flags & ~SEGMENT_UNMAP || (discard && unmap)) this.finish(request, S_UNSUPP);
      else if (length > MAX_DISCARD_SECTORS || sector + length > this.sectors || this.block.info?.readOnly) this.finish(request, S_IOERR);
      else {
        this.requests.request(
          (answered) =>
            discard
              ? this.block.discard(sector * SECTOR, length * SECTOR, answered)
              : this.block.writeZeroes(sector * SECTOR, length * SECTOR, unmap, answered),
          (status) => (status === BLOCK_OK ? next(index + 1) : this.answer(request, status)),
        );
      }
    };
    next(0);
  }

  private answer(request: Request, status: BlockStatus, written = 0): void {
    if (status === BLOCK_OK) this.finish(request, S_OK, written);
    else this.finish(request, S_IOERR);
  }

  private finish(request: Request, status: number, written = 0): void {
    const { queue, chain } = request;
    this.underWay.delete(request);
    chain.writable.put(chain.writable.bytes - 1, Uint8Array.of(status));
    queue.push(chain.head, written + 1);
    this.interruptQueue(queue);
  }

  private abandon(): void {
    this.requests.abandon();
    this.underWay.clear();
  }

  private fillConfig(queues: number): void {
    const view = new DataView(this.deviceConfig.buffer);
    this.showCapacity();
    view.setUint32(0x0c, SEG_MAX, true);
    view.setUint16(0x10, Math.min(MAX_CYLINDERS, Math.floor(this.sectors / (HEADS * SECTORS_PER_TRACK))), true);
    view.setUint8(0x12, HEADS);
    view.setUint8(0x13, SECTORS_PER_TRACK);
    view.setUint32(0x14, SECTOR, true);
    view.setUint8(0x18, PHYSICAL_EXPONENT);
    view.setUint16(0x1a, 1 << PHYSICAL_EXPONENT, true);
    view.setUint8(WRITEBACK, this.writeCache ? 1 : 0);
    view.setUint16(0x22, queues, true);
    view.setUint32(0x24, MAX_DISCARD_SECTORS, true);
    view.setUint32(0x28, MAX_DISCARD_SEGMENTS, true);
    view.setUint32(0x2c, 1 << PHYSICAL_EXPONENT, true);
    view.setUint32(0x30, MAX_DISCARD_SECTORS, true);
    view.setUint32(0x34, MAX_DISCARD_SEGMENTS, true);
    view.setUint8(0x38, 1);
  }

  private showCapacity(): void {
    const view = new DataView(this.deviceConfig.buffer);
    view.setUint32(CAPACITY, this.sectors % 2 ** 32, true);
    view.setUint32(CAPACITY + 4, Math.floor(this.sectors / 2 ** 32), true);
  }
}
