/** Commands of a CD/DVD-ROM drive, whatever carries them: MMC-3 and SPC-2. */
import { BLOCK_NO_MEDIUM, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { answered, DONE, INVALID_FIELD, NO_MEDIUM, OUT_OF_RANGE, READ_ERROR, ScsiUnit, type ScsiWork, type Sense } from './scsi.ts';

/** Logical block, bytes. */
const BLOCK = 2048;
const SAVING_UNSUPPORTED: Sense = [5, 0x39, 0];
const REMOVAL_PREVENTED: Sense = [5, 0x53, 2];
const MEDIUM_CHANGED: Sense = [6, 0x28, 0];
const POWER_ON: Sense = [6, 0x29, 0];

/** GET CONFIGURATION and GET EVENT STATUS NOTIFICATION. */
const ATTENTION_EXEMPT = new Set([0x46, 0x4a]);
const CD_PROFILE = 0x0008;
const DVD_PROFILE = 0x0010;
/** Media beyond 1 GiB are DVDs. */
const DVD_BYTES = 2 ** 30;

export interface MmcUnitOptions {
  block: BlockDevice;
  /** Fourth byte of INQUIRY data: 0x21 for ATAPI (SFF-8020i), 0x02 for others (SPC-2 section 7.3.2). */
  responseFormat: 0x21 | 0x02;
  log: Logger;
}

export class MmcUnit extends ScsiUnit {
  protected readonly attentionExempt = ATTENTION_EXEMPT;
  private readonly options: MmcUnitOptions;
  /** GET EVENT STATUS NOTIFICATION: 0 none, 1 eject request, 2 new medium, 3 removal. */
  private mediaEvent = 0;
  private locked = false;
  private trayOpen = false;

  constructor(options: MmcUnitOptions) {
    super(options.log);
    this.options = options;
    this.attention = POWER_ON;
    options.block.onMediaChange(() => this.mediaChanged());
  }

  override reset(): void {
    super.reset();
    this.attention = POWER_ON;
    this.locked = false;
  }

  override fields(): { [key: string]: StateValue } {
    const { mediaEvent, locked, trayOpen } = this;
    return { ...super.fields(), mediaEvent, locked, trayOpen };
  }

  override restoreFields(state: StateReader): void {
    super.restoreFields(state);
    this.mediaEvent = state.byte('mediaEvent');
    this.locked = state.boolean('locked');
    this.trayOpen = state.boolean('trayOpen');
  }

  /** What a read that the host could not do comes to. */
  readFailure(status: BlockStatus): Sense {
    return status === BLOCK_NO_MEDIUM ? NO_MEDIUM : READ_ERROR;
  }

  private get blocks(): number {
    return this.trayOpen ? 0 : Math.floor((this.options.block.info?.sizeBytes ?? 0) / BLOCK);
  }

  private get ready(): boolean {
    return this.options.block.info !== undefined && !this.trayOpen;
  }

  private mediaChanged(): void {
    this.trayOpen = false;
    if (this.ready) this.mediumArrived();
    else this.mediaEvent = 3;
  }

  private mediumArrived(): void {
    this.attention = MEDIUM_CHANGED;
    this.mediaEvent = 2;
  }

  protected command(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    return this.about(code, cdb, view) ?? this.medium(code, cdb, view);
  }

  /** Commands that tell about the drive, or are done without the medium's data. */
  private about(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    switch (code) {
      case 0x12: // INQUIRY
        return this.inquiry(cdb[1]!, cdb[4]!);
      case 0x1a: // MODE SENSE (6)
        return this.modeSense(cdb[2]! & 0x3f, cdb[2]! >> 6, cdb[4]!, true);
      case 0x1b: // START STOP UNIT
        return this.startStop(cdb[4]!);
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
        this.locked = (cdb[4]! & 1) !== 0;
        return DONE;
      case 0x46: // GET CONFIGURATION
        return this.getConfiguration(cdb[1]! & 3, view.getUint16(2), view.getUint16(7));
      case 0x4a: // GET EVENT STATUS NOTIFICATION
        return this.eventStatus(cdb[1]!, cdb[4]!, view.getUint16(7));
      case 0x5a: // MODE SENSE (10)
        return this.modeSense(cdb[2]! & 0x3f, cdb[2]! >> 6, view.getUint16(7), false);
      case 0xbb: // SET CD SPEED
        return DONE;
      case 0xbd: // MECHANISM STATUS
        return answered(new Uint8Array(8), view.getUint16(8));
      default:
        return undefined;
    }
  }

  /** Commands about the medium, and for what is on it. */
  private medium(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    switch (code) {
      case 0x00: // TEST UNIT READY
        return this.withMedium(() => DONE);
      case 0x25: // READ CAPACITY
        return this.withMedium(() => {
          const data = new DataView(new ArrayBuffer(8));
          data.setUint32(0, this.blocks - 1);
          data.setUint32(4, BLOCK);
          return answered(new Uint8Array(data.buffer), 8);
        });
      case 0x28: // READ (10)
        return this.read(view.getUint32(2), view.getUint16(7));
      case 0xa8: // READ (12)
        return this.read(view.getUint32(2), view.getUint32(6));
      case 0xbe: // READ CD
        return this.readCd(view.getUint32(2), (cdb[6]! << 16) | view.getUint16(7), cdb[9]!);
      case 0x2b: // SEEK (10)
        return this.withMedium(() => (view.getUint32(2) >= this.blocks ? this.failed(OUT_OF_RANGE) : DONE));
      case 0x43: // READ TOC/PMA/ATIP
        return this.withMedium(() => this.readToc((cdb[1]! & 2) !== 0, cdb[2]! & 0x0f || cdb[9]! >> 6, cdb[6]!, view.getUint16(7)));
      case 0x51: // READ DISC INFORMATION
        return this.withMedium(() => {
          const data = new Uint8Array(34);
          data.set([0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
          return answered(data, view.getUint16(7));
        });
      default:
        return undefined;
    }
  }

  private withMedium(then: () => ScsiWork): ScsiWork {
    return this.ready ? then() : this.failed(NO_MEDIUM);
  }

  private read(lba: number, count: number): ScsiWork {
    return this.withMedium(() => {
      if (lba + count > this.blocks) return this.failed(OUT_OF_RANGE);
      return count === 0 ? DONE : { kind: 'move', write: false, offset: lba * BLOCK, bytes: count * BLOCK, durable: false };
    });
  }

  /** Data sectors only: byte 9 asks for user data (0x10) or nothing; raw sectors are not in an ISO image. */
  private readCd(lba: number, count: number, fields: number): ScsiWork {
    if ((fields & 0xf8) === 0) return this.withMedium(() => DONE);
    return (fields & 0xf8) === 0x10 ? this.read(lba, count) : this.failed(INVALID_FIELD);
  }

  private inquiry(flags: number, allocation: number): ScsiWork {
    if (flags & 3) return this.failed(INVALID_FIELD);
    const data = new Uint8Array(36).fill(0x20);
    data.set([0x05, 0x80, 0x00, this.options.responseFormat, 31, 0, 0, 0]);
    data.set(new TextEncoder().encode('HYPERVUEHypervue DVD-ROM1.0 '), 8);
    return answered(data, allocation);
  }

  private startStop(flags: number): ScsiWork {
    const eject = (flags & 2) !== 0;
    const start = (flags & 1) !== 0;
    if (eject && !start) {
      if (this.locked) return this.failed(REMOVAL_PREVENTED);
      this.trayOpen = true;
      this.mediaEvent = 3;
    } else if (eject && this.trayOpen) {
      this.trayOpen = false;
      if (this.ready) this.mediumArrived();
    }
    return DONE;
  }

  /** MMC-3 section 6.26: one data track and the lead-out. */
  private readToc(msf: boolean, format: number, startTrack: number, allocation: number): ScsiWork {
    const address = (lba: number) => {
      if (!msf) return [lba >>> 24, lba >>> 16, lba >>> 8, lba];
      const frames = lba + 150;
      return [0, Math.floor(frames / 4500), Math.floor(frames / 75) % 60, frames % 75];
    };
    const body: number[] = [];
    if (format === 0) {
      if (startTrack > 1 && startTrack !== 0xaa) return this.failed(INVALID_FIELD);
      if (startTrack <= 1) body.push(0, 0x14, 1, 0, ...address(0));
      body.push(0, 0x16, 0xaa, 0, ...address(this.blocks));
    } else if (format === 1) body.push(0, 0x14, 1, 0, ...address(0));
    else if (format === 2) {
      for (const point of [0xa0, 0xa1, 0xa2, 1]) {
        const where = point === 0xa2 ? address(this.blocks) : point === 1 ? address(0) : [0, 1, 0, 0];
        body.push(1, 0x14, 0, point, 0, 0, 0, ...where);
      }
    } else return this.failed(INVALID_FIELD);
    const length = body.length + 2;
    return answered(Uint8Array.from([length >> 8, length, 1, 1, ...body]), allocation);
  }

  /** MMC-3 section 6.6: profile list, core, morphing, removable medium and the current read feature. */
  private getConfiguration(type: number, start: number, allocation: number): ScsiWork {
    const profile = !this.ready ? 0 : (this.options.block.info?.sizeBytes ?? 0) > DVD_BYTES ? DVD_PROFILE : CD_PROFILE;
    const isCd = profile === CD_PROFILE;
    const isDvd = profile === DVD_PROFILE;
    const features: { code: number; current: boolean; data: number[] }[] = [
      { code: 0x0000, current: true, data: [0, DVD_PROFILE, isDvd ? 1 : 0, 0, 0, CD_PROFILE, isCd ? 1 : 0, 0] },
      { code: 0x0001, current: true, data: [0, 0, 0, 2, 0, 0, 0, 0] },
      { code: 0x0002, current: true, data: [0, 0, 0, 0] },
      { code: 0x0003, current: true, data: [0x29, 0, 0, 0] },
      { code: 0x0010, current: isCd || isDvd, data: [0, 0, 8, 0, 0, 16, 1, 0] },
      { code: 0x001e, current: isCd, data: [0, 0, 0, 0] },
      { code: 0x001f, current: isDvd, data: [] },
    ];
    const body: number[] = [];
    for (const feature of features) {
      if (type === 2 ? feature.code !== start : feature.code < start || (type === 1 && !feature.current)) continue;
      const version = feature.code === 0x0001 || feature.code === 0x0002 ? 1 << 2 : 0;
      body.push(
        feature.code >> 8,
        feature.code & 0xff,
        version | (feature.code < 4 ? 2 : 0) | (feature.current ? 1 : 0),
        feature.data.length,
        ...feature.data,
      );
    }
    const length = body.length + 4;
    return answered(
      Uint8Array.from([length >>> 24, length >>> 16, length >>> 8, length, 0, 0, profile >> 8, profile, ...body]),
      allocation,
    );
  }

  /** MMC-3 section 6.7: polled, media class only. */
  private eventStatus(flags: number, classes: number, allocation: number): ScsiWork {
    if (!(flags & 1)) return this.failed(INVALID_FIELD);
    if (!(classes & 0x10)) return answered(Uint8Array.of(0, 2, 0x80, 0x10), allocation);
    const event = this.mediaEvent;
    this.mediaEvent = 0;
    const state = (this.trayOpen ? 1 : 0) | (this.ready ? 2 : 0);
    return answered(Uint8Array.of(0, 6, 4, 0x10, event, state, 0, 0), allocation);
  }

  /** MMC-3 section 6.11: error recovery, CD capabilities and audio pages. */
  private modeSense(page: number, control: number, allocation: number, short: boolean): ScsiWork {
    if (control === 3) return this.failed(SAVING_UNSUPPORTED);
    const pages = new Map<number, number[]>([
      [0x01, [0x01, 6, 0, 5, 0, 0, 0, 0]],
      [0x0e, [0x0e, 14, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
      [0x2a, [0x2a, 20, 0x3b, 0, 0x71, 0x60, 0x29 | (this.locked ? 2 : 0), 0, 0x2b, 0x48, 1, 0, 2, 0, 0x2b, 0x48, 0, 0, 0, 0, 0, 0]],
    ]);
    const chosen = page === 0x3f ? [...pages.values()].flat() : pages.get(page);
    if (!chosen) return this.failed(INVALID_FIELD);
    const medium = !this.ready ? 0x70 : 0x01;
    const total = chosen.length;
    const header = short ? [total + 3, medium, 0, 0] : [(total + 6) >> 8, (total + 6) & 0xff, medium, 0, 0, 0, 0, 0];
    return answered(Uint8Array.from([...header, ...chosen]), allocation);
  }
}
