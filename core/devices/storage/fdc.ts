/**
 * 82077AA floppy disk controller with up to two drives.
 * Spec: Intel 82077AA data sheet (order 290166): section 2 (registers), 4 (controller phases), 5 (command set), 6 (status registers).
 *
 * The medium spins infinitely fast: data comes as soon as the host has it. Seeks and resets take a fixed short time, because software
 * may clear its interrupt flag only after it gave the command. Scan commands are answered as invalid.
 */
import type { Device } from '../../bus/device.ts';
import { EVENT_NS, type FdcOptions, freshDrive } from './fdccontroller.ts';
import {
  commandCode,
  BASE,
  COMMAND_LENGTH,
  CONFIGURE,
  CONFIG_NO_FIFO,
  DIR_CHANGED,
  DIR_PORT,
  DOR,
  DOR_NOT_RESET,
  DOR_SELECT,
  DSR_RESET,
  DUMPREG,
  FIFO,
  LOCK,
  MAX_CYLINDER,
  MSR_BUSY,
  MSR_DIO,
  MSR_DSR,
  MSR_NON_DMA,
  MSR_RQM,
  PERPENDICULAR,
  RATE_250,
  RATE_MASK,
  READ_ID,
  RECALIBRATE,
  SECTOR_SIZE_CODE,
  SEEK,
  SEEK_INWARD,
  SEEK_RELATIVE,
  SENSE_DRIVE,
  SENSE_INTERRUPT,
  SPECIFY,
  SRA,
  SRB,
  ST0_ABNORMAL,
  ST0_EQUIPMENT_CHECK,
  ST0_INVALID,
  ST0_READY_CHANGED,
  ST0_SEEK_END,
  ST1_MISSING_ADDRESS,
  ST3_READY,
  ST3_TRACK_0,
  ST3_TWO_SIDED,
  ST3_WRITE_PROTECTED,
  TDR,
  VERSION,
  VERSION_82077,
} from './fdcregisters.ts';
import { FdcTransfer } from './fdctransfer.ts';

export class Fdc extends FdcTransfer implements Device {
  constructor(options: FdcOptions) {
    super(options);
    const { id, ports } = options;
    ports.register({
      owner: id,
      base: BASE,
      length: 6,
      handler: { read: (offset) => this.read(offset), write: (offset, value) => this.write(offset, value) },
    });
    ports.register({
      owner: id,
      base: DIR_PORT,
      length: 1,
      handler: {
        read: () => (this.drives[this.dor & DOR_SELECT]!.changed && this.media[this.dor & DOR_SELECT] ? DIR_CHANGED : 0),
        write: (_, value) => {
          this.rate = value & RATE_MASK;
        },
      },
    });
  }

  reset(_kind: 'power' | 'hard'): void {
    this.drives = this.drives.map(freshDrive);
    this.eventTimer.disarm();
    this.dor = 0;
    this.tdr = 0;
    this.rate = RATE_250;
    this.locked = false;
    this.perpendicular = 0;
    this.specify = [0, 0];
    this.lastEot = 0;
    this.abort();
    this.resetSenses = 0;
    this.resetting = false;
    this.config = CONFIG_NO_FIFO;
    this.precompTrack = 0;
    this.length = 0;
    this.position = 0;
  }

  private read(offset: number): number {
    switch (offset) {
      case SRA:
        return this.irqPending ? 0x80 : 0;
      case SRB:
        return 0xc0 | (this.dor & 0x01 ? 0x20 : 0) | ((this.dor >> 4) & 3);
      case DOR:
        return this.dor;
      case TDR:
        return this.tdr;
      case MSR_DSR:
        return this.mainStatus();
      case FIFO:
        return this.readFifo();
      default:
        return 0xff;
    }
  }

  private write(offset: number, value: number): void {
    switch (offset) {
      case DOR:
        this.writeDor(value);
        break;
      case TDR:
        this.tdr = value & 3;
        break;
      case MSR_DSR:
        this.rate = value & RATE_MASK;
        // Self-clearing, unlike the reset bit of DOR.
        if (value & DSR_RESET) {
          this.softReset();
          this.endReset();
        }
        break;
      case FIFO:
        this.writeFifo(value);
        break;
    }
  }

  private writeDor(value: number): void {
    const was = this.dor;
    this.dor = value;
    if (was & DOR_NOT_RESET && !(value & DOR_NOT_RESET)) this.softReset();
    if (!(was & DOR_NOT_RESET) && value & DOR_NOT_RESET) this.endReset();
    this.driveIrq();
  }

  private mainStatus(): number {
    if (!(this.dor & DOR_NOT_RESET) || this.resetting) return 0;
    let status = 0;
    this.drives.forEach((drive, index) => {
      if (drive.seeking) status |= 1 << index;
    });
    switch (this.phase) {
      case 'command':
        return status | MSR_RQM | (this.command.length > 0 ? MSR_BUSY : 0);
      case 'result':
        return status | MSR_RQM | MSR_DIO | MSR_BUSY;
      case 'data':
        if (this.pio) return status | MSR_RQM | MSR_BUSY | MSR_NON_DMA | (this.writing ? 0 : MSR_DIO);
        return status | MSR_BUSY;
      default:
        return status | MSR_BUSY;
    }
  }

  private readFifo(): number {
    if (this.phase === 'result') {
      this.setIrq(false);
      const value = this.result.shift() ?? 0;
      if (this.result.length === 0) {
        this.phase = 'command';
        this.command = [];
      }
      return value;
    }
    if (this.phase === 'data' && this.pio && !this.writing) {
      const value = this.buffer[this.position++]!;
      this.setIrq(false);
      if (this.position >= this.length) this.endRead();
      else this.setIrq(true);
      return value;
    }
    return 0;
  }

  private writeFifo(value: number): void {
    if (!(this.dor & DOR_NOT_RESET)) return;
    if (this.phase === 'data' && this.pio && this.writing) {
      this.buffer[this.position++] = value;
      this.setIrq(false);
      if (this.position >= this.length) this.startDisk();
      else this.setIrq(true);
      return;
    }
    if (this.phase !== 'command') return;
    this.command.push(value);
    const code = commandCode(this.command[0]!);
    const length = COMMAND_LENGTH[code];
    if (length === undefined) this.invalid();
    else if (this.command.length >= length) this.execute(code);
  }

  private invalid(): void {
    this.log.guest(`invalid floppy command 0x${this.command[0]!.toString(16)}`);
    this.finish([ST0_INVALID], false);
  }

  private execute(code: number): void {
    const [first, second = 0, third = 0] = this.command as [number, number?, number?];
    const unit = second & 3;
    const drive = this.drives[unit]!;
    switch (code) {
      case SPECIFY:
        this.specify = [second, third];
        this.finish([], false);
        break;
      case SENSE_DRIVE: {
        drive.head = (second >> 2) & 1;
        const device = this.media[unit];
        const status =
          (device?.info?.readOnly ? ST3_WRITE_PROTECTED : 0) |
          (device ? ST3_READY | ST3_TWO_SIDED : 0) |
          (drive.cylinder === 0 ? ST3_TRACK_0 : 0);
        this.finish([status | (second & 7)], false);
        break;
      }
      case RECALIBRATE:
        this.seek(unit, 0, ST0_SEEK_END | (this.media[unit] ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT_CHECK) | unit);
        break;
      case SEEK: {
        let target = third;
        if (first & SEEK_RELATIVE) target = first & SEEK_INWARD ? drive.cylinder + third : drive.cylinder - third;
        drive.head = (second >> 2) & 1;
        this.seek(unit, Math.max(0, Math.min(MAX_CYLINDER, target)), ST0_SEEK_END | (second & 7));
        break;
      }
      case SENSE_INTERRUPT:
        this.senseInterrupt();
        break;
      case DUMPREG:
        this.finish(
          [
            ...this.drives.map((each) => each.cylinder),
            ...this.specify,
            this.lastEot,
            (this.locked ? 0x80 : 0) | this.perpendicular,
            this.config,
            this.precompTrack,
          ],
          false,
        );
        break;
      case VERSION:
        this.finish([VERSION_82077], false);
        break;
      case PERPENDICULAR:
        // OW (bit 7) lets the drive bits be written.
        this.perpendicular = second & 0x80 ? second & 0x3f : (this.perpendicular & 0x3c) | (second & 0x03);
        this.finish([], false);
        break;
      case CONFIGURE:
        this.config = third & 0x7f;
        this.precompTrack = this.command[3]!;
        this.finish([], false);
        break;
      case LOCK:
        this.locked = (first & 0x80) !== 0;
        this.finish([this.locked ? 0x10 : 0], false);
        break;
      case READ_ID:
        this.readId(unit, (second >> 2) & 1);
        break;
      default:
        this.beginTransfer(code, unit, (second >> 2) & 1);
    }
  }

  private seek(unit: number, cylinder: number, st0: number): void {
    const drive = this.drives[unit]!;
    // Step pulses clear the change line while a disk is in.
    if (drive.cylinder !== cylinder && this.media[unit]?.info) drive.changed = false;
    drive.cylinder = cylinder;
    drive.seeking = true;
    drive.interrupt = st0;
    this.finish([], false);
    this.eventTimer.arm(this.clock.now() + EVENT_NS);
  }

  private senseInterrupt(): void {
    this.setIrq(false);
    if (this.resetSenses > 0) {
      const unit = 4 - this.resetSenses--;
      this.finish([ST0_READY_CHANGED | unit, this.drives[unit]!.cylinder], false);
      return;
    }
    const unit = this.drives.findIndex((drive) => drive.interrupt >= 0 && !drive.seeking);
    if (unit < 0) {
      this.finish([ST0_INVALID], false);
      return;
    }
    const drive = this.drives[unit]!;
    const st0 = drive.interrupt;
    drive.interrupt = -1;
    this.finish([st0, drive.cylinder], false);
    if (this.drives.some((other) => other.interrupt >= 0 && !other.seeking)) this.setIrq(true);
  }

  private readId(unit: number, head: number): void {
    const drive = this.drives[unit]!;
    const geometry = this.readable(unit);
    drive.head = head;
    const st0 = (head << 2) | unit;
    if (!geometry || drive.cylinder >= geometry.cylinders || head >= geometry.heads) {
      this.finish([st0 | ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0, drive.cylinder, head, 1, SECTOR_SIZE_CODE], true);
      return;
    }
    drive.lastId = (drive.lastId % geometry.sectors) + 1;
    this.finish([st0, 0, 0, drive.cylinder, head, drive.lastId, SECTOR_SIZE_CODE], true);
  }
}
