import { BLOCK_NO_MEDIUM, type BlockStatus } from '../../backend/asyncblock.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { AtaUnit, type AtaUnitOptions, ataString, BUFFER_BYTES, ERR_ABRT, ST_DRDY, ST_DSC, ST_ERR } from './ataunit.ts';
import type { DmaTransfer } from './dmatransfer.ts';

/** Logical block, bytes. */
const BLOCK = 2048;
const PACKET = 12;
/** Interrupt reason (sector count register), ATA/ATAPI-6 section 9.8. */
const IR_COMMAND = 1;
const IR_TO_HOST = 2;
const IR_DONE = 3;
const FEATURE_DMA = 1;

/** Sense keys and additional sense codes, MMC-3 and SPC-2. */
const NO_SENSE = { key: 0, asc: 0, ascq: 0 };
const NOT_READY_NO_MEDIUM = { key: 2, asc: 0x3a, ascq: 0 };
const MEDIUM_ERROR = { key: 3, asc: 0x11, ascq: 0 };
const INVALID_COMMAND = { key: 5, asc: 0x20, ascq: 0 };
const LBA_OUT_OF_RANGE = { key: 5, asc: 0x21, ascq: 0 };
const INVALID_FIELD = { key: 5, asc: 0x24, ascq: 0 };
const REMOVAL_PREVENTED = { key: 5, asc: 0x53, ascq: 2 };
const MEDIUM_CHANGED = { key: 6, asc: 0x28, ascq: 0 };
const ABORTED = { key: 0xb, asc: 0, ascq: 0 };
const POWER_ON = { key: 6, asc: 0x29, ascq: 0 };
type Sense = typeof NO_SENSE;

/** Commands that work while a unit attention waits. */
const ATTENTION_EXEMPT = new Set([0x03, 0x12, 0x46, 0x4a]);
const CD_PROFILE = 0x0008;
const DVD_PROFILE = 0x0010;
/** Media beyond 1 GiB are DVDs. */
const DVD_BYTES = 2 ** 30;

/** A CD/DVD-ROM drive with the packet interface: ATA/ATAPI-6 section 9.8, MMC-3 commands. */
export class AtapiCdrom extends AtaUnit {
  override readonly packet = true;
  private sense: Sense = NO_SENSE;
  private attention: Sense | undefined = POWER_ON;
  /** GET EVENT STATUS NOTIFICATION: 0 none, 1 eject request, 2 new medium, 3 removal. */
  private mediaEvent = 0;
  private locked = false;
  private trayOpen = false;

  constructor(options: AtaUnitOptions) {
    super(options);
    this.block.onMediaChange(() => this.mediaChanged());
  }

  signature(): void {
    this.sectorCount = 1;
    this.lbaLow = 1;
    this.lbaMid = 0x14;
    this.lbaHigh = 0xeb;
    this.device = 0;
    // A packet device keeps DRDY clear until its first command (section 9.12).
    this.status = 0;
  }

  override reset(): void {
    super.reset();
    this.locked = false;
    this.sense = NO_SENSE;
    this.attention = POWER_ON;
  }

  command(code: number): void {
    switch (code) {
      case 0xa0: // PACKET
        this.receivePacket();
        break;
      case 0xa1: // IDENTIFY PACKET DEVICE
        this.identify();
        this.startPio(true, 0, 512, true, () => {
          this.status = ST_DRDY | ST_DSC;
        });
        break;
      case 0x08: // DEVICE RESET
        this.abandon();
        this.signature();
        this.error = 1;
        break;
      case 0xec: // IDENTIFY DEVICE: abort with the signature in the registers
        this.signature();
        this.fail(ERR_ABRT);
        break;
      case 0xef: // SET FEATURES
        if (this.features === 0x03 || this.features === 0x66 || this.features === 0xcc) this.succeed();
        else this.fail(ERR_ABRT);
        break;
      case 0xe5: // CHECK POWER MODE
        this.sectorCount = 0xff;
        this.succeed();
        break;
      case 0xe0: // STANDBY IMMEDIATE, IDLE IMMEDIATE, SLEEP
      case 0xe1:
      case 0xe6:
        this.succeed();
        break;
      default:
        this.fail(ERR_ABRT);
    }
  }

  override saveUnit(): { [key: string]: StateValue } {
    const { key, asc, ascq } = this.sense;
    return {
      ...super.saveUnit(),
      sense: [key, asc, ascq],
      attention: this.attention ? [this.attention.key, this.attention.asc, this.attention.ascq] : [],
      mediaEvent: this.mediaEvent,
      locked: this.locked,
      trayOpen: this.trayOpen,
    };
  }

  override restoreUnit(state: StateReader): void {
    super.restoreUnit(state);
    const [key = 0, asc = 0, ascq = 0] = state.numbers('sense', 3);
    this.sense = { key, asc, ascq };
    const attention = state.numbers('attention', 3);
    this.attention = attention.length ? { key: attention[0]!, asc: attention[1] ?? 0, ascq: attention[2] ?? 0 } : undefined;
    this.mediaEvent = state.byte('mediaEvent');
    this.locked = state.boolean('locked');
    this.trayOpen = state.boolean('trayOpen');
  }

  private get blocks(): number {
    return this.trayOpen ? 0 : Math.floor((this.block.info?.sizeBytes ?? 0) / BLOCK);
  }

  private get ready(): boolean {
    return this.block.info !== undefined && !this.trayOpen;
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

  private receivePacket(): void {
    this.sectorCount = IR_COMMAND;
    // Drives that answer quickly raise no interrupt for the packet itself (general configuration bits 6..5 = 10b).
    this.startPio(false, 0, PACKET, false, () => this.execute(this.buffer.slice(0, PACKET)));
  }

  private complete(): void {
    this.sectorCount = IR_DONE;
    this.sense = NO_SENSE;
    this.succeed();
  }

  private check(sense: Sense): void {
    this.sense = sense;
    this.sectorCount = IR_DONE;
    this.fail((sense.key << 4) | ERR_ABRT);
    this.status = ST_DRDY | ST_DSC | ST_ERR;
  }

  private execute(packet: Uint8Array): void {
    const view = new DataView(packet.buffer);
    const code = packet[0]!;
    if (this.attention && !ATTENTION_EXEMPT.has(code)) {
      const sense = this.attention;
      this.attention = undefined;
      this.check(sense);
      return;
    }
    switch (code) {
      case 0x00: // TEST UNIT READY
        if (this.ready) this.complete();
        else this.check(NOT_READY_NO_MEDIUM);
        break;
      case 0x03: // REQUEST SENSE
        this.requestSense(packet[4]!);
        break;
      case 0x12: // INQUIRY
        this.inquiry(packet[1]!, packet[4]!);
        break;
      case 0x1b: // START STOP UNIT
        this.startStop(packet[4]!);
        break;
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
        this.locked = (packet[4]! & 1) !== 0;
        this.complete();
        break;
      case 0x25: // READ CAPACITY
        this.withMedium(() => {
          const data = new DataView(new ArrayBuffer(8));
          data.setUint32(0, this.blocks - 1);
          data.setUint32(4, BLOCK);
          this.reply(new Uint8Array(data.buffer), 8);
        });
        break;
      case 0x28: // READ (10)
        this.read(view.getUint32(2), view.getUint16(7));
        break;
      case 0xa8: // READ (12)
        this.read(view.getUint32(2), view.getUint32(6));
        break;
      case 0xbe: // READ CD
        this.readCd(view.getUint32(2), (packet[6]! << 16) | view.getUint16(7), packet[9]!);
        break;
      case 0x2b: // SEEK (10)
        if (!this.ready) this.check(NOT_READY_NO_MEDIUM);
        else if (view.getUint32(2) >= this.blocks) this.check(LBA_OUT_OF_RANGE);
        else this.complete();
        break;
      case 0x43: // READ TOC/PMA/ATIP
        this.readToc((packet[1]! & 2) !== 0, packet[2]! & 0x0f || packet[9]! >> 6, packet[6]!, view.getUint16(7));
        break;
      case 0x46: // GET CONFIGURATION
        this.getConfiguration(packet[1]! & 3, view.getUint16(2), view.getUint16(7));
        break;
      case 0x4a: // GET EVENT STATUS NOTIFICATION
        this.eventStatus(packet[1]!, packet[4]!, view.getUint16(7));
        break;
      case 0x51: // READ DISC INFORMATION
        this.withMedium(() => {
          const data = new Uint8Array(34);
          data.set([0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
          this.reply(data, view.getUint16(7));
        });
        break;
      case 0x5a: // MODE SENSE (10)
        this.modeSense(packet[2]! & 0x3f, packet[2]! >> 6, view.getUint16(7), false);
        break;
      case 0x1a: // MODE SENSE (6)
        this.modeSense(packet[2]! & 0x3f, packet[2]! >> 6, packet[4]!, true);
        break;
      case 0xbd: // MECHANISM STATUS
        this.reply(new Uint8Array(8), view.getUint16(8));
        break;
      case 0xbb: // SET CD SPEED
        this.complete();
        break;
      default:
        this.log.guest(`packet command 0x${code.toString(16)} is not supported`);
        this.check(INVALID_COMMAND);
    }
  }

  private withMedium(then: () => void): void {
    if (this.ready) then();
    else this.check(NOT_READY_NO_MEDIUM);
  }

  /** Sends a short answer, cut to the allocation length of the packet. */
  private reply(data: Uint8Array, allocation: number): void {
    const bytes = Math.min(data.length, allocation, BUFFER_BYTES);
    this.buffer.set(data.subarray(0, bytes));
    if (bytes === 0) this.complete();
    else if (this.features & FEATURE_DMA) this.replyDma(bytes);
    else this.replyPio(0, bytes, () => this.complete());
  }

  private replyDma(bytes: number): void {
    this.busy();
    this.requestDma(true, bytes, (transfer) => {
      transfer.put(this.buffer.subarray(0, bytes));
      this.dma.complete();
      this.complete();
    });
  }

  /** Hands out buffer bytes in pieces of the byte count limit the host gave, an interrupt each. */
  private replyPio(start: number, end: number, done: () => void): void {
    const asked = this.lbaMid | (this.lbaHigh << 8);
    let limit = asked === 0 || asked === 0xffff ? 0xfffe : asked;
    if (limit > 1 && limit < end - start) limit &= ~1;
    this.piece(start, end, limit, done);
  }

  private piece(start: number, end: number, limit: number, done: () => void): void {
    const length = Math.min(limit, end - start);
    this.lbaMid = length & 0xff;
    this.lbaHigh = length >> 8;
    this.sectorCount = IR_TO_HOST;
    this.startPio(true, start, start + length, true, () => {
      if (start + length < end) this.piece(start + length, end, limit, done);
      else done();
    });
  }

  private read(lba: number, count: number): void {
    if (!this.ready) this.check(NOT_READY_NO_MEDIUM);
    else if (lba + count > this.blocks) this.check(LBA_OUT_OF_RANGE);
    else if (count === 0) this.complete();
    else if (this.features & FEATURE_DMA) this.readDma(lba * BLOCK, count * BLOCK);
    else {
      const asked = this.lbaMid | (this.lbaHigh << 8);
      this.readPio(lba * BLOCK, count * BLOCK, asked === 0 || asked === 0xffff ? 0xfffe : Math.max(2, asked & ~1));
    }
  }

  private readDma(offset: number, bytes: number): void {
    this.busy();
    this.requestDma(true, bytes, (transfer) => {
      if (transfer.bytes < bytes || !this.moveNow(true, transfer, offset, bytes)) this.sendDma(transfer, offset, bytes);
      else {
        this.dma.complete();
        this.complete();
      }
    });
  }

  private sendDma(transfer: DmaTransfer, offset: number, bytes: number): void {
    const size = Math.min(bytes, BUFFER_BYTES);
    this.readMedium(offset, size, (status) => {
      if (AtaUnit.ok(status)) transfer.put(this.buffer.subarray(0, size));
      if (AtaUnit.ok(status) && transfer.live && bytes > size) {
        this.sendDma(transfer, offset + size, bytes - size);
        return;
      }
      const stopped = !transfer.live;
      this.dma.complete();
      if (!AtaUnit.ok(status)) this.check(readFailure(status));
      else if (stopped) this.check(ABORTED);
      else this.complete();
    });
  }

  private readPio(offset: number, bytes: number, limit: number): void {
    this.busy();
    const chunk = Math.min(bytes, BUFFER_BYTES);
    this.readMedium(offset, chunk, (status) => {
      if (!AtaUnit.ok(status)) this.check(readFailure(status));
      else this.piece(0, chunk, limit, () => (bytes > chunk ? this.readPio(offset + chunk, bytes - chunk, limit) : this.complete()));
    });
  }

  /** Data sectors only: byte 9 asks for user data (0x10) or nothing; raw sectors are not in an ISO image. */
  private readCd(lba: number, count: number, fields: number): void {
    if ((fields & 0xf8) === 0) this.withMedium(() => this.complete());
    else if ((fields & 0xf8) === 0x10) this.read(lba, count);
    else this.check(INVALID_FIELD);
  }

  /** SPC-2 section 7.20: fixed format. */
  private requestSense(allocation: number): void {
    const sense = this.attention ?? this.sense;
    this.attention = undefined;
    const data = new Uint8Array(18);
    data.set([0x70, 0, sense.key, 0, 0, 0, 0, 10]);
    data[12] = sense.asc;
    data[13] = sense.ascq;
    this.reply(data, allocation);
  }

  private inquiry(flags: number, allocation: number): void {
    if (flags & 3) {
      this.check(INVALID_FIELD);
      return;
    }
    const data = new Uint8Array(36).fill(0x20);
    data.set([0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0]);
    data.set(new TextEncoder().encode('HYPERVUEHypervue DVD-ROM1.0 '), 8);
    this.reply(data, allocation);
  }

  private startStop(flags: number): void {
    const eject = (flags & 2) !== 0;
    const start = (flags & 1) !== 0;
    if (eject && !start) {
      if (this.locked) {
        this.check(REMOVAL_PREVENTED);
        return;
      }
      this.trayOpen = true;
      this.mediaEvent = 3;
    } else if (eject && this.trayOpen) {
      this.trayOpen = false;
      if (this.ready) this.mediumArrived();
    }
    this.complete();
  }

  /** MMC-3 section 6.26: one data track and the lead-out. */
  private readToc(msf: boolean, format: number, startTrack: number, allocation: number): void {
    this.withMedium(() => {
      const address = (lba: number) => {
        if (!msf) return [lba >>> 24, lba >>> 16, lba >>> 8, lba];
        const frames = lba + 150;
        return [0, Math.floor(frames / 4500), Math.floor(frames / 75) % 60, frames % 75];
      };
      const body: number[] = [];
      if (format === 0) {
        if (startTrack > 1 && startTrack !== 0xaa) {
          this.check(INVALID_FIELD);
          return;
        }
        if (startTrack <= 1) body.push(0, 0x14, 1, 0, ...address(0));
        body.push(0, 0x16, 0xaa, 0, ...address(this.blocks));
      } else if (format === 1) body.push(0, 0x14, 1, 0, ...address(0));
      else if (format === 2) {
        for (const point of [0xa0, 0xa1, 0xa2, 1]) {
          const where = point === 0xa2 ? address(this.blocks) : point === 1 ? address(0) : [0, 1, 0, 0];
          body.push(1, 0x14, 0, point, 0, 0, 0, ...where);
        }
      } else {
        this.check(INVALID_FIELD);
        return;
      }
      const length = body.length + 2;
      this.reply(Uint8Array.from([length >> 8, length, 1, 1, ...body]), allocation);
    });
  }

  /** MMC-3 section 6.6: profile list, core, morphing, removable medium and the current read feature. */
  private getConfiguration(type: number, start: number, allocation: number): void {
    const profile = !this.ready ? 0 : (this.block.info?.sizeBytes ?? 0) > DVD_BYTES ? DVD_PROFILE : CD_PROFILE;
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
    this.reply(Uint8Array.from([length >>> 24, length >>> 16, length >>> 8, length, 0, 0, profile >> 8, profile, ...body]), allocation);
  }

  /** MMC-3 section 6.7: polled, media class only. */
  private eventStatus(flags: number, classes: number, allocation: number): void {
    if (!(flags & 1)) {
      this.check(INVALID_FIELD);
      return;
    }
    if (!(classes & 0x10)) {
      this.reply(Uint8Array.of(0, 2, 0x80, 0x10), allocation);
      return;
    }
    const event = this.mediaEvent;
    this.mediaEvent = 0;
    const state = (this.trayOpen ? 1 : 0) | (this.ready ? 2 : 0);
    this.reply(Uint8Array.of(0, 6, 4, 0x10, event, state, 0, 0), allocation);
  }

  /** MMC-3 section 6.11: error recovery, CD capabilities and audio pages. */
  private modeSense(page: number, control: number, allocation: number, short: boolean): void {
    if (control === 3) {
      this.check({ key: 5, asc: 0x39, ascq: 0 });
      return;
    }
    const pages = new Map<number, number[]>([
      [0x01, [0x01, 6, 0, 5, 0, 0, 0, 0]],
      [0x0e, [0x0e, 14, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
      [0x2a, [0x2a, 20, 0x3b, 0, 0x71, 0x60, 0x29 | (this.locked ? 2 : 0), 0, 0x2b, 0x48, 1, 0, 2, 0, 0x2b, 0x48, 0, 0, 0, 0, 0, 0]],
    ]);
    const chosen = page === 0x3f ? [...pages.values()].flat() : pages.get(page);
    if (!chosen) {
      this.check(INVALID_FIELD);
      return;
    }
    const medium = !this.ready ? 0x70 : 0x01;
    const total = chosen.length;
    const header = short ? [total + 3, medium, 0, 0] : [(total + 6) >> 8, (total + 6) & 0xff, medium, 0, 0, 0, 0, 0];
    this.reply(Uint8Array.from([...header, ...chosen]), allocation);
  }

  /** ATA/ATAPI-6 section 8.17. */
  private identify(): void {
    const words = new Uint16Array(256);
    words[0] = 0x85c0; // ATAPI, CD-ROM, removable, 12-byte packets, accelerated DRQ
    ataString(words, 10, 10, this.id);
    ataString(words, 23, 4, '1.0');
    ataString(words, 27, 20, 'HYPERVUE DVD-ROM');
    words[49] = 0x0b00;
    words[50] = 0x4000;
    words[53] = 0x0007;
    words[63] = 0x0407;
    words[64] = 0x0003;
    words[65] = words[66] = 120;
    words[67] = words[68] = 180;
    words[80] = 0x007e;
    words[82] = 0x4210; // NOP, DEVICE RESET, PACKET
    words[83] = 0x4000;
    words[84] = 0x4000;
    words[85] = 0x4210;
    words[87] = 0x4000;
    words[88] = 0x203f;
    words[93] = 0x6001;
    this.buffer.set(new Uint8Array(words.buffer));
  }
}

function readFailure(status: BlockStatus): Sense {
  return status === BLOCK_NO_MEDIUM ? NOT_READY_NO_MEDIUM : MEDIUM_ERROR;
}
