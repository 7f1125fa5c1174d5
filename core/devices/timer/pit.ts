/**
 * 8254 programmable interval timer. Channel 0 drives IRQ0, channel 1 is the old refresh request, channel 2 the speaker (gate from port 61h).
 * Spec: Intel 8254 data sheet (order 231164), "Programming the 8254", "Mode Definitions", "Read-Back Command".
 *
 * All times are whole ticks of the 1.193182 MHz oscillator counted from machine time 0, so a counter read is exact at any moment.
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import { TickDebt } from './tickdebt.ts';

export const PIT_HZ = 1193182;
const PIT_BASE = 0x40;
const CONTROL = 3;

// Control word: SC1 SC0 RW1 RW0 M2 M1 M0 BCD. SC = 3 is the read-back command.
const SC_READ_BACK = 3;
const RW_LATCH = 0;
const RW_LSB = 1;
const RW_MSB = 2;
const RW_BOTH = 3;
const CONTROL_BCD = 0x01;
// Read-back: bit 5 = 0 latches counts, bit 4 = 0 latches status, bits 3..1 choose channels.
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;
const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;

/** Oscillator ticks that have passed at machine time `ns`. */
export function ticksAt(ns: number): number {
  return Math.floor((ns * PIT_HZ) / 1e9);
}

/** The first nanosecond at which `ticksAt` gives `tick`. */
export function timeOfTick(tick: number): number {
  let ns = Math.ceil((tick * 1e9) / PIT_HZ);
  while (ticksAt(ns) < tick) ns++;
  return ns;
}

class PitChannel {
  mode = 0;
  bcd = false;
  access = RW_BOTH;
  gate = true;
  /** Initial count in 1..65536 (or 10000 in BCD); 0 until a count was written after the control word. */
  count = 0;
  /** A count written while modes 2 and 3 run; taken at the end of the cycle. In modes 1 and 5: waits for a trigger. */
  nextCount = 0;
  /** Tick at which the running count began; meaningful when `running`. */
  start = 0;
  /** The cycle (mode 3: half cycle) boundary at which `nextCount` comes into force. */
  reloadAfter = 0;
  /** Counting was begun (by the count in modes 0, 2, 3, 4; by the gate in 1 and 5). */
  started = false;
  /** Ticks counted when a low gate froze the counter (modes 0 and 4), else -1. */
  frozen = -1;
  /** -1 when the low byte of a two-byte write has not come, else that byte. */
  writeLow = -1;
  readHigh = false;
  /** Latched count, or -1. */
  latch = -1;
  /** Latched status byte, or -1. */
  statusLatch = -1;

  reset(): void {
    const gate = this.gate;
    Object.assign(this, new PitChannel());
    this.gate = gate;
  }

  /** Takes `nextCount` once its boundary has passed. */
  settle(tick: number): void {
    if (this.nextCount === 0 || !this.started || !this.gate || (this.mode !== 2 && this.mode !== 3) || tick < this.reloadAfter) return;
    // A square wave that reloads at the end of its high half goes on with the low half of the new count.
    const atFall = (this.reloadAfter - this.start) % this.count !== 0;
    this.start = atFall ? this.reloadAfter - Math.ceil(this.nextCount / 2) : this.reloadAfter;
    this.count = this.nextCount;
    this.nextCount = 0;
  }

  writeControl(value: number): void {
    this.access = (value >> 4) & 3;
    const mode = (value >> 1) & 7;
    this.mode = mode > 5 ? mode - 4 : mode;
    this.bcd = (value & CONTROL_BCD) !== 0;
    this.count = 0;
    this.nextCount = 0;
    this.started = false;
    this.frozen = -1;
    this.writeLow = -1;
    this.readHigh = false;
    this.latch = -1;
    this.statusLatch = -1;
  }

  write(value: number, tick: number): void {
    if (this.access === RW_LSB) this.load(value, tick);
    else if (this.access === RW_MSB) this.load(value << 8, tick);
    else if (this.writeLow < 0) {
      this.writeLow = value;
      // "Writing the first byte disables counting, OUT is set low immediately" (mode 0).
      if (this.mode === 0) {
        this.started = false;
        this.frozen = -1;
      }
    } else {
      const low = this.writeLow;
      this.writeLow = -1;
      this.load(low | (value << 8), tick);
    }
  }

  private load(raw: number, tick: number): void {
    let count = raw;
    if (this.bcd) count = (raw & 15) + ((raw >> 4) & 15) * 10 + ((raw >> 8) & 15) * 100 + ((raw >> 12) & 15) * 1000;
    if (count === 0) count = this.bcd ? 10000 : 0x10000;
    this.settle(tick);
    switch (this.mode) {
      case 2:
      case 3:
        if (this.started) {
          this.nextCount = count;
          this.reloadAfter = this.nextBoundary(tick);
          return;
        }
        this.begin(count, tick);
        return;
      case 1:
      case 5:
        if (this.count === 0) this.count = count;
        this.nextCount = count;
        return;
      default:
        this.begin(count, tick);
    }
  }

  private begin(count: number, tick: number): void {
    this.count = count;
    this.nextCount = 0;
    this.start = tick;
    this.started = true;
    this.frozen = this.gate ? -1 : 0;
  }

  private nextBoundary(tick: number): number {
    const phase = (tick - this.start) % this.count;
    const cycle = tick - phase;
    const half = Math.ceil(this.count / 2);
    return this.mode === 3 && phase < half ? cycle + half : cycle + this.count;
  }

  setGate(level: boolean, tick: number): void {
    if (level === this.gate) return;
    this.settle(tick);
    this.gate = level;
    switch (this.mode) {
      case 0:
      case 4:
        if (!this.started) return;
        if (!level) this.frozen = tick - this.start;
        else {
          this.start = tick - this.frozen;
          this.frozen = -1;
        }
        return;
      case 2:
      case 3:
        if (!this.started) return;
        if (!level) this.frozen = (tick - this.start) % this.count;
        // A rising gate reloads the counter.
        else this.begin(this.nextCount || this.count, tick);
        return;
      default: // 1 and 5: a rising gate triggers
        if (level && this.count !== 0) this.begin(this.nextCount || this.count, tick);
    }
  }

  /** Ticks counted since the count was loaded. */
  private elapsed(tick: number): number {
    return this.frozen >= 0 && this.mode !== 1 && this.mode !== 5 ? this.frozen : tick - this.start;
  }

  out(tick: number): boolean {
    this.settle(tick);
    if (!this.started) return this.mode !== 0;
    const elapsed = this.elapsed(tick);
    switch (this.mode) {
      case 0:
      case 1:
        return elapsed >= this.count;
      case 2:
        return !this.gate || elapsed % this.count !== this.count - 1;
      case 3:
        return !this.gate || elapsed % this.count < Math.ceil(this.count / 2);
      default:
        return elapsed !== this.count;
    }
  }

  /** Tick of the first rise of OUT after `tick`, or undefined when none will come by itself. */
  nextRise(tick: number): number | undefined {
    this.settle(tick);
    if (!this.started || (this.frozen >= 0 && this.mode !== 1 && this.mode !== 5)) return undefined;
    const elapsed = tick - this.start;
    switch (this.mode) {
      case 0:
      case 1:
        return elapsed < this.count ? this.start + this.count : undefined;
      case 2:
      case 3:
        if (!this.gate) return undefined;
        if (this.nextCount !== 0) {
          const atFall = (this.reloadAfter - this.start) % this.count !== 0;
          return atFall ? this.reloadAfter + Math.floor(this.nextCount / 2) : this.reloadAfter;
        }
        return this.start + (Math.floor(elapsed / this.count) + 1) * this.count;
      default:
        return elapsed <= this.count ? this.start + this.count + 1 : undefined;
    }
  }

  /** Ticks between two rises of a wave that repeats by itself and is not about to change, else 0. */
  get period(): number {
    return (this.mode === 2 || this.mode === 3) && this.nextCount === 0 ? this.count : 0;
  }

  private counter(tick: number): number {
    this.settle(tick);
    if (!this.started) return this.toBus(this.count);
    const elapsed = this.elapsed(tick);
    if (this.mode === 2) return this.toBus(this.count - (elapsed % this.count));
    if (this.mode === 3) {
      const phase = elapsed % this.count;
      const half = Math.ceil(this.count / 2);
      // Decrements by two through each half; odd counts begin one lower.
      return this.toBus((this.count & ~1) - 2 * (phase < half ? phase : phase - half));
    }
    // The others wrap and count on.
    const modulus = this.bcd ? 10000 : 0x10000;
    return this.toBus((((this.count - elapsed) % modulus) + modulus) % modulus);
  }

  private toBus(value: number): number {
    if (!this.bcd) return value & 0xffff;
    const v = value % 10000;
    return (v % 10) | ((Math.floor(v / 10) % 10) << 4) | ((Math.floor(v / 100) % 10) << 8) | (Math.floor(v / 1000) << 12);
  }

  latchCount(tick: number): void {
    if (this.latch < 0) this.latch = this.counter(tick);
  }

  latchStatus(tick: number): void {
    if (this.statusLatch >= 0) return;
    const nullCount = this.count === 0 || this.nextCount !== 0 || (!this.started && this.writeLow >= 0);
    this.statusLatch =
      (this.out(tick) ? STATUS_OUT : 0) |
      (nullCount ? STATUS_NULL_COUNT : 0) |
      (this.access << 4) |
      (this.mode << 1) |
      (this.bcd ? CONTROL_BCD : 0);
  }

  read(tick: number): number {
    if (this.statusLatch >= 0) {
      const status = this.statusLatch;
      this.statusLatch = -1;
      return status;
    }
    const value = this.latch >= 0 ? this.latch : this.counter(tick);
    if (this.access !== RW_BOTH) {
      this.latch = -1;
      return this.access === RW_MSB ? value >> 8 : value & 0xff;
    }
    this.readHigh = !this.readHigh;
    if (this.readHigh) return value & 0xff;
    this.latch = -1;
    return value >> 8;
  }

  save(tick: number): { [key: string]: StateValue } {
    this.settle(tick);
    const { mode, bcd, access, gate, count, nextCount, started, frozen, writeLow, readHigh, latch, statusLatch } = this;
    return {
      ...{ mode, bcd, access, gate, count, nextCount, started, frozen, writeLow, readHigh, latch, statusLatch },
      elapsed: started ? tick - this.start : 0,
      reloadIn: nextCount !== 0 && started ? this.reloadAfter - tick : 0,
    };
  }

  restore(state: StateReader, tick: number): void {
    this.mode = state.number('mode', 0, 5);
    this.bcd = state.boolean('bcd');
    this.access = state.number('access', 0, 3);
    this.gate = state.boolean('gate');
    this.count = state.number('count', 0, 0x10000);
    this.nextCount = state.number('nextCount', 0, 0x10000);
    this.started = state.boolean('started') && this.count > 0;
    this.frozen = state.number('frozen', -1);
    this.writeLow = state.number('writeLow', -1, 0xff);
    this.readHigh = state.boolean('readHigh');
    this.latch = state.number('latch', -1, 0xffff);
    this.statusLatch = state.number('statusLatch', -1, 0xff);
    this.start = this.started ? tick - state.number('elapsed', 0) : 0;
    this.reloadAfter = this.started && this.nextCount !== 0 ? tick + state.number('reloadIn') : 0;
  }
}

export interface PitOptions {
  id: string;
  ports: PortBus;
  /**
   * OUT of channel 0. Its rises come at the exact ticks; the low part of the rate generator (838 ns) is too short for a run loop and
   * shows as a low-high pulse at the rise.
   */
  irq: IrqLine;
  clock: Clock;
}

export class Pit implements Device {
  readonly id: string;
  private readonly irq: IrqLine;
  private readonly clock: Clock;
  private readonly timer: Timer;
  private readonly channels = [new PitChannel(), new PitChannel(), new PitChannel()] as const;
  private readonly debt = new TickDebt();
  private irqLevel = false;
  /** Tick of channel 0's next rise by its own count; interrupts that are owed may come before. */
  private nextRise = 0;

  constructor({ id, ports, irq, clock }: PitOptions) {
    this.id = id;
    this.irq = irq;
    this.clock = clock;
    this.timer = clock.createTimer(() => this.rise());
    this.channels[2].gate = false;
    ports.register({
      owner: id,
      base: PIT_BASE,
      length: 4,
      handler: {
        read: (offset) => (offset === CONTROL ? 0xff : this.channels[offset as 0 | 1 | 2].read(this.tick())),
        write: (offset, value) => this.write(offset, value),
      },
    });
  }

  /** GATE of channel 2: port 61h bit 0. */
  setGate2(level: boolean): void {
    this.channels[2].setGate(level, this.tick());
  }

  get gate2(): boolean {
    return this.channels[2].gate;
  }

  /** OUT of channel 2 at this moment: port 61h bit 5 and the speaker. */
  get out2(): boolean {
    return this.channels[2].out(this.tick());
  }

  reset(_kind: 'power' | 'hard'): void {
    for (const channel of this.channels) channel.reset();
    this.channels[2].gate = false;
    this.debt.clear();
    this.timer.disarm();
    this.setIrq(false);
  }

  save(): DeviceState {
    const tick = this.tick();
    return { version: 1, irqLevel: this.irqLevel, channels: this.channels.map((channel) => channel.save(tick)) };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const irqLevel = reader.boolean('irqLevel');
    const tick = this.tick();
    reader.objects('channels', 3).forEach((channel, index) => {
      this.channels[index as 0 | 1 | 2].restore(channel, tick);
    });
    this.irqLevel = irqLevel;
    this.irq.set(irqLevel);
    this.debt.clear();
    this.rearm(tick);
  }

  private tick(): number {
    return ticksAt(this.clock.now());
  }

  private write(offset: number, value: number): void {
    const tick = this.tick();
    if (offset === CONTROL) {
      const select = value >> 6;
      if (select === SC_READ_BACK) {
        this.channels.forEach((channel, index) => {
          if (!(value & (2 << index))) return;
          if (!(value & READ_BACK_NO_COUNT)) channel.latchCount(tick);
          if (!(value & READ_BACK_NO_STATUS)) channel.latchStatus(tick);
        });
        return;
      }
      const channel = this.channels[select as 0 | 1 | 2];
      if (((value >> 4) & 3) === RW_LATCH) {
        channel.latchCount(tick);
        return;
      }
      channel.writeControl(value);
    } else this.channels[offset as 0 | 1 | 2].write(value, tick);
    if (offset === 0 || (offset === CONTROL && value >> 6 === 0)) {
      const out = this.channels[0].out(tick);
      // A fall, or the high level that modes 1 to 5 start with, as on the chip.
      if (out !== this.irqLevel) this.setIrq(out);
      this.debt.clear();
      this.rearm(tick);
    }
  }

  private rise(): void {
    const tick = this.tick();
    const period = this.channels[0].period;
    if (tick < this.nextRise) this.debt.pay();
    else if (period > 0) this.debt.add(Math.floor((tick - this.nextRise) / period), timeOfTick(period));
    this.setIrq(false);
    this.setIrq(true);
    this.rearm(tick);
  }

  private rearm(tick: number): void {
    const next = this.channels[0].nextRise(tick);
    if (next === undefined) {
      this.timer.disarm();
      return;
    }
    this.nextRise = next;
    this.timer.arm(this.debt.next(this.clock.now(), timeOfTick(next), timeOfTick(this.channels[0].period)));
  }

  private setIrq(level: boolean): void {
    this.irqLevel = level;
    this.irq.set(level);
  }
}
