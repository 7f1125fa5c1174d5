import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { ResetKind } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { AccessSize, PortBus, PortRange } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import type { Logger } from '../../util/logger.ts';

/*
 * Intel 82371AB (PIIX4) function 3, power management; data sheet 290562 chapter 7. Register meanings: ACPI specification 1.0b section 4.7.
 *
 * PMBASE + 0  PM1 status   bit 0 timer overflow, 8 power button, 10 RTC, 15 wake
 *        + 2  PM1 enable   same positions
 *        + 4  PM1 control  bit 0 SCI_EN, 10..12 SLP_TYP, 13 SLP_EN
 *        + 8  PM timer     24 bits at 3.579545 MHz
 * Ports 0xAFE0..3: general-purpose event block; 0xB2/0xB3: SMI command and status.
 */
const PMBASE = 0x40;
const DEVACTB = 0x58;
const PMREGMISC = 0x80;
const SMBBASE = 0x90;
const SMBHSTCFG = 0xd2;
export const PM_BYTES = 64;
const PM_TIMER_HZ = 3_579_545;
export const GPE_BASE = 0xafe0;
export const GPE_BYTES = 4;
export const SMI_COMMAND = 0xb2;

/** Bit 23 of the timer changes this often. */
const TIMER_HALF = 0x800000;

const TMR_STS = 0x0001;
const PWRBTN_STS = 0x0100;
const SCI_EN = 0x0001;
const SLP_EN = 0x2000;

/** Values of the FADT's ACPI_ENABLE and ACPI_DISABLE, as SeaBIOS's SMM handler would take them. */
export const ACPI_ENABLE_COMMAND = 0xf1;
export const ACPI_DISABLE_COMMAND = 0xf0;
/** SLP_TYP of the sleep states in our DSDT. */
export const SLP_TYP_S5 = 0;

export interface Piix4PmOptions {
  id: string;
  ports: PortBus;
  clock: Clock;
  /** System control interrupt, ISA IRQ 9, level-triggered. */
  sci: IrqLine;
  /** The guest entered S5. */
  powerOff: () => void;
  log: Logger;
}

/** Power management: power button, ACPI timer, sleep states. */
export class Piix4Pm extends PciDevice {
  private readonly options: Piix4PmOptions;
  private readonly overflow: Timer;
  private range: PortRange | undefined;
  private status = 0;
  private lastHalf = 0;
  private enable = 0;
  private control = 0;
  private readonly gpe = new Uint8Array(4);
  private apmCommand = 0;
  private apmStatus = 0;

  constructor(options: Piix4PmOptions) {
    super(options.id, {
      vendor: 0x8086,
      device: 0x7113,
      revision: 3,
      classCode: 0x068000,
      interruptPin: 1,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
    });
    this.options = options;
    this.config[0x06] = 0x80;
    this.config[0x07] = 0x02;
    this.config[PMBASE] = 1;
    // DEVACTB.APMC_EN: firmware takes it as "system management mode is already set up" and does not wait for an SMI handler.
    this.config[DEVACTB + 3] = 0x02;
    this.writeMask[PMBASE] = 0xc0;
    this.writeMask[PMBASE + 1] = 0xff;
    this.writeMask[PMREGMISC] = 0x0f;
    this.config[SMBBASE] = 1;
    this.writeMask[SMBBASE] = 0xf0;
    this.writeMask[SMBBASE + 1] = 0xff;
    this.writeMask[SMBHSTCFG] = 0x0f;
    for (const register of [0x58, 0x59, 0x5a, 0x5b, 0x5f, 0x63, 0x67]) this.writeMask[register] = 0xff;
    this.seal();
    this.overflow = options.clock.createTimer(() => this.timerOverflowed());
    options.ports.register({
      owner: this.id,
      base: GPE_BASE,
      length: GPE_BYTES,
      handler: {
        read: (offset) => this.gpe[offset]!,
        // Bytes 0, 1: status, cleared by ones; 2, 3: enable.
        write: (offset, value) => {
          this.gpe[offset] = offset < 2 ? this.gpe[offset]! & ~value : value;
          this.updateSci();
        },
      },
    });
    options.ports.register({
      owner: this.id,
      base: SMI_COMMAND,
      length: 2,
      handler: { read: (offset) => (offset ? this.apmStatus : this.apmCommand), write: (offset, value) => this.apmWrite(offset, value) },
    });
  }

  /** The user pressed the machine's power button. */
  pressPowerButton(): void {
    this.status |= PWRBTN_STS;
    this.updateSci();
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.status = 0;
    this.enable = 0;
    this.control = 0;
    this.gpe.fill(0);
    this.apmCommand = 0;
    this.apmStatus = 0;
    this.lastHalf = Math.floor(this.ticks() / TIMER_HALF);
    this.overflow.disarm();
    this.place();
    this.updateSci();
  }

  override save(): DeviceState {
    this.latchTimer();
    return {
      ...super.save(),
      status: this.status,
      enable: this.enable,
      control: this.control,
      gpe: this.gpe.slice(),
      apmCommand: this.apmCommand,
      apmStatus: this.apmStatus,
    };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    this.status = reader.number('status', 0, 0xffff);
    this.enable = reader.number('enable', 0, 0xffff);
    this.control = reader.number('control', 0, 0xffff);
    this.gpe.set(reader.bytes('gpe', 4));
    this.apmCommand = reader.byte('apmCommand');
    this.apmStatus = reader.byte('apmStatus');
    // The timer counts machine time from here on: changes of its top bit before this moment are in `status` already.
    this.lastHalf = Math.floor(this.ticks() / TIMER_HALF);
    this.scheduleOverflow();
    this.place();
    this.updateSci();
  }

  protected override configWritten(offset: number, size: number): void {
    if ((offset < PMBASE + 4 && offset + size > PMBASE) || (offset <= PMREGMISC && offset + size > PMREGMISC)) this.place();
  }

  /** PM1 register block appears where PMBASE says once PMREGMISC.PMIOSE is set. */
  private place(): void {
    const { ports } = this.options;
    const base = (this.config[PMBASE]! | (this.config[PMBASE + 1]! << 8)) & 0xffc0;
    const wanted = this.config[PMREGMISC]! & 1 && base ? base : undefined;
    if (this.range?.base === wanted) return;
    if (this.range) ports.unregister(this.range);
    this.range = undefined;
    if (wanted === undefined) return;
    const range: PortRange = {
      owner: this.id,
      base: wanted,
      length: PM_BYTES,
      maxSize: 4,
      handler: { read: (offset, size) => this.read(offset, size), write: (offset, value, size) => this.write(offset, value, size) },
    };
    try {
      ports.register(range);
      this.range = range;
    } catch {
      this.options.log.guest(`PMBASE 0x${wanted.toString(16)} lies on another device's ports`);
    }
  }

  private ticks(now = this.options.clock.now()): number {
    return Math.floor((now * PM_TIMER_HZ) / 1e9);
  }

  private register(offset: number): number {
    switch (offset) {
      case 0:
        this.latchTimer();
        return this.status;
      case 2:
        return this.enable;
      case 4:
        return this.control;
      default:
        return 0;
    }
  }

  private read(offset: number, size: AccessSize): number {
    if (offset >= 8 && offset < 12) return ((this.ticks() % 0x1000000) >>> ((offset - 8) * 8)) & (0xffffffff >>> (32 - size * 8));
    const word = (at: number) => this.register(at & ~1) >>> ((at & 1) * 8);
    if (size === 1) return word(offset) & 0xff;
    if (size === 2) return word(offset) & 0xffff;
    return (word(offset) | (word(offset + 2) << 16)) >>> 0;
  }

  private write(offset: number, value: number, size: AccessSize): void {
    if (size === 4) {
      this.write(offset, value & 0xffff, 2);
      this.write(offset + 2, value >>> 16, 2);
      return;
    }
    const shift = (offset & 1) * 8;
    const mask = size === 1 ? 0xff << shift : 0xffff;
    const bits = (value << shift) & mask;
    switch (offset & ~1) {
      case 0:
        this.latchTimer();
        this.status &= ~bits;
        this.scheduleOverflow();
        break;
      case 2:
        this.enable = (this.enable & ~mask) | bits;
        this.scheduleOverflow();
        break;
      case 4:
        // SLP_EN is write-only; SCI_EN belongs to the SMI command port, but firmware may set it as well.
        this.control = ((this.control & ~mask) | bits) & ~SLP_EN;
        if (bits & SLP_EN) this.sleep((this.control >> 10) & 7);
        break;
      default:
        return;
    }
    this.updateSci();
  }

  private sleep(type: number): void {
    if (type === SLP_TYP_S5) this.options.powerOff();
    else this.options.log.guest(`sleep type ${type} is not offered`);
  }

  private apmWrite(offset: number, value: number): void {
    if (offset === 1) {
      this.apmStatus = value;
      return;
    }
    this.apmCommand = value;
    // On hardware an SMI handler does this; there is no system management mode here, so the chip does it itself.
    if (value === ACPI_ENABLE_COMMAND) this.control |= SCI_EN;
    else if (value === ACPI_DISABLE_COMMAND) this.control &= ~SCI_EN;
    this.updateSci();
  }

  /** TMR_STS is set each time bit 23 of the timer changes. */
  private latchTimer(): void {
    const half = Math.floor(this.ticks() / TIMER_HALF);
    if (half !== this.lastHalf) {
      this.lastHalf = half;
      this.status |= TMR_STS;
    }
  }

  private scheduleOverflow(): void {
    if (!(this.enable & TMR_STS)) {
      this.overflow.disarm();
      return;
    }
    const next = (Math.floor(this.ticks() / TIMER_HALF) + 1) * TIMER_HALF;
    // Rounding must not place the event in the present, where it would find bit 23 unchanged and come again at once.
    this.overflow.arm(Math.max(this.options.clock.now() + 1, Math.ceil((next * 1e9) / PM_TIMER_HZ)));
  }

  private timerOverflowed(): void {
    this.latchTimer();
    this.updateSci();
    this.scheduleOverflow();
  }

  private updateSci(): void {
    const gpe = (this.gpe[0]! & this.gpe[2]!) | (this.gpe[1]! & this.gpe[3]!);
    this.options.sci.set((this.control & SCI_EN) !== 0 && ((this.status & this.enable) !== 0 || gpe !== 0));
  }
}
