/**
 * Local APIC of one processor, in xAPIC mode.
 * Spec: Intel SDM volume 3, chapter 11 (Advanced Programmable Interrupt Controller); register table 11-1.
 */
import type { Device } from '../../bus/device.ts';
import type { MmioBus, MmioRange } from '../../bus/mmiobus.ts';
import type { AccessSize } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';
import type { LocalApicPort } from './interrupthub.ts';
import type { Tsc } from '../timer/tsc.ts';
import { LapicTimer, type LapicTimerMode } from './lapictimer.ts';
import { VectorSet } from './lapicvectors.ts';

export const LAPIC_DEFAULT_BASE = 0xfee00000;
const WINDOW_BYTES = 4096;

// Register offsets.
const ID = 0x020;
const VERSION = 0x030;
const TPR = 0x080;
const APR = 0x090;
const PPR = 0x0a0;
const EOI = 0x0b0;
const RRD = 0x0c0;
const LDR = 0x0d0;
const DFR = 0x0e0;
const SVR = 0x0f0;
const ISR = 0x100;
const TMR = 0x180;
const IRR = 0x200;
const ESR = 0x280;
const ICR_LOW = 0x300;
const ICR_HIGH = 0x310;
const LVT_TIMER = 0x320;
const LVT_THERMAL = 0x330;
const LVT_PERFORMANCE = 0x340;
const LVT_LINT0 = 0x350;
const LVT_LINT1 = 0x360;
const LVT_ERROR = 0x370;
const TIMER_INITIAL = 0x380;
const TIMER_CURRENT = 0x390;
const TIMER_DIVIDE = 0x3e0;

/** Version 14h, six local vector table entries (11.4.8). */
const VERSION_VALUE = 0x00050014;
// Local vector table (11.5.1).
const LVT_MASKED = 1 << 16;
const LVT_TIMER_MODE_SHIFT = 17;
const TIMER_MODES: readonly LapicTimerMode[] = ['one-shot', 'periodic', 'deadline', 'one-shot'];
/** Writable in the timer's entry when it knows deadline mode. */
const LVT_TIMER_DEADLINE = 1 << 18;
const LVT_OFFSETS = [LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR] as const;
/** Writable bits of each entry, in the order of LVT_OFFSETS. */
const LVT_WRITABLE = [0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;
const LVT_INDEX_LINT0 = 3;
const LVT_INDEX_ERROR = 5;

/** Delivery modes (11.5.1 and 11.6.1). */
export const DELIVER_FIXED = 0;
export const DELIVER_LOWEST = 1;
export const DELIVER_SMI = 2;
export const DELIVER_NMI = 4;
export const DELIVER_INIT = 5;
export const DELIVER_STARTUP = 6;
export const DELIVER_EXTINT = 7;

const SVR_ENABLED = 1 << 8;
const SVR_WRITABLE = 0x3ff;
// Error status (11.5.3).
const ESR_SEND_ILLEGAL_VECTOR = 1 << 5;
const ESR_RECEIVED_ILLEGAL_VECTOR = 1 << 6;
const ESR_ILLEGAL_REGISTER = 1 << 7;
// Interrupt command (11.6.1).
const ICR_LEVEL_ASSERT = 1 << 14;
const ICR_TRIGGER_LEVEL = 1 << 15;
const ICR_WRITABLE = 0xccfff;
const DESTINATION_LOGICAL = 1 << 11;
// IA32_APIC_BASE (11.4.4).
const BASE_ENABLE = 0x800;
/** Vectors 0..15 can't be delivered by an APIC. */
const FIRST_LEGAL_VECTOR = 16;

export interface LapicOptions {
  id: string;
  mmio: MmioBus;
  clock: Clock;
  /** With it the timer has a deadline mode, as CPUID then says. */
  tsc?: Tsc | undefined;
  /** The processor's NMI input. */
  nmi: () => void;
  /** An INIT message arrived: the processor restarts at its reset vector. */
  init: () => void;
  /** The guest finished a level-triggered interrupt: I/O APICs look at their lines again. */
  broadcastEoi: (vector: number) => void;
  /** It takes interrupts again after it did not: I/O APICs send what they could not deliver. */
  ready: () => void;
  log: Logger;
}

export class Lapic implements Device, LocalApicPort {
  readonly id: string;
  private readonly options: LapicOptions;
  private readonly irr = new VectorSet();
  private readonly isr = new VectorSet();
  private readonly tmr = new VectorSet();
  private readonly timer: LapicTimer;
  private readonly lvt = new Uint32Array(LVT_OFFSETS.length);
  private apicId = 0;
  private tpr = 0;
  private ldr = 0;
  private dfr = 0xffffffff;
  private svr = 0xff;
  /** What a read of ESR gives, and what gathered since the last write to it. */
  private esr = 0;
  private errors = 0;
  private icrLow = 0;
  private icrHigh = 0;
  private globallyEnabled = true;
  private lint0 = false;
  private range: MmioRange | undefined;
  private listener: (() => void) | undefined;

  constructor(options: LapicOptions) {
    this.id = options.id;
    this.options = options;
    this.timer = new LapicTimer(options.clock, () => this.localInterrupt(0), options.tsc);
    this.reset();
  }

  onChange(listener: () => void): void {
    this.listener = listener;
  }

  /** IA32_TSC_DEADLINE. */
  get tscDeadline(): bigint {
    return this.timer.deadline;
  }

  set tscDeadline(value: bigint) {
    this.timer.deadline = value;
  }

  /** WRMSR to IA32_APIC_BASE: bits 12..35 are the window's page, bit 11 turns the APIC on. */
  setBase(value: number): void {
    const base = Math.floor(value / WINDOW_BYTES) * WINDOW_BYTES;
    const enabled = (value & BASE_ENABLE) !== 0;
    const before = this.takesInterrupts;
    // Turned off, it forgets as after a reset (11.4.3).
    if (this.globallyEnabled && !enabled) this.clear();
    this.globallyEnabled = enabled;
    this.place(enabled ? base : undefined);
    if (!before && this.takesInterrupts) this.options.ready();
    this.listener?.();
  }

  private get takesInterrupts(): boolean {
    return this.globallyEnabled && (this.svr & SVR_ENABLED) !== 0;
  }

  get pending(): boolean {
    return this.deliverable() >= 0;
  }

  get passesExtInt(): boolean {
    if (!this.globallyEnabled) return true;
    const entry = this.lvt[LVT_INDEX_LINT0]!;
    return (entry & LVT_MASKED) === 0 && deliveryMode(entry) === DELIVER_EXTINT;
  }

  acknowledge(): number {
    const vector = this.deliverable();
    if (vector < 0) return -1;
    this.irr.delete(vector);
    this.isr.add(vector);
    return vector;
  }

  /** The 8259 pair's INTR arrives at LINT0. ExtINT goes past this chip (`passesExtInt`); other modes make a message of the rising edge. */
  setLint0(level: boolean): void {
    const rising = level && !this.lint0;
    this.lint0 = level;
    if (rising && this.globallyEnabled && deliveryMode(this.lvt[LVT_INDEX_LINT0]!) !== DELIVER_EXTINT) this.localInterrupt(LVT_INDEX_LINT0);
  }

  /** True when a message with this destination is for this processor (11.6.2). */
  accepts(destination: number, logical: boolean): boolean {
    if (!this.globallyEnabled) return false;
    if (!logical) return destination === this.apicId || destination === 0xff;
    const mine = this.ldr >>> 24;
    // Flat model: a bit each. Cluster model: high nibble names the cluster.
    if (this.dfr >>> 28 === 0xf) return (destination & mine) !== 0;
    return (destination >> 4 === mine >> 4 || destination >> 4 === 0xf) && (destination & mine & 0xf) !== 0;
  }

  /** A message from an I/O APIC or another processor. `level`: its trigger mode. False when it was not taken. */
  deliver(mode: number, vector: number, level: boolean): boolean {
    if (!this.globallyEnabled) return false;
    switch (mode) {
      case DELIVER_FIXED:
      case DELIVER_LOWEST:
        return this.accept(vector, level);
      case DELIVER_NMI:
        this.options.nmi();
        return true;
      case DELIVER_INIT:
        this.options.init();
        return true;
      default:
        // SMI has no handler on this board; STARTUP means nothing to a processor that runs.
        return true;
    }
  }

  /** The processor took an INIT: everything as after a reset but the APIC id, the window and what lies at LINT0 (11.4.7.3). */
  init(): void {
    this.clear();
    this.listener?.();
  }

  reset(): void {
    this.apicId = 0;
    this.clear();
    this.globallyEnabled = true;
    this.lint0 = false;
    this.place(LAPIC_DEFAULT_BASE);
    this.listener?.();
  }

  /** State after RESET (11.4.7.1), but for LINT0: it passes the 8259's interrupts on, as chipsets arrange for systems that know no APIC. */
  private clear(): void {
    for (const set of [this.irr, this.isr, this.tmr]) set.clear();
    this.timer.reset();
    this.lvt.fill(LVT_MASKED);
    this.lvt[LVT_INDEX_LINT0] = DELIVER_EXTINT << 8;
    this.tpr = this.ldr = this.esr = this.errors = this.icrLow = this.icrHigh = 0;
    this.dfr = 0xffffffff;
    this.svr = 0xff;
  }

  private place(base: number | undefined): void {
    const { mmio, log } = this.options;
    if (this.range && this.range.base === base) return;
    if (this.range) mmio.unregister(this.range);
    this.range = undefined;
    if (base === undefined) return;
    const range: MmioRange = {
      owner: this.id,
      base,
      length: WINDOW_BYTES,
      handler: { read: (offset, size) => this.read(offset, size), write: (offset, value, size) => this.write(offset, value, size) },
    };
    try {
      mmio.register(range);
      this.range = range;
    } catch {
      log.guest(`the APIC window at ${base.toString(16)} lies over another device`);
    }
  }

  private read(offset: number, size: AccessSize): number {
    // Only aligned 32-bit accesses are defined (11.4.1); parts of a register are given as they lie.
    const value = this.readRegister(offset & ~0xf);
    if (size === 4 && (offset & 0xf) === 0) return value;
    return (offset & 0xf) > 3 ? 0 : (value >>> ((offset & 3) * 8)) & (2 ** (8 * size) - 1);
  }

  private readRegister(register: number): number {
    const lvt = LVT_OFFSETS.indexOf(register as (typeof LVT_OFFSETS)[number]);
    if (lvt >= 0) return this.lvt[lvt]!;
    if (register >= ISR && register < ESR) {
      const set = register < TMR ? this.isr : register < IRR ? this.tmr : this.irr;
      return set.words[(register >> 4) & 7]!;
    }
    switch (register) {
      case ID:
        return this.apicId * 2 ** 24;
      case VERSION:
        return VERSION_VALUE;
      case TPR:
        return this.tpr;
      case PPR:
        return this.processorPriority();
      case LDR:
        return this.ldr;
      case DFR:
        return this.dfr;
      case SVR:
        return this.svr;
      case ESR:
        return this.esr;
      case ICR_LOW:
        return this.icrLow;
      case ICR_HIGH:
        return this.icrHigh;
      case TIMER_INITIAL:
        return this.timer.initialCount;
      case TIMER_CURRENT:
        return this.timer.currentCount;
      case TIMER_DIVIDE:
        return this.timer.divideConfiguration;
      case APR:
      case RRD:
      case EOI:
        return 0;
      default:
        this.error(ESR_ILLEGAL_REGISTER);
        return 0;
    }
  }

  private write(offset: number, value: number, size: AccessSize): void {
    if (size !== 4 || (offset & 0xf) !== 0) {
      this.options.log.guest(`a write of ${size} bytes to APIC offset ${offset.toString(16)} was ignored`);
      return;
    }
    const lvt = LVT_OFFSETS.indexOf(offset as (typeof LVT_OFFSETS)[number]);
    if (lvt >= 0) this.writeLvt(lvt, value);
    else this.writeRegister(offset, value);
    this.listener?.();
  }

  private writeRegister(offset: number, value: number): void {
    switch (offset) {
      case ID:
        this.apicId = value >>> 24;
        break;
      case TPR:
        this.tpr = value & 0xff;
        break;
      case EOI:
        this.endOfInterrupt();
        break;
      case LDR:
        this.ldr = (value & 0xff000000) >>> 0;
        break;
      case DFR:
        this.dfr = (value | 0x0fffffff) >>> 0;
        break;
      case SVR: {
        const before = this.takesInterrupts;
        this.svr = value & SVR_WRITABLE;
        // Turned off by software, every local interrupt is masked and stays so until it is written again (11.4.7.2).
        if (!(this.svr & SVR_ENABLED)) for (let i = 0; i < this.lvt.length; i++) this.lvt[i]! |= LVT_MASKED;
        if (!before && this.takesInterrupts) this.options.ready();
        break;
      }
      case ESR:
        this.esr = this.errors;
        this.errors = 0;
        break;
      case ICR_LOW:
        this.icrLow = value & ICR_WRITABLE;
        this.send();
        break;
      case ICR_HIGH:
        this.icrHigh = (value & 0xff000000) >>> 0;
        break;
      case TIMER_INITIAL:
        this.timer.initialCount = value;
        break;
      case TIMER_DIVIDE:
        this.timer.divideConfiguration = value;
        break;
      case VERSION:
      case APR:
      case PPR:
      case RRD:
      case TIMER_CURRENT:
        // Read-only.
        break;
      default:
        if (offset < ISR || offset >= ESR) this.error(ESR_ILLEGAL_REGISTER);
    }
  }

  private writeLvt(index: number, value: number): void {
    let entry = value & (LVT_WRITABLE[index]! | (index === 0 && this.options.tsc ? LVT_TIMER_DEADLINE : 0));
    if (!(this.svr & SVR_ENABLED)) entry |= LVT_MASKED;
    this.lvt[index] = entry;
    if (index === 0) this.timer.setMode(TIMER_MODES[(entry >> LVT_TIMER_MODE_SHIFT) & 3]!);
  }

  /** A source of the local vector table fires. */
  private localInterrupt(index: number): void {
    const entry = this.lvt[index]!;
    if (entry & LVT_MASKED) return;
    // Timer and error entries have no delivery mode: theirs reads as fixed.
    const mode = deliveryMode(entry);
    if (mode === DELIVER_NMI) this.options.nmi();
    else if (mode === DELIVER_FIXED) this.accept(entry & 0xff, false);
    this.listener?.();
  }

  private accept(vector: number, level: boolean): boolean {
    if (vector < FIRST_LEGAL_VECTOR) {
      this.error(ESR_RECEIVED_ILLEGAL_VECTOR);
      return false;
    }
    if (!this.takesInterrupts) return false;
    this.irr.add(vector);
    if (level) this.tmr.add(vector);
    else this.tmr.delete(vector);
    this.listener?.();
    return true;
  }

  private error(bit: number): void {
    const first = (this.errors & bit) === 0;
    this.errors |= bit;
    // An error entry with an illegal vector would report itself for ever.
    if (first && (this.lvt[LVT_INDEX_ERROR]! & 0xff) >= FIRST_LEGAL_VECTOR) this.localInterrupt(LVT_INDEX_ERROR);
  }

  /** Task or in-service priority, whichever is higher (11.8.3.1). */
  private processorPriority(): number {
    const inService = Math.max(this.isr.highest(), 0);
    return this.tpr >> 4 >= inService >> 4 ? this.tpr : inService & 0xf0;
  }

  /** Highest requested vector above the processor priority, -1 when none. */
  private deliverable(): number {
    if (!this.takesInterrupts) return -1;
    const vector = this.irr.highest();
    return vector >= 0 && vector >> 4 > this.processorPriority() >> 4 ? vector : -1;
  }

  private endOfInterrupt(): void {
    const vector = this.isr.highest();
    if (vector < 0) return;
    this.isr.delete(vector);
    if (this.tmr.has(vector)) this.options.broadcastEoi(vector);
  }

  /** Interprocessor interrupt. The only processor there is is this one. */
  private send(): void {
    const mode = deliveryMode(this.icrLow);
    const vector = this.icrLow & 0xff;
    const shorthand = (this.icrLow >> 18) & 3;
    const toMe =
      shorthand === 0 ? this.accepts(this.icrHigh >>> 24, (this.icrLow & DESTINATION_LOGICAL) !== 0) : shorthand === 1 || shorthand === 2;
    if ((mode === DELIVER_FIXED || mode === DELIVER_LOWEST) && vector < FIRST_LEGAL_VECTOR) {
      this.error(ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    // INIT level de-assert only synchronises arbitration ids (11.6.1).
    const deassert = mode === DELIVER_INIT && (this.icrLow & ICR_TRIGGER_LEVEL) !== 0 && (this.icrLow & ICR_LEVEL_ASSERT) === 0;
    if (toMe && !deassert) this.deliver(mode, vector, false);
  }

  save(): DeviceState {
    return {
      version: 1,
      base: this.range?.base ?? -1,
      enabled: this.globallyEnabled,
      apicId: this.apicId,
      tpr: this.tpr,
      ldr: this.ldr,
      dfr: this.dfr,
      svr: this.svr,
      esr: this.esr,
      errors: this.errors,
      icrLow: this.icrLow,
      icrHigh: this.icrHigh,
      lvt: [...this.lvt],
      lint0: this.lint0,
      irr: this.irr.save(),
      isr: this.isr.save(),
      tmr: this.tmr.save(),
      timer: this.timer.save(),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const base = reader.number('base', -1, 2 ** 36 - WINDOW_BYTES);
    this.globallyEnabled = reader.boolean('enabled');
    this.apicId = reader.byte('apicId');
    this.tpr = reader.byte('tpr');
    this.ldr = reader.number('ldr', 0, 0xffffffff);
    this.dfr = reader.number('dfr', 0, 0xffffffff);
    this.svr = reader.number('svr', 0, SVR_WRITABLE);
    this.esr = reader.byte('esr');
    this.errors = reader.byte('errors');
    this.icrLow = reader.number('icrLow', 0, 0xffffffff);
    this.icrHigh = reader.number('icrHigh', 0, 0xffffffff);
    this.lvt.set(reader.numbers('lvt', LVT_OFFSETS.length));
    this.lint0 = reader.boolean('lint0');
    this.irr.restore(reader, 'irr');
    this.isr.restore(reader, 'isr');
    this.tmr.restore(reader, 'tmr');
    this.timer.restore(reader.object('timer'));
    this.place(base < 0 ? undefined : Math.floor(base / WINDOW_BYTES) * WINDOW_BYTES);
    this.listener?.();
  }
}

const deliveryMode = (entry: number) => (entry >> 8) & 7;
