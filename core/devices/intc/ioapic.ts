/**
 * I/O APIC with 24 inputs.
 * Spec: Intel 82093AA data sheet, order 290566, section 3 (registers) and 2.4 (interrupts).
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { MmioBus } from '../../bus/mmiobus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

export const IOAPIC_BASE = 0xfec00000;
const WINDOW_BYTES = 4096;
export const IOAPIC_INPUTS = 24;

const IOREGSEL = 0x00;
const IOWIN = 0x10;
// Indexed registers (3.2).
const REG_ID = 0x00;
const REG_VERSION = 0x01;
const REG_ARBITRATION = 0x02;
const REG_TABLE = 0x10;
/** Version 11h; the highest entry is number 23. */
const VERSION_VALUE = ((IOAPIC_INPUTS - 1) << 16) | 0x11;
const ID_MASK = 0x0f000000;

// Redirection entry, low word (3.2.4).
const LOGICAL = 1 << 11;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
/** Delivery status (bit 12) and remote IRR (bit 14) are read-only. Polarity (bit 13) is kept and has no effect: lines here carry "asserted". */
const LOW_WRITABLE = 0x1afff;
const HIGH_WRITABLE = 0xff000000;

/** What an I/O APIC needs of the processors' APICs. */
export interface ApicMessages {
  accepts(destination: number, logical: boolean): boolean;
  /** False when no processor took the message. */
  deliver(mode: number, vector: number, level: boolean): boolean;
}

export interface IoapicOptions {
  id: string;
  mmio: MmioBus;
  apic: ApicMessages;
}

export class Ioapic implements Device {
  readonly id: string;
  /** Inputs; ISA interrupt 0 arrives at input 2, the others at that of their number, PIRQ A..D at 16..19. */
  readonly inputs: readonly IrqLine[];
  private readonly apic: ApicMessages;
  private readonly low = new Uint32Array(IOAPIC_INPUTS);
  private readonly high = new Uint32Array(IOAPIC_INPUTS);
  /** Bit an input: its level as driven from outside. */
  private lines = 0;
  private apicId = 0;
  private select = 0;

  constructor({ id, mmio, apic }: IoapicOptions) {
    this.id = id;
    this.apic = apic;
    this.inputs = Array.from({ length: IOAPIC_INPUTS }, (_, index) => ({ set: (level: boolean) => this.setLine(index, level) }));
    this.reset();
    mmio.register({
      owner: id,
      base: IOAPIC_BASE,
      length: WINDOW_BYTES,
      handler: {
        read: (offset) => (offset === IOREGSEL ? this.select : offset === IOWIN ? this.readSelected() : 0),
        write: (offset, value) => {
          if (offset === IOREGSEL) this.select = value & 0xff;
          else if (offset === IOWIN) this.writeSelected(value);
        },
      },
    });
  }

  /** A local APIC finished this level-triggered vector: inputs still high ask again. */
  endOfInterrupt(vector: number): void {
    for (let index = 0; index < IOAPIC_INPUTS; index++) {
      const entry = this.low[index]!;
      if ((entry & 0xff) !== vector || (entry & REMOTE_IRR) === 0) continue;
      this.low[index] = entry & ~REMOTE_IRR;
      this.service(index);
    }
  }

  /** A processor takes interrupts that it refused before: level-triggered inputs still high ask again. */
  retry(): void {
    for (let index = 0; index < IOAPIC_INPUTS; index++) this.service(index);
  }

  reset(): void {
    this.low.fill(MASKED);
    this.high.fill(0);
    this.apicId = 0;
    this.select = 0;
  }

  private setLine(index: number, level: boolean): void {
    const bit = 1 << index;
    const rising = level && (this.lines & bit) === 0;
    this.lines = level ? this.lines | bit : this.lines & ~bit;
    if (!rising) return;
    if (this.low[index]! & LEVEL) this.service(index);
    // An edge that finds its entry masked is lost (3.2.4, bit 16).
    else if (!(this.low[index]! & MASKED)) this.send(index);
  }

  /** Delivers a level-triggered input that is high, once until the processor says EOI. */
  private service(index: number): void {
    const entry = this.low[index]!;
    if ((entry & (LEVEL | MASKED | REMOTE_IRR)) !== LEVEL || (this.lines & (1 << index)) === 0) return;
    if (this.send(index)) this.low[index] = this.low[index]! | REMOTE_IRR;
  }

  /** True when a processor took the message. */
  private send(index: number): boolean {
    const entry = this.low[index]!;
    const destination = this.high[index]! >>> 24;
    if (!this.apic.accepts(destination, (entry & LOGICAL) !== 0)) return false;
    return this.apic.deliver((entry >> 8) & 7, entry & 0xff, (entry & LEVEL) !== 0);
  }

  private readSelected(): number {
    switch (this.select) {
      case REG_ID:
      case REG_ARBITRATION:
        return this.apicId;
      case REG_VERSION:
        return VERSION_VALUE;
      default: {
        const index = (this.select - REG_TABLE) >> 1;
        if (index < 0 || index >= IOAPIC_INPUTS) return 0xffffffff;
        return this.select & 1 ? this.high[index]! : this.low[index]!;
      }
    }
  }

  private writeSelected(value: number): void {
    if (this.select === REG_ID) {
      this.apicId = value & ID_MASK;
      return;
    }
    const index = (this.select - REG_TABLE) >> 1;
    if (index < 0 || index >= IOAPIC_INPUTS) return;
    if (this.select & 1) {
      this.high[index] = value & HIGH_WRITABLE;
      return;
    }
    let entry = (value & LOW_WRITABLE) | (this.low[index]! & REMOTE_IRR);
    // An entry turned to edge mode waits for no EOI any more.
    if (!(entry & LEVEL)) entry &= ~REMOTE_IRR;
    this.low[index] = entry;
    this.service(index);
  }

  save(): DeviceState {
    return { version: 1, apicId: this.apicId, select: this.select, lines: this.lines, low: [...this.low], high: [...this.high] };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    this.apicId = reader.number('apicId', 0, 0xffffffff) & ID_MASK;
    this.select = reader.byte('select');
    this.lines = reader.number('lines', 0, 2 ** IOAPIC_INPUTS - 1);
    this.low.set(reader.numbers('low', IOAPIC_INPUTS).map((entry) => entry & (LOW_WRITABLE | REMOTE_IRR)));
    this.high.set(reader.numbers('high', IOAPIC_INPUTS).map((entry) => entry & HIGH_WRITABLE));
  }
}
