import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { ResetKind } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

/*
 * Intel 82371SB (PIIX3) function 0, PCI-to-ISA bridge; data sheet 290550.
 *
 * PIRQRC[A:D], 0x60..0x63 (section 2.3.4): bit 7 = not routed, bits 3..0 = ISA IRQ.
 * RC, port CF9 (section 2.6.2): bit 2 rising resets the CPU, bit 1 chooses a hard reset.
 */
const PIRQ_A = 0x60;
const PIRQ_DISABLED = 0x80;
/** IRQ 0, 1, 2, 8 and 13 can't be routed to. */
const ROUTABLE = 0xdef8;
const RC_RESET_CPU = 0x04;
const RC_HARD = 0x02;

export interface Piix3Options {
  id: string;
  /** Inputs of the 8259 pair. */
  isaInputs: readonly IrqLine[];
  /** PIRQA..D also arrive, unrouted, at I/O APIC inputs 16..19. */
  ioapicInputs: readonly [IrqLine, IrqLine, IrqLine, IrqLine] | undefined;
  /** The whole machine resets. */
  reset: () => void;
}

/** The ISA bridge: routes PCI interrupts and resets the machine. */
export class Piix3 extends PciDevice {
  /** Lines for the PCI bus. */
  readonly pirq: readonly [IrqLine, IrqLine, IrqLine, IrqLine];
  /** Port 0xCF9. */
  readonly resetControl: { read(): number; write(value: number): void };
  private readonly options: Piix3Options;
  private readonly levels = [false, false, false, false];
  /** ISA inputs we hold high, so that a changed route lets go of the old one. */
  private driven = 0;
  private control = 0;

  constructor(options: Piix3Options) {
    super(options.id, {
      vendor: 0x8086,
      device: 0x7000,
      classCode: 0x060100,
      multifunction: true,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
    });
    this.options = options;
    // Command: I/O, memory and bus master are always on, special cycles can be enabled (section 2.3.1).
    this.config[0x04] = 0x07;
    this.config[0x07] = 0x02;
    this.writeMask[0x04] = 0x08;
    this.writeMask[0x05] = 0;
    this.config[0x4c] = 0x4d;
    this.config[0x4e] = 0x03;
    this.writeMask[0x4c] = 0xff;
    this.writeMask[0x4e] = 0xff;
    this.writeMask[0x4f] = 0xff;
    for (let i = 0; i < 4; i++) {
      this.config[PIRQ_A + i] = PIRQ_DISABLED;
      this.writeMask[PIRQ_A + i] = 0x8f;
    }
    for (const register of [0x69, 0x6a, 0x70, 0x71, 0x76, 0x77, 0x82, 0xa0, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xaa, 0xab])
      this.writeMask[register] = 0xff;
    this.seal();
    const line = (index: number): IrqLine => ({ set: (level) => this.setPirq(index, level) });
    this.pirq = [line(0), line(1), line(2), line(3)];
    this.resetControl = {
      read: () => this.control,
      write: (value) => {
        const rising = (value & RC_RESET_CPU) !== 0 && (this.control & RC_RESET_CPU) === 0;
        this.control = value & RC_HARD;
        if (rising) this.options.reset();
      },
    };
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.control = 0;
    this.route();
  }

  override save(): DeviceState {
    return { ...super.save(), levels: this.levels.reduce((bits, level, i) => bits | (Number(level) << i), 0), control: this.control };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    const levels = reader.number('levels', 0, 0xf);
    for (let i = 0; i < 4; i++) this.levels[i] = (levels & (1 << i)) !== 0;
    this.control = reader.number('control', 0, RC_HARD) & RC_HARD;
    this.route();
  }

  protected override configWritten(offset: number, size: number): void {
    if (offset < PIRQ_A + 4 && offset + size > PIRQ_A) this.route();
  }

  private setPirq(index: number, level: boolean): void {
    this.levels[index] = level;
    this.options.ioapicInputs?.[index]?.set(level);
    this.route();
  }

  private route(): void {
    let wanted = 0;
    for (let i = 0; i < 4; i++) {
      const routing = this.config[PIRQ_A + i]!;
      if (this.levels[i] && !(routing & PIRQ_DISABLED)) wanted |= (1 << (routing & 0x0f)) & ROUTABLE;
    }
    const changed = wanted ^ this.driven;
    this.driven = wanted;
    for (let irq = 0; irq < 16; irq++) if (changed & (1 << irq)) this.options.isaInputs[irq]!.set((wanted & (1 << irq)) !== 0);
  }
}
