import { BLOCK_NO_MEDIUM, BLOCK_OK, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';
import {
  CONFIG_IMPLIED_SEEK,
  CONFIG_NO_FIFO,
  CONFIG_NO_POLL,
  DOR_DMA_ENABLE,
  FORMAT_TRACK,
  RATE_250,
  SECTOR,
  WRITE_DATA,
  WRITE_DELETED,
} from './fdcregisters.ts';

/** Both sides of the fullest track. */
export const BUFFER_SIZE = 72 * SECTOR;
/** A reset or seek, nanoseconds. */
export const EVENT_NS = 50_000;

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

/** What the controller is made of, its phases, interrupts and resets; what it does with disks is FdcTransfer's, its commands are Fdc's. */
export abstract class FdcController {
  readonly id: string;
  protected readonly irq: IrqLine;
  protected readonly dma: FdcDma;
  protected readonly clock: Clock;
  protected readonly media: readonly (BlockDevice | undefined)[];
  protected readonly log: Logger;
  protected readonly eventTimer: Timer;
  /** Answers a transfer that has nothing to ask the disk for. */
  protected readonly answerTimer: Timer;
  /** Data of the transfer under way; shared, so that the disk thread can fill it. */
  protected buffer = new Uint8Array(new SharedArrayBuffer(BUFFER_SIZE));
  protected drives: Drive[] = [freshDrive(), freshDrive(), freshDrive(), freshDrive()];
  protected dor = 0;
  protected tdr = 0;
  protected rate = RATE_250;
  protected phase: Phase = 'command';
  protected command: number[] = [];
  protected result: number[] = [];
  protected irqPending = false;
  /** READY-changed states after a reset that SENSE INTERRUPT has not fetched. */
  protected resetSenses = 0;
  protected resetting = false;
  protected specify = [0, 0];
  protected config = CONFIG_NO_FIFO;
  protected precompTrack = 0;
  protected locked = false;
  protected perpendicular = 0;
  protected lastEot = 0;
  /** Transfer: bytes in the buffer, bytes already moved, sectors it stands for. */
  protected length = 0;
  protected position = 0;
  protected terminalCount = false;
  /** Tells answers of the disk to a transfer that was cut off from those to the present one. */
  protected generation = 0;

  constructor({ id, irq, dma, clock, drives, log }: FdcOptions) {
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
  }

  /** Reads the sectors of the command into the buffer, or writes them from it. */
  protected abstract startDisk(): void;
  /** The disk has done what startDisk asked it for. */
  protected abstract diskDone(status: BlockStatus): void;
  protected abstract moveByDma(): void;

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

  /** Section 4.4: registers keep their values but what LOCK does not protect; commands under way end without result. */
  protected softReset(): void {
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

  protected endReset(): void {
    this.resetting = true;
    this.eventTimer.arm(this.clock.now() + EVENT_NS);
  }

  protected abort(): void {
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
  protected event(): void {
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

  protected setIrq(level: boolean): void {
    this.irqPending = level;
    this.driveIrq();
  }

  protected driveIrq(): void {
    this.irq.set(this.irqPending && (this.dor & DOR_DMA_ENABLE) !== 0);
  }

  protected get pio(): boolean {
    return (this.specify[1]! & 1) !== 0;
  }

  protected get writing(): boolean {
    const code = this.command[0]! & 0x1f;
    return code === WRITE_DATA || code === WRITE_DELETED || code === FORMAT_TRACK;
  }

  /** Enters the result phase, or goes back to idle when there is nothing to tell. */
  protected finish(result: number[], interrupt: boolean): void {
    this.dma.setRequest(false);
    this.result = result;
    this.terminalCount = false;
    if (result.length === 0) {
      this.phase = 'command';
      this.command = [];
    } else this.phase = 'result';
    if (interrupt) this.setIrq(true);
  }
}

export function freshDrive(): Drive {
  return { cylinder: 0, head: 0, changed: true, seeking: false, interrupt: -1, lastId: 0 };
}
