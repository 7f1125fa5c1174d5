import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { AtaUnit, type AtaUnitOptions, ataString, BUFFER_BYTES, ERR_ABRT, ST_DRDY, ST_DSC, ST_ERR } from './ataunit.ts';
import type { DmaTransfer } from './dmatransfer.ts';
import { MmcUnit } from './mmcunit.ts';
import type { Sense } from './scsi.ts';

const PACKET = 12;
/** Interrupt reason (sector count register), ATA/ATAPI-6 section 9.8. */
const IR_COMMAND = 1;
const IR_TO_HOST = 2;
const IR_DONE = 3;
const FEATURE_DMA = 1;

/** The guest stopped its bus master before all was moved. */
const ABORTED: Sense = [0xb, 0, 0];

/** A CD/DVD-ROM drive with the packet interface: ATA/ATAPI-6 section 9.8, MMC-3 commands. */
export class AtapiCdrom extends AtaUnit {
  override readonly packet = true;
  private readonly unit: MmcUnit;

  constructor(options: AtaUnitOptions) {
    super(options);
    this.unit = new MmcUnit({ block: this.block, responseFormat: 0x21, log: this.log });
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
    this.unit.reset();
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
    return { ...super.saveUnit(), ...this.unit.fields() };
  }

  override restoreUnit(state: StateReader): void {
    super.restoreUnit(state);
    this.unit.restoreFields(state);
  }

  private receivePacket(): void {
    this.sectorCount = IR_COMMAND;
    // Drives that answer quickly raise no interrupt for the packet itself (general configuration bits 6..5 = 10b).
    this.startPio(false, 0, PACKET, false, () => this.execute(this.buffer.slice(0, PACKET)));
  }

  private complete(): void {
    this.sectorCount = IR_DONE;
    this.succeed();
  }

  /** The command has failed, and REQUEST SENSE tells why. */
  private check(sense: Sense): void {
    this.unit.failed(sense);
    this.sectorCount = IR_DONE;
    this.fail((sense[0] << 4) | ERR_ABRT);
    this.status = ST_DRDY | ST_DSC | ST_ERR;
  }

  private execute(packet: Uint8Array): void {
    const work = this.unit.begin(0, packet);
    if (work.kind === 'failed') this.check(work.sense);
    else if (work.kind === 'reply') this.reply(work.data);
    else if (work.kind === 'move') this.read(work.offset, work.bytes);
    else this.complete();
  }

  /** Sends a short answer. */
  private reply(data: Uint8Array): void {
    const bytes = Math.min(data.length, BUFFER_BYTES);
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

  private read(offset: number, bytes: number): void {
    if (this.features & FEATURE_DMA) this.readDma(offset, bytes);
    else {
      const asked = this.lbaMid | (this.lbaHigh << 8);
      this.readPio(offset, bytes, asked === 0 || asked === 0xffff ? 0xfffe : Math.max(2, asked & ~1));
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
      if (!AtaUnit.ok(status)) this.check(this.unit.readFailure(status));
      else if (stopped) this.check(ABORTED);
      else this.complete();
    });
  }

  private readPio(offset: number, bytes: number, limit: number): void {
    this.busy();
    const chunk = Math.min(bytes, BUFFER_BYTES);
    this.readMedium(offset, chunk, (status) => {
      if (!AtaUnit.ok(status)) this.check(this.unit.readFailure(status));
      else this.piece(0, chunk, limit, () => (bytes > chunk ? this.readPio(offset + chunk, bytes - chunk, limit) : this.complete()));
    });
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
