/**
 * 82077AA floppy disk controller with up to two drives.
 * Spec: Intel 82077AA data sheet (order 290166): section 2 (registers), 4 (controller phases), 5 (command set), 6 (status registers).
 *
 * The medium spins infinitely fast: data comes as soon as the host has it. Seeks and resets take a fixed short time, because software
 * may clear its interrupt flag only after it gave the command. Scan commands are answered as invalid.
 */
import { BLOCK_NO_MEDIUM, BLOCK_OK, BLOCK_READ_ONLY, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';
import { type FloppyGeometry, floppyGeometry } from './floppygeometry.ts';

const BASE = 0x3f0;
const SRA = 0;
const SRB = 1;
const DOR = 2;
const TDR = 3;
const MSR_DSR = 4;
const FIFO = 5;
/** 3F6h between them belongs to the IDE controller. */
const DIR_PORT = 0x3f7;

// DOR: MOTEN3..0 DMAEN RESET# DSEL1..0
const DOR_SELECT = 0x03;
const DOR_NOT_RESET = 0x04;
const DOR_DMA_ENABLE = 0x08;
const DSR_RESET = 0x80;
const RATE_MASK = 0x03;
const RATE_250 = 2;
// MSR: RQM DIO NONDMA CB DRV3..0 BUSY
const MSR_RQM = 0x80;
const MSR_DIO = 0x40;
const MSR_NON_DMA = 0x20;
const MSR_BUSY = 0x10;
const DIR_CHANGED = 0x80;

const ST0_ABNORMAL = 0x40;
const ST0_INVALID = 0x80;
const ST0_READY_CHANGED = 0xc0;
const ST0_SEEK_END = 0x20;
const ST0_EQUIPMENT_CHECK = 0x10;
const ST1_MISSING_ADDRESS = 0x01;
const ST1_NOT_WRITABLE = 0x02;
const ST1_NO_DATA = 0x04;
const ST1_DATA_ERROR = 0x20;
const ST1_END_OF_CYLINDER = 0x80;
const ST2_WRONG_CYLINDER = 0x10;
const ST2_DATA_ERROR = 0x20;
const ST2_CONTROL_MARK = 0x40;
const ST3_WRITE_PROTECTED = 0x40;
const ST3_READY = 0x20;
const ST3_TRACK_0 = 0x10;
const ST3_TWO_SIDED = 0x08;

// Command codes without MT, MFM, SK in bits 7..5.
const READ_TRACK = 0x02;
const SPECIFY = 0x03;
const SENSE_DRIVE = 0x04;
const WRITE_DATA = 0x05;
const READ_DATA = 0x06;
const RECALIBRATE = 0x07;
const SENSE_INTERRUPT = 0x08;
const WRITE_DELETED = 0x09;
const READ_ID = 0x0a;
const READ_DELETED = 0x0c;
const FORMAT_TRACK = 0x0d;
const DUMPREG = 0x0e;
const SEEK = 0x0f;
const VERSION = 0x10;
const PERPENDICULAR = 0x12;
const CONFIGURE = 0x13;
const LOCK = 0x14;
const VERIFY = 0x16;
const MULTI_TRACK = 0x80;
const VERSION_82077 = 0x90;
/** SEEK: bit 7 makes it relative, bit 6 says inwards. VERIFY: byte 1 bit 7 counts sectors. */
const SEEK_RELATIVE = 0x80;
const SEEK_INWARD = 0x40;
const VERIFY_COUNT = 0x80;

/** Bytes of a command with its parameters. */
const COMMAND_LENGTH: { readonly [code: number]: number } = {
  [READ_TRACK]: 9,
  [SPECIFY]: 3,
  [SENSE_DRIVE]: 2,
  [WRITE_DATA]: 9,
  [READ_DATA]: 9,
  [RECALIBRATE]: 2,
  [SENSE_INTERRUPT]: 1,
  [WRITE_DELETED]: 9,
  [READ_ID]: 2,
  [READ_DELETED]: 9,
  [FORMAT_TRACK]: 6,
  [DUMPREG]: 1,
  [SEEK]: 3,
  [VERSION]: 1,
  [PERPENDICULAR]: 2,
  [CONFIGURE]: 4,
  [LOCK]: 1,
  [VERIFY]: 9,
};

const CONFIG_IMPLIED_SEEK = 0x40;
const CONFIG_NO_FIFO = 0x20;
const CONFIG_NO_POLL = 0x10;
const SECTOR = 512;
const SECTOR_SIZE_CODE = 2;
const MAX_CYLINDER = 85;
/** Both sides of the fullest track. */
const BUFFER_SIZE = 72 * SECTOR;
const EVENT_NS = 50_000;

/** command: waits for command or parameters; io: waits for the disk; data: moves bytes by DMA or PIO; result: status bytes wait. */
const PHASES = ['command', 'io', 'data', 'result'] as const;
type Phase = (typeof PHASES)[number];

interface Drive {
  cylinder: number;
  head: number;
  changed: boolean;
  /** SEEK or RECALIBRATE under way. */
  seeking: boolean;
  /** ST0 for SENSE INTERRUPT, or -1. */
  interrupt: number;
  /** Sector number of the last address mark seen by READ ID. */
  lastId: number;
}

/** What the controller uses of the 8237: channel 2. */
export interface FdcDma {
  readonly ready: boolean;
  setRequest(level: boolean): void;
  toMemory(source: Uint8Array): { bytes: number; terminalCount: boolean };
  fromMemory(target: Uint8Array): { bytes: number; terminalCount: boolean };
  onReady(listener: () => void): void;
}

export interface FdcOptions {
  id: string;
  ports: PortBus;
  /** IRQ6. */
  irq: IrqLine;
  dma: FdcDma;
  clock: Clock;
  /** Drives A and B; undefined where none is fitted. */
  drives: readonly (BlockDevice | undefined)[];
  log: Logger;
}

export class Fdc implements Device {
  readonly id: string;
  private readonly irq: IrqLine;
  private readonly dma: FdcDma;
  private readonly clock: Clock;
  private readonly media: readonly (BlockDevice | undefined)[];
  private readonly log: Logger;
  private readonly eventTimer: Timer;
  /** Answers a transfer that has nothing to ask the disk for. */
  private readonly answerTimer: Timer;
  /** Data of the transfer under way; shared, so that the disk thread can fill it. */
  private buffer = new Uint8Array(new SharedArrayBuffer(BUFFER_SIZE));
  private drives: Drive[] = [freshDrive(), freshDrive(), freshDrive(), freshDrive()];
  private dor = 0;
  private tdr = 0;
  private rate = RATE_250;
  private phase: Phase = 'command';
  private command: number[] = [];
  private result: number[] = [];
  private irqPending = false;
  /** READY-changed states after a reset that SENSE INTERRUPT has not fetched. */
  private resetSenses = 0;
  private resetting = false;
  private specify = [0, 0];
  private config = CONFIG_NO_FIFO;
  private precompTrack = 0;
  private locked = false;
  private perpendicular = 0;
  private lastEot = 0;
  /** Transfer: bytes in the buffer, bytes already moved, sectors it stands for. */
  private length = 0;
  private position = 0;
  private terminalCount = false;
  /** Tells answers of the disk to a transfer that was cut off from those to the present one. */
  private generation = 0;

  constructor({ id, ports, irq, dma, clock, drives, log }: FdcOptions) {
    this.id = id;
    this.irq = irq;
    this.dma = dma;
    this.clock = clock;
    this.media = drives;
    this.log = log;
    this.eventTimer = clock.createTimer(() => this.event());
    this.answerTimer = clock.createTimer(() => this.diskDone(this.media[this.command[1]! & 3]?.info ? BLOCK_OK : BLOCK_NO_MEDIUM));
    drives.forEach((device, index) => {
      device?.onMediaChange(() => {
        this.drives[index]!.changed = true;
      });
    });
    dma.onReady(() => {
      if (this.phase === 'data' && !this.pio) this.moveByDma();
    });
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

  save(): DeviceState {
    const { dor, tdr, rate, phase, irqPending, resetSenses, resetting, config, precompTrack, locked, perpendicular, lastEot } = this;
    const { length, position, terminalCount } = this;
    const deadline = this.eventTimer.deadline;
    return {
      ...{ version: 1, dor, tdr, rate, phase, irqPending, resetSenses, resetting, config, precompTrack, locked, perpendicular, lastEot },
      ...{ length, position, terminalCount },
      eventIn: deadline === undefined ? null : deadline - this.clock.now(),
      command: [...this.command],
      result: [...this.result],
      specify: [...this.specify],
      drives: this.drives.map((drive) => ({ ...drive })),
      buffer: Uint8Array.from(this.buffer.subarray(0, length)),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const phase = reader.string('phase') as Phase;
    const buffer = reader.bytes('buffer');
    this.dor = reader.byte('dor');
    this.tdr = reader.byte('tdr');
    this.rate = reader.number('rate', 0, 3);
    this.irqPending = reader.boolean('irqPending');
    this.resetSenses = reader.number('resetSenses', 0, 4);
    this.resetting = reader.boolean('resetting');
    this.config = reader.byte('config');
    this.precompTrack = reader.byte('precompTrack');
    this.locked = reader.boolean('locked');
    this.perpendicular = reader.byte('perpendicular');
    this.lastEot = reader.byte('lastEot');
    this.length = Math.min(reader.number('length', 0, BUFFER_SIZE), buffer.length);
    this.position = reader.number('position', 0, BUFFER_SIZE);
    this.terminalCount = reader.boolean('terminalCount');
    this.command = reader.numbers('command', 9);
    this.result = reader.numbers('result', 10);
    this.specify = reader.numbers('specify', 2);
    this.drives = reader.objects('drives', 4).map((drive) => ({
      cylinder: drive.byte('cylinder'),
      head: drive.number('head', 0, 1),
      changed: drive.boolean('changed'),
      seeking: drive.boolean('seeking'),
      interrupt: drive.number('interrupt', -1, 0xff),
      lastId: drive.byte('lastId'),
    }));
    const eventIn = reader.optionalNumber('eventIn');
    this.buffer = new Uint8Array(new SharedArrayBuffer(BUFFER_SIZE));
    this.buffer.set(buffer.subarray(0, BUFFER_SIZE));
    this.phase = PHASES.includes(phase) ? phase : 'command';
    this.generation++;
    this.answerTimer.disarm();
    this.eventTimer.disarm();
    if (eventIn !== undefined) this.eventTimer.arm(this.clock.now() + eventIn);
    this.driveIrq();
    this.dma.setRequest(this.phase === 'data' && !this.pio);
    // The disk never heard of a request that was under way when the state was saved, or its answer is lost.
    if (this.phase === 'io') this.startDisk();
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

  /** Section 4.4: registers keep their values but what LOCK does not protect; commands under way end without result. */
  private softReset(): void {
    this.abort();
    this.eventTimer.disarm();
    this.resetting = false;
    this.resetSenses = 0;
    for (const drive of this.drives) {
      drive.seeking = false;
      drive.interrupt = -1;
    }
    if (!this.locked) {
      this.config = (this.config & CONFIG_IMPLIED_SEEK) | CONFIG_NO_FIFO;
      this.precompTrack = 0;
    }
    this.perpendicular &= 0x3c;
  }

  private endReset(): void {
    this.resetting = true;
    this.eventTimer.arm(this.clock.now() + EVENT_NS);
  }

  private abort(): void {
    this.generation++;
    // The disk may still read or fill the old buffer: the next command gets another one.
    if (this.phase === 'io') this.buffer = new Uint8Array(new SharedArrayBuffer(BUFFER_SIZE));
    this.answerTimer.disarm();
    this.phase = 'command';
    this.command = [];
    this.result = [];
    this.terminalCount = false;
    this.dma.setRequest(false);
    this.setIrq(false);
  }

  /** The end of a reset or of all seeks under way. */
  private event(): void {
    if (this.resetting) {
      this.resetting = false;
      if (this.config & CONFIG_NO_POLL) return;
      this.resetSenses = 4;
      this.setIrq(true);
      return;
    }
    for (const drive of this.drives) drive.seeking = false;
    this.setIrq(true);
  }

  private setIrq(level: boolean): void {
    this.irqPending = level;
    this.driveIrq();
  }

  private driveIrq(): void {
    this.irq.set(this.irqPending && (this.dor & DOR_DMA_ENABLE) !== 0);
  }

  private get pio(): boolean {
    return (this.specify[1]! & 1) !== 0;
  }

  private get writing(): boolean {
    const code = this.command[0]! & 0x1f;
    return code === WRITE_DATA || code === WRITE_DELETED || code === FORMAT_TRACK;
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
    const code = this.codeOf(this.command[0]!);
    const length = COMMAND_LENGTH[code];
    if (length === undefined) this.invalid();
    else if (this.command.length >= length) this.execute(code);
  }

  /** Commands with fixed upper bits are valid only as they are. */
  private codeOf(value: number): number {
    const code = value & 0x1f;
    switch (code) {
      case SPECIFY:
      case SENSE_DRIVE:
      case RECALIBRATE:
      case SENSE_INTERRUPT:
      case DUMPREG:
      case VERSION:
      case PERPENDICULAR:
      case CONFIGURE:
        return value === code ? code : -1;
      case LOCK:
        return (value & 0x7f) === code ? code : -1;
      case SEEK:
        return (value & 0x3f) === code ? code : -1;
      default:
        return code;
    }
  }

  private invalid(): void {
    this.log.guest(`invalid floppy command 0x${this.command[0]!.toString(16)}`);
    this.finish([ST0_INVALID], false);
  }

  /** Enters the result phase, or goes back to idle when there is nothing to tell. */
  private finish(result: number[], interrupt: boolean): void {
    this.dma.setRequest(false);
    this.result = result;
    this.terminalCount = false;
    if (result.length === 0) {
      this.phase = 'command';
      this.command = [];
    } else this.phase = 'result';
    if (interrupt) this.setIrq(true);
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

  /** The format of the disk in a drive that turns and is read at the right rate; undefined when no address mark can be seen. */
  private readable(unit: number): FloppyGeometry | undefined {
    const info = this.media[unit]?.info;
    if (!info || !(this.dor & (0x10 << unit))) return undefined;
    const geometry = floppyGeometry(info.sizeBytes);
    return geometry.rates.includes(this.rate) ? geometry : undefined;
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

  private beginTransfer(code: number, unit: number, head: number): void {
    const drive = this.drives[unit]!;
    const geometry = this.readable(unit);
    drive.head = head;
    this.position = 0;
    this.length = 0;
    if (code === FORMAT_TRACK) {
      this.lastEot = this.command[3]!;
      if (!geometry) this.fail(ST1_MISSING_ADDRESS, 0);
      else if (this.media[unit]!.info!.readOnly) this.fail(ST1_NOT_WRITABLE, 0);
      else if (this.lastEot === 0) this.endTransfer(0, 0, 0);
      else {
        this.length = this.lastEot * 4;
        this.beginData();
      }
      return;
    }
    const [, , cylinder, side, sector, sizeCode, eot] = this.command as number[] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.lastEot = eot;
    if (this.config & CONFIG_IMPLIED_SEEK && drive.cylinder !== cylinder) {
      if (this.media[unit]?.info) drive.changed = false;
      drive.cylinder = Math.min(MAX_CYLINDER, cylinder);
    }
    if (!geometry || drive.cylinder >= geometry.cylinders || head >= geometry.heads) {
      this.fail(ST1_MISSING_ADDRESS, 0);
      return;
    }
    if (cylinder !== drive.cylinder) {
      this.fail(ST1_NO_DATA, ST2_WRONG_CYLINDER);
      return;
    }
    const start = code === READ_TRACK ? 1 : sector;
    if (sizeCode !== SECTOR_SIZE_CODE || side !== head || start < 1 || start > geometry.sectors) {
      this.fail(ST1_NO_DATA, 0);
      return;
    }
    const isWrite = code === WRITE_DATA || code === WRITE_DELETED;
    if (isWrite && this.media[unit]!.info!.readOnly) {
      this.fail(ST1_NOT_WRITABLE, 0);
      return;
    }
    // Up to the end of the track as EOT and the disk have it, and on the other side when MT is set.
    const last = Math.max(start, Math.min(eot, geometry.sectors));
    let sectors = last - start + 1;
    if (this.command[0]! & MULTI_TRACK && head === 0 && geometry.heads === 2 && code !== READ_TRACK) sectors += last;
    if (code === VERIFY && this.command[1]! & VERIFY_COUNT) sectors = Math.min(sectors, Math.max(1, this.command[8]!));
    // A sector with another address mark than asked for ends the command.
    if (code === READ_DELETED) sectors = 1;
    this.length = Math.min(sectors * SECTOR, BUFFER_SIZE);
    if (isWrite) this.beginData();
    else this.startDisk();
  }

  /** Where the transfer's sectors lie: runs of whole tracks, because EOT may end one side early. */
  private extents(bytes: number): { offset: number; start: number; length: number }[] {
    const unit = this.command[1]! & 3;
    const geometry = this.readable(unit);
    if (!geometry) return [];
    const drive = this.drives[unit]!;
    const code = this.command[0]! & 0x1f;
    const first = code === READ_TRACK ? 1 : this.command[4]!;
    const last = Math.max(first, Math.min(this.command[6]!, geometry.sectors));
    const track = (drive.cylinder * geometry.heads + drive.head) * geometry.sectors;
    const onFirst = Math.min(bytes, (last - first + 1) * SECTOR);
    const list = [{ offset: (track + first - 1) * SECTOR, start: 0, length: onFirst }];
    if (bytes > onFirst) list.push({ offset: (track + geometry.sectors) * SECTOR, start: onFirst, length: bytes - onFirst });
    return list;
  }

  /** Reads the sectors into the buffer, or writes them from it. */
  private startDisk(): void {
    this.phase = 'io';
    this.dma.setRequest(false);
    const unit = this.command[1]! & 3;
    const device = this.media[unit];
    const code = this.command[0]! & 0x1f;
    if (code === FORMAT_TRACK) {
      this.formatSectors();
      return;
    }
    const write = this.writing;
    // A transfer that stopped inside a sector fills it up with zeros.
    let bytes = this.length;
    if (write) {
      bytes = Math.ceil(this.position / SECTOR) * SECTOR;
      this.buffer.fill(0, this.position, bytes);
    } else this.buffer.fill(0, 0, bytes);
    const generation = this.generation;
    let waiting = 1;
    let worst: BlockStatus = BLOCK_OK;
    const done = (status: BlockStatus) => {
      if (generation !== this.generation) return;
      if (status !== BLOCK_OK) worst = status;
      if (--waiting === 0) this.diskDone(worst);
    };
    const size = device?.info?.sizeBytes ?? 0;
    for (const extent of this.extents(bytes)) {
      // An image that is shorter than its format reads as zeros past its end.
      const length = Math.max(0, Math.min(extent.length, size - extent.offset));
      if (length === 0 || !device) continue;
      waiting++;
      const view = [this.buffer.subarray(extent.start, extent.start + length)];
      if (write) device.write(extent.offset, view, done);
      else device.read(extent.offset, view, done);
    }
    // Nothing lies on the disk: the answer still must not come from inside the request.
    if (waiting === 1) this.answerTimer.arm(this.clock.now());
    else waiting--;
  }

  /** FORMAT TRACK: the buffer has C, H, R, N of each sector; sectors the format has are filled with the filler byte. */
  private formatSectors(): void {
    const unit = this.command[1]! & 3;
    const device = this.media[unit];
    const geometry = this.readable(unit);
    const drive = this.drives[unit]!;
    const generation = this.generation;
    const track = new Uint8Array(new SharedArrayBuffer(SECTOR)).fill(this.command[5]!);
    let waiting = 1;
    let worst: BlockStatus = BLOCK_OK;
    const done = (status: BlockStatus) => {
      if (generation !== this.generation) return;
      if (status !== BLOCK_OK) worst = status;
      if (--waiting === 0) this.diskDone(worst);
    };
    for (let at = 0; at + 4 <= this.position; at += 4) {
      const [cylinder, head, sector, sizeCode] = this.buffer.subarray(at, at + 4) as unknown as [number, number, number, number];
      if (!device || !geometry || cylinder !== drive.cylinder || head !== drive.head || sizeCode !== SECTOR_SIZE_CODE) continue;
      if (sector < 1 || sector > geometry.sectors || head >= geometry.heads || cylinder >= geometry.cylinders) continue;
      const offset = ((cylinder * geometry.heads + head) * geometry.sectors + sector - 1) * SECTOR;
      if (offset + SECTOR > device.info!.sizeBytes) continue;
      waiting++;
      device.write(offset, [track], done);
    }
    if (waiting === 1) this.answerTimer.arm(this.clock.now());
    else waiting--;
  }

  private diskDone(status: BlockStatus): void {
    if (status !== BLOCK_OK) {
      if (status === BLOCK_READ_ONLY) this.fail(ST1_NOT_WRITABLE, 0);
      else this.fail(ST1_DATA_ERROR, ST2_DATA_ERROR);
      return;
    }
    const code = this.command[0]! & 0x1f;
    if (code === VERIFY) {
      this.position = this.length;
      this.endTransfer(0, 0, 0);
    } else if (this.writing) this.endWrite();
    else this.beginData();
  }

  private beginData(): void {
    this.phase = 'data';
    this.position = 0;
    if (this.pio) this.setIrq(true);
    else {
      this.dma.setRequest(true);
      if (this.dma.ready) this.moveByDma();
    }
  }

  private moveByDma(): void {
    const rest = this.buffer.subarray(this.position, this.length);
    const { bytes, terminalCount } = this.writing ? this.dma.fromMemory(rest) : this.dma.toMemory(rest);
    this.position += bytes;
    this.terminalCount = terminalCount;
    // A channel that takes nothing is programmed wrongly; the command waits for it or for a reset.
    if (!terminalCount && this.position < this.length) return;
    if (this.writing) this.startDisk();
    else this.endRead();
  }

  private endRead(): void {
    const deleted = (this.command[0]! & 0x1f) === READ_DELETED;
    this.endOfData(deleted ? ST2_CONTROL_MARK : 0);
  }

  private endWrite(): void {
    if ((this.command[0]! & 0x1f) === FORMAT_TRACK) this.endTransfer(0, 0, 0);
    else this.endOfData(0);
  }

  /** Without terminal count the controller runs into the end of the track, which it reports as an error (section 6.2, EN). */
  private endOfData(st2: number): void {
    const overran = !this.terminalCount && st2 === 0;
    this.endTransfer(overran ? ST0_ABNORMAL : 0, overran ? ST1_END_OF_CYLINDER : 0, st2);
  }

  private fail(st1: number, st2: number): void {
    this.position = 0;
    this.endTransfer(ST0_ABNORMAL, st1, st2);
  }

  /** Result phase of a data command; the address is that of the sector after the last one moved (data sheet, table 5-5). */
  private endTransfer(st0: number, st1: number, st2: number): void {
    const unit = this.command[1]! & 3;
    const drive = this.drives[unit]!;
    const code = this.command[0]! & 0x1f;
    if (code === FORMAT_TRACK) {
      this.finish([st0 | (drive.head << 2) | unit, st1, st2, drive.cylinder, drive.head, 0, SECTOR_SIZE_CODE], true);
      return;
    }
    let [, , cylinder, head, sector] = this.command as number[] as [number, number, number, number, number];
    const eot = Math.max(sector, this.command[6]!);
    const sizeCode = this.command[5]!;
    const multiTrack = (this.command[0]! & MULTI_TRACK) !== 0;
    for (let left = Math.ceil(this.position / SECTOR); left > 0; left--) {
      if (sector < eot) sector++;
      else {
        sector = 1;
        if (multiTrack && head === 0) {
          head = 1;
          // The head really moved on only if sectors of that side were touched.
          if (left > 1) drive.head = 1;
        } else {
          if (multiTrack) head = 0;
          cylinder = (cylinder + 1) & 0xff;
        }
      }
    }
    this.finish([st0 | (drive.head << 2) | unit, st1, st2, cylinder, head, sector, sizeCode], true);
  }
}

function freshDrive(): Drive {
  return { cylinder: 0, head: 0, changed: true, seeking: false, interrupt: -1, lastId: 0 };
}
