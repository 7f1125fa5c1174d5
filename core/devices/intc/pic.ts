/**
 * Two cascaded 8259A programmable interrupt controllers as in a PC with PIIX3.
 * Spec: Intel 8259A data sheet (order 231468); 82371SB (PIIX3) data sheet, section 2.5 for the ELCR registers.
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';

const MASTER_BASE = 0x20;
const SLAVE_BASE = 0xa0;
const ELCR_BASE = 0x4d0;
const CASCADE_INPUT = 2;

// First command byte, A0 = 0: D4 = 1 is ICW1, else D3 tells OCW3 from OCW2.
const CMD_ICW1 = 0x10;
const CMD_OCW3 = 0x08;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW1_LEVEL = 0x08;
const ICW4_AUTO_EOI = 0x02;
const ICW4_FULLY_NESTED = 0x10;
const OCW3_READ_ENABLE = 0x02;
const OCW3_READ_ISR = 0x01;
const OCW3_POLL = 0x04;
const OCW3_MASK_ENABLE = 0x40;
const OCW3_MASK_SET = 0x20;

// ELCR: inputs 0, 1, 2, 8 and 13 are always edge-triggered (PIIX3 2.5.4).
const ELCR_MASTER_MASK = 0xf8;
const ELCR_SLAVE_MASK = 0xde;

/** One 8259A without its wiring. */
class PicChip {
  /** Levels of IR0..7 as driven from outside. */
  lines = 0;
  irr = 0;
  isr = 0;
  imr = 0;
  elcr = 0;
  vectorBase = 0;
  /** The input with the lowest priority; 7 after initialisation, so that IR0 is highest. */
  lowestPriority = 7;
  /** 0 operating, 1 waiting for ICW2, 2 for ICW3, 3 for ICW4. */
  initStep = 0;
  icw1 = 0;
  autoEoi = false;
  rotateOnAutoEoi = false;
  specialFullyNested = false;
  specialMask = false;
  readIsr = false;
  poll = false;

  private readonly isMaster: boolean;
  readonly elcrMask: number;

  constructor(isMaster: boolean) {
    this.isMaster = isMaster;
    this.elcrMask = isMaster ? ELCR_MASTER_MASK : ELCR_SLAVE_MASK;
  }

  reset(): void {
    this.initialise(0);
    this.initStep = 0;
    this.elcr = 0;
    this.irr = 0;
    this.vectorBase = 0;
  }

  setLine(input: number, level: boolean): void {
    const bit = 1 << input;
    const was = (this.lines & bit) !== 0;
    this.lines = level ? this.lines | bit : this.lines & ~bit;
    if (this.elcr & bit) this.irr = level ? this.irr | bit : this.irr & ~bit;
    // A request stays latched when the pin falls before the acknowledge: board logic on a PC holds edge requests.
    else if (level && !was) this.irr |= bit;
  }

  setElcr(value: number): void {
    this.elcr = value & this.elcrMask;
    this.irr = (this.irr & ~this.elcr) | (this.lines & this.elcr);
  }

  /** The input that wants service now, or -1. */
  pending(): number {
    const request = this.priorityOf(this.irr & ~this.imr);
    if (request === 8) return -1;
    let inService = this.isr;
    if (this.specialMask) inService &= ~this.imr;
    // In special fully nested mode the slave may interrupt again while its own bit is in service.
    if (this.specialFullyNested && this.isMaster) inService &= ~(1 << CASCADE_INPUT);
    return request < this.priorityOf(inService) ? (request + this.lowestPriority + 1) & 7 : -1;
  }

  acknowledge(input: number): void {
    const bit = 1 << input;
    if (!(this.elcr & bit)) this.irr &= ~bit;
    if (!this.autoEoi) this.isr |= bit;
    else if (this.rotateOnAutoEoi) this.lowestPriority = input;
  }

  writeCommand(value: number): void {
    if (value & CMD_ICW1) {
      this.initialise(value);
      return;
    }
    if (value & CMD_OCW3) {
      if (value & OCW3_POLL) this.poll = true;
      if (value & OCW3_READ_ENABLE) this.readIsr = (value & OCW3_READ_ISR) !== 0;
      if (value & OCW3_MASK_ENABLE) this.specialMask = (value & OCW3_MASK_SET) !== 0;
      return;
    }
    const input = value & 7;
    switch (value >> 5) {
      case 0: // rotate in automatic EOI mode, clear
      case 4: // set
        this.rotateOnAutoEoi = value >> 5 === 4;
        break;
      case 1: // non-specific EOI
      case 5: {
        // rotate on non-specific EOI
        const priority = this.priorityOf(this.specialMask ? this.isr & ~this.imr : this.isr);
        if (priority === 8) break;
        const served = (priority + this.lowestPriority + 1) & 7;
        this.isr &= ~(1 << served);
        if (value >> 5 === 5) this.lowestPriority = served;
        break;
      }
      case 3: // specific EOI
        this.isr &= ~(1 << input);
        break;
      case 6: // set priority
        this.lowestPriority = input;
        break;
      case 7: // rotate on specific EOI
        this.isr &= ~(1 << input);
        this.lowestPriority = input;
        break;
    }
  }

  writeData(value: number): void {
    switch (this.initStep) {
      case 0:
        this.imr = value;
        break;
      case 1:
        this.vectorBase = value & 0xf8;
        this.initStep = this.icw1 & ICW1_SINGLE ? (this.icw1 & ICW1_NEEDS_ICW4 ? 3 : 0) : 2;
        break;
      case 2: // ICW3: the wiring of a PC is fixed
        this.initStep = this.icw1 & ICW1_NEEDS_ICW4 ? 3 : 0;
        break;
      default:
        this.autoEoi = (value & ICW4_AUTO_EOI) !== 0;
        this.specialFullyNested = (value & ICW4_FULLY_NESTED) !== 0;
        this.initStep = 0;
    }
  }

  save(): { [key: string]: StateValue } {
    const { lines, irr, isr, imr, elcr, vectorBase, lowestPriority, initStep, icw1 } = this;
    const { autoEoi, rotateOnAutoEoi, specialFullyNested, specialMask, readIsr, poll } = this;
    return {
      ...{ lines, irr, isr, imr, elcr, vectorBase, lowestPriority, initStep, icw1 },
      ...{ autoEoi, rotateOnAutoEoi, specialFullyNested, specialMask, readIsr, poll },
    };
  }

  restore(state: StateReader): void {
    this.lines = state.byte('lines');
    this.irr = state.byte('irr');
    this.isr = state.byte('isr');
    this.imr = state.byte('imr');
    this.elcr = state.byte('elcr') & this.elcrMask;
    this.vectorBase = state.byte('vectorBase') & 0xf8;
    this.lowestPriority = state.number('lowestPriority', 0, 7);
    this.initStep = state.number('initStep', 0, 3);
    this.icw1 = state.byte('icw1');
    this.autoEoi = state.boolean('autoEoi');
    this.rotateOnAutoEoi = state.boolean('rotateOnAutoEoi');
    this.specialFullyNested = state.boolean('specialFullyNested');
    this.specialMask = state.boolean('specialMask');
    this.readIsr = state.boolean('readIsr');
    this.poll = state.boolean('poll');
  }

  /** ICW1: "the edge sense circuit is reset", mask and in-service cleared, IR7 lowest, special mask off, status read gives IRR. */
  private initialise(icw1: number): void {
    this.icw1 = icw1;
    this.initStep = 1;
    this.irr = this.lines & this.elcr;
    this.isr = 0;
    this.imr = 0;
    this.lowestPriority = 7;
    this.autoEoi = false;
    this.rotateOnAutoEoi = false;
    this.specialFullyNested = false;
    this.specialMask = false;
    this.readIsr = false;
    this.poll = false;
  }

  /** 0 for the highest priority among `bits`, 8 when there is none. */
  private priorityOf(bits: number): number {
    if (bits === 0) return 8;
    let priority = 0;
    while (!(bits & (1 << ((priority + this.lowestPriority + 1) & 7)))) priority++;
    return priority;
  }
}

export interface PicOptions {
  id: string;
  ports: PortBus;
  /** INTR of the processor (or LINT0 / I/O APIC ExtINT). Held high while a request is pending. */
  intr: IrqLine;
  log: Logger;
}

export class Pic implements Device {
  readonly id: string;
  /** IRQ 0..15. Input 2 is the cascade and goes nowhere. */
  readonly inputs: readonly IrqLine[];
  private readonly intr: IrqLine;
  private readonly log: Logger;
  private readonly master = new PicChip(true);
  private readonly slave = new PicChip(false);
  private output = false;

  constructor({ id, ports, intr, log }: PicOptions) {
    this.id = id;
    this.intr = intr;
    this.log = log;
    this.inputs = Array.from({ length: 16 }, (_, irq) => ({ set: (level: boolean) => this.setInput(irq, level) }));
    for (const [base, chip] of [
      [MASTER_BASE, this.master],
      [SLAVE_BASE, this.slave],
    ] as const)
      ports.register({
        owner: id,
        base,
        length: 2,
        handler: {
          read: (offset) => this.read(chip, offset),
          write: (offset, value) => this.write(chip, offset, value),
        },
      });
    ports.register({
      owner: id,
      base: ELCR_BASE,
      length: 2,
      handler: {
        read: (offset) => (offset ? this.slave : this.master).elcr,
        write: (offset, value) => {
          (offset ? this.slave : this.master).setElcr(value);
          this.update();
        },
      },
    });
  }

  /**
   * The processor's interrupt acknowledge cycle: gives the vector to call and marks the request as in service. Without a request any
   * more the answer is the spurious vector of input 7, and no in-service bit is set.
   */
  acknowledge(): number {
    const input = this.master.pending();
    if (input < 0) {
      this.update();
      return this.master.vectorBase + 7;
    }
    this.master.acknowledge(input);
    let vector = this.master.vectorBase + input;
    if (input === CASCADE_INPUT) {
      const slaveInput = this.slave.pending();
      if (slaveInput >= 0) this.slave.acknowledge(slaveInput);
      vector = this.slave.vectorBase + (slaveInput < 0 ? 7 : slaveInput);
      // INT of the slave drops with the acknowledge, so that a further request makes a new edge.
      this.master.setLine(CASCADE_INPUT, false);
    }
    this.update();
    return vector;
  }

  reset(_kind: 'power' | 'hard'): void {
    this.master.reset();
    this.slave.reset();
    this.update();
  }

  save(): DeviceState {
    return { version: 1, output: this.output, master: this.master.save(), slave: this.slave.save() };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    const output = reader.boolean('output');
    this.master.restore(reader.object('master'));
    this.slave.restore(reader.object('slave'));
    this.output = output;
    this.intr.set(output);
  }

  private setInput(irq: number, level: boolean): void {
    if (irq === CASCADE_INPUT) return;
    (irq < 8 ? this.master : this.slave).setLine(irq & 7, level);
    this.update();
  }

  private read(chip: PicChip, offset: number): number {
    if (chip.poll) {
      chip.poll = false;
      const input = chip.pending();
      if (input < 0) return 0;
      chip.acknowledge(input);
      if (chip === this.slave) this.master.setLine(CASCADE_INPUT, false);
      this.update();
      return 0x80 | input;
    }
    if (offset === 1) return chip.imr;
    return chip.readIsr ? chip.isr : chip.irr;
  }

  private write(chip: PicChip, offset: number, value: number): void {
    if (offset === 1) chip.writeData(value);
    else {
      if (value & CMD_ICW1 && value & ICW1_LEVEL) this.log.guest('ICW1 asks for level mode; this chipset takes the trigger mode from ELCR');
      chip.writeCommand(value);
    }
    this.update();
  }

  private update(): void {
    this.master.setLine(CASCADE_INPUT, this.slave.pending() >= 0);
    const output = this.master.pending() >= 0;
    if (output === this.output) return;
    this.output = output;
    this.intr.set(output);
  }
}
