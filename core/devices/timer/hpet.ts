/**
 * High precision event timer: one 64-bit counter and three comparators, each 64 bits wide and able to repeat.
 * Spec: IA-PC HPET specification 1.0a, sections 2.3 (registers) and 2.4.3 (legacy replacement).
 *
 * In legacy replacement mode timers 0 and 1 take the places of the 8254 and of the RTC as sources of ISA interrupts 0 and 8; so those two
 * chips are wired through this one (`pitInput`, `rtcInput`).
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { MmioBus } from '../../bus/mmiobus.ts';
import type { AccessSize } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock } from '../../util/clock.ts';
import { HPET_NS_PER_TICK, HpetTimer, joined, MASK64, split } from './hpettimer.ts';

export const HPET_BASE = 0xfed00000;
const WINDOW_BYTES = 1024;
const TIMERS = 3;
const FEMTOSECONDS_PER_TICK = HPET_NS_PER_TICK * 1_000_000;
/** Vendor 8086h, legacy replacement, 64-bit counter, number of the last timer, revision 1 (2.3.4, low half). */
export const HPET_ID = (0x8086 * 0x10000 + ((1 << 15) | (1 << 13) | ((TIMERS - 1) << 8) | 0x01)) >>> 0;
/** Shortest period that loses no interrupt, for the ACPI table: 100 us. */
export const HPET_MIN_PERIODIC_TICKS = 10_000;

// Register offsets (2.3.2).
const ID = 0x000;
const PERIOD = 0x004;
const CONFIGURATION = 0x010;
const STATUS = 0x020;
const COUNTER = 0x0f0;
const COUNTER_HIGH = 0x0f4;
const FIRST_TIMER = 0x100;
const TIMER_STRIDE = 0x20;
const TIMER_CONFIGURATION = 0x00;
const TIMER_ROUTES = 0x04;
const TIMER_COMPARATOR = 0x08;
const TIMER_COMPARATOR_HIGH = 0x0c;

const ENABLE = 0x01;
const LEGACY = 0x02;
/** Sources of ISA interrupts 0 and 8 in legacy replacement mode (2.4.3). */
const LEGACY_TIMERS = 2;

export interface HpetOptions {
  id: string;
  mmio: MmioBus;
  clock: Clock;
  /** ISA interrupts 0 and 8. */
  legacyIrqs: readonly [IrqLine, IrqLine];
  /** I/O APIC inputs that no other chip drives, by number; all timers can be routed to each of them. */
  inputs: ReadonlyMap<number, IrqLine>;
}

export class Hpet implements Device {
  readonly id: string;
  /** Where the 8254's output goes. */
  readonly pitInput: IrqLine;
  /** Where the RTC's interrupt goes. */
  readonly rtcInput: IrqLine;
  private readonly options: HpetOptions;
  private readonly timers: readonly HpetTimer[];
  /** Levels of `pitInput` and `rtcInput`. */
  private readonly chips = [false, false];
  private configuration = 0;
  /** One bit a timer: its level-triggered interrupt waits. */
  private status = 0;
  /** The counter was `base` at `baseTime`; it stands there while it is off. */
  private base = 0n;
  private baseTime = 0;
  /** Timer whose accumulator was set by the access before this one: the upper half of the same 64-bit write belongs to it too. */
  private halfSet: HpetTimer | undefined;

  constructor(options: HpetOptions) {
    this.id = options.id;
    this.options = options;
    const routes = [...options.inputs.keys()].reduce((bits, input) => bits | (1 << input), 0) >>> 0;
    this.timers = Array.from(
      { length: TIMERS },
      (_, index) => new HpetTimer({ routes, clock: options.clock, expired: () => this.expired(index) }),
    );
    const chip = (index: 0 | 1): IrqLine => ({
      set: (level) => {
        this.chips[index] = level;
        this.driveLegacy();
      },
    });
    this.pitInput = chip(0);
    this.rtcInput = chip(1);
    options.mmio.register({
      owner: options.id,
      base: HPET_BASE,
      length: WINDOW_BYTES,
      handler: { read: (offset, size) => this.read(offset, size), write: (offset, value, size) => this.write(offset, value, size) },
    });
  }

  reset(): void {
    this.configuration = this.status = this.baseTime = 0;
    this.base = 0n;
    this.halfSet = undefined;
    for (const timer of this.timers) timer.reset();
    this.drive();
  }

  private get running(): boolean {
    return (this.configuration & ENABLE) !== 0;
  }

  private get legacy(): boolean {
    return (this.configuration & (ENABLE | LEGACY)) === (ENABLE | LEGACY);
  }

  private ticksSinceBase(): number {
    return this.running ? Math.floor((this.options.clock.now() - this.baseTime) / HPET_NS_PER_TICK) : 0;
  }

  private get counter(): bigint {
    return (this.base + BigInt(this.ticksSinceBase())) & MASK64;
  }

  private set counter(value: bigint) {
    this.base = value & MASK64;
    this.baseTime = this.options.clock.now();
  }

  private read(offset: number, size: AccessSize): number {
    this.halfSet = undefined;
    this.settle();
    const value = this.readRegister(offset & ~3);
    return size === 4 ? value : (value >>> ((offset & 3) * 8)) & (2 ** (8 * size) - 1);
  }

  private readRegister(register: number): number {
    switch (register) {
      case ID:
        return HPET_ID;
      case PERIOD:
        return FEMTOSECONDS_PER_TICK;
      case CONFIGURATION:
        return this.configuration;
      case STATUS:
        return this.status;
      case COUNTER:
        return split(this.counter)[0];
      case COUNTER_HIGH:
        return split(this.counter)[1];
    }
    const timer = register < FIRST_TIMER ? undefined : this.timers[Math.floor((register - FIRST_TIMER) / TIMER_STRIDE)];
    if (!timer) return 0;
    switch (register % TIMER_STRIDE) {
      case TIMER_CONFIGURATION:
        return timer.configuration;
      case TIMER_ROUTES:
        return timer.routes;
      case TIMER_COMPARATOR:
        return split(timer.comparator)[0];
      case TIMER_COMPARATOR_HIGH:
        return split(timer.comparator)[1];
      default:
        return 0;
    }
  }

  private write(offset: number, value: number, size: AccessSize): void {
    const { halfSet } = this;
    this.halfSet = undefined;
    // Only aligned accesses of 32 or 64 bits are defined (2.3.1).
    if (size !== 4 || offset & 3) return;
    this.settle();
    switch (offset) {
      case CONFIGURATION:
        this.configure(value & (ENABLE | LEGACY));
        return;
      case STATUS:
        this.status &= ~value;
        this.drive();
        return;
      case COUNTER:
        this.counter = (this.counter & ~0xffffffffn) | BigInt(value);
        this.schedule();
        return;
      case COUNTER_HIGH:
        this.counter = (this.counter & 0xffffffffn) | (BigInt(value) << 32n);
        this.schedule();
        return;
    }
    const index = Math.floor((offset - FIRST_TIMER) / TIMER_STRIDE);
    const timer = this.timers[index];
    if (!timer) return;
    switch (offset % TIMER_STRIDE) {
      case TIMER_CONFIGURATION:
        timer.configure(value);
        // An edge-triggered interrupt has no status (2.3.6).
        if (!timer.level) this.status &= ~(1 << index);
        break;
      case TIMER_COMPARATOR:
        if (timer.setsAccumulator) this.halfSet = timer;
        timer.writeLow(value);
        break;
      case TIMER_COMPARATOR_HIGH:
        timer.writeHigh(value, halfSet === timer);
        break;
      default:
        return;
    }
    timer.schedule(this.running ? this.counter : undefined);
    this.drive();
  }

  private configure(value: number): void {
    const counter = this.counter;
    this.configuration = value;
    this.counter = counter;
    this.schedule();
    this.drive();
  }

  private schedule(): void {
    for (const timer of this.timers) timer.schedule(this.running ? this.counter : undefined);
  }

  private settle(): void {
    for (const timer of this.timers) timer.settle();
  }

  private expired(index: number): void {
    const timer = this.timers[index]!;
    timer.advance(this.counter);
    if (timer.level) {
      this.status |= 1 << index;
      this.drive();
    } else if (timer.enabled) this.pulse(index);
  }

  /** An edge: the line goes up from wherever it is. */
  private pulse(index: number): void {
    const line = this.legacy && index < LEGACY_TIMERS ? this.options.legacyIrqs[index] : this.options.inputs.get(this.timers[index]!.route);
    line?.set(false);
    line?.set(true);
    line?.set(false);
    this.drive();
  }

  private asserts(index: number): boolean {
    const timer = this.timers[index]!;
    return this.running && timer.level && timer.enabled && (this.status & (1 << index)) !== 0;
  }

  /** Sets every line to its level. */
  private drive(): void {
    for (const [input, line] of this.options.inputs)
      line.set(this.timers.some((timer, index) => timer.route === input && this.asserts(index) && !(this.legacy && index < LEGACY_TIMERS)));
    this.driveLegacy();
  }

  private driveLegacy(): void {
    this.options.legacyIrqs.forEach((line, index) => {
      line.set(this.legacy ? this.asserts(index) : this.chips[index]!);
    });
  }

  save(): DeviceState {
    return {
      version: 1,
      configuration: this.configuration,
      status: this.status,
      counter: split(this.counter),
      pit: this.chips[0]!,
      rtc: this.chips[1]!,
      timers: this.timers.map((timer) => timer.save()),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    this.configuration = reader.byte('configuration') & (ENABLE | LEGACY);
    this.status = reader.byte('status') & ((1 << TIMERS) - 1);
    this.counter = joined(reader, 'counter');
    this.chips[0] = reader.boolean('pit');
    this.chips[1] = reader.boolean('rtc');
    this.halfSet = undefined;
    reader.objects('timers', TIMERS).forEach((timer, index) => {
      this.timers[index]!.restore(timer);
    });
    this.drive();
  }
}
