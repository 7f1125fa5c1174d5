import type { BlockDevice } from '../../backend/asyncblock.ts';
import type { ResetKind } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { AccessSize, PortBus, PortRange } from '../../bus/portbus.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { AtaDisk } from './atadisk.ts';
import { AtapiCdrom } from './atapicdrom.ts';
import { type AtaUnit, DEV_SELECT, ST_BSY, ST_DRQ } from './ataunit.ts';
import { BusMaster } from './busmaster.ts';

/*
 * Intel 82371SB (PIIX3) function 1, IDE; data sheet 290550. Both channels at their ISA addresses (compatibility mode).
 * Task file: ATA/ATAPI-6 chapter 7 and section 9.
 */
const CHANNELS = [
  { command: 0x1f0, control: 0x3f6 },
  { command: 0x170, control: 0x376 },
] as const;

// Offsets in the command block.
const DATA = 0;
const FEATURES = 1;
const SECTOR_COUNT = 2;
const LBA_LOW = 3;
const LBA_MID = 4;
const LBA_HIGH = 5;
const DEVICE = 6;
const COMMAND = 7;
/** Device control, section 7.8. */
const CTL_NIEN = 0x02;
const CTL_SRST = 0x04;
const CTL_HOB = 0x80;
/** EXECUTE DEVICE DIAGNOSTIC goes to both units. */
const CMD_DIAGNOSTIC = 0x90;
const CMD_DEVICE_RESET = 0x08;

export interface IdeDrive {
  kind: 'disk' | 'cdrom';
  block: BlockDevice;
  serial: string;
  /** False: the disk has no write cache until the guest turns one on. */
  writeCache?: boolean;
}

export interface IdeOptions {
  id: string;
  ports: PortBus;
  memory: GuestMemory;
  /** ISA IRQ 14 and 15. */
  irqs: readonly [IrqLine, IrqLine];
  /** Primary master, primary slave, secondary master, secondary slave. */
  drives: readonly (IdeDrive | undefined)[];
  log: Logger;
}

/** Two units behind one set of registers. */
class Channel {
  readonly units: readonly (AtaUnit | undefined)[];
  readonly busMaster: BusMaster;
  private readonly irq: IrqLine;
  private control = 0;
  private selected = 0;
  private line = false;

  constructor(index: number, options: IdeOptions) {
    this.irq = options.irqs[index]!;
    const log = options.log;
    this.busMaster = new BusMaster(options.memory, log);
    this.units = [0, 1].map((place) => {
      const drive = options.drives[index * 2 + place];
      if (!drive) return undefined;
      const common = { id: `ide${index * 2 + place}`, block: drive.block, dma: this.busMaster, onInterrupt: () => this.updateIrq(), log };
      return drive.kind === 'disk'
        ? new AtaDisk({ ...common, serial: drive.serial, writeCache: drive.writeCache ?? true })
        : new AtapiCdrom(common);
    });
    const { command, control } = CHANNELS[index]!;
    options.ports.register({
      owner: options.id,
      base: command,
      length: 8,
      maxSize: 4,
      handler: {
        read: (offset, size) => this.readPort(offset, size),
        write: (offset, value, size) => this.writePort(offset, value, size),
        readMany: (offset, size, into) => (offset === DATA && this.unit?.readMany(size, into)) || 0,
        writeMany: (offset, size, from) => this.writeMany(offset, size, from),
      },
    });
    options.ports.register({
      owner: options.id,
      base: control,
      length: 1,
      handler: { read: () => this.status, write: (_, value) => this.writeControl(value) },
    });
    for (const unit of this.units) unit?.reset();
  }

  /** No unit is in the middle of a command. */
  get settled(): boolean {
    return this.units.every((unit) => !unit || (unit.status & (ST_BSY | ST_DRQ)) === 0);
  }

  reset(): void {
    this.control = 0;
    this.selected = 0;
    this.busMaster.reset();
    for (const unit of this.units) unit?.hardReset();
    this.updateIrq();
  }

  save(): DeviceState {
    return {
      version: 1,
      control: this.control,
      selected: this.selected,
      busMaster: this.busMaster.save(),
      units: this.units.map((unit) => unit?.saveUnit() ?? {}),
    };
  }

  restore(state: StateReader): void {
    this.control = state.byte('control');
    this.selected = state.number('selected', 0, 1);
    this.busMaster.restore(state.object('busMaster'));
    state.objects('units', 2).forEach((unit, place) => {
      this.units[place]?.restoreUnit(unit);
    });
    this.updateIrq();
  }

  private get unit(): AtaUnit | undefined {
    return this.units[this.selected];
  }

  private get status(): number {
    return this.unit?.status ?? 0;
  }

  private readPort(offset: number, size: AccessSize): number {
    if (offset === DATA && size > 1) return this.unit?.readData(size) ?? 0;
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readRegister(offset + i) << (i * 8);
    return value >>> 0;
  }

  private writePort(offset: number, value: number, size: AccessSize): void {
    if (offset === DATA && size > 1) this.unit?.writeData(value, size);
    else for (let i = 0; i < size; i++) this.writeRegister(offset + i, (value >>> (i * 8)) & 0xff);
  }

  private writeMany(offset: number, size: AccessSize, from: Uint8Array): number {
    if (offset !== DATA) return 0;
    // As writeRegister() does it for single bytes.
    if (size === 1) this.control &= ~CTL_HOB;
    return this.unit?.writeMany(size, from) ?? 0;
  }

  private readRegister(offset: number): number {
    const { unit } = this;
    // With a lone slave or nobody at all the bus is pulled down.
    if (!unit) return 0;
    const hob = (this.control & CTL_HOB) !== 0;
    switch (offset) {
      case DATA:
        return unit.readData(1);
      case FEATURES:
        return unit.error;
      case SECTOR_COUNT:
        return hob ? unit.hob.sectorCount : unit.sectorCount;
      case LBA_LOW:
        return hob ? unit.hob.lbaLow : unit.lbaLow;
      case LBA_MID:
        return hob ? unit.hob.lbaMid : unit.lbaMid;
      case LBA_HIGH:
        return hob ? unit.hob.lbaHigh : unit.lbaHigh;
      case DEVICE:
        return (unit.device & ~DEV_SELECT) | 0xa0 | (this.selected ? DEV_SELECT : 0);
      default:
        unit.setInterrupt(false);
        return unit.status;
    }
  }

  /** Command block writes reach both units; the command itself only the selected one. */
  private writeRegister(offset: number, value: number): void {
    this.control &= ~CTL_HOB;
    if (offset === COMMAND) {
      this.command(value);
      return;
    }
    if (offset === DATA) {
      this.unit?.writeData(value, 1);
      return;
    }
    for (const unit of this.units) {
      if (!unit || unit.status & (ST_BSY | ST_DRQ)) continue;
      switch (offset) {
        case FEATURES:
          unit.hob.features = unit.features;
          unit.features = value;
          break;
        case SECTOR_COUNT:
          unit.hob.sectorCount = unit.sectorCount;
          unit.sectorCount = value;
          break;
        case LBA_LOW:
          unit.hob.lbaLow = unit.lbaLow;
          unit.lbaLow = value;
          break;
        case LBA_MID:
          unit.hob.lbaMid = unit.lbaMid;
          unit.lbaMid = value;
          break;
        case LBA_HIGH:
          unit.hob.lbaHigh = unit.lbaHigh;
          unit.lbaHigh = value;
          break;
        case DEVICE:
          unit.device = value;
          break;
      }
    }
    if (offset === DEVICE) {
      this.selected = value & DEV_SELECT ? 1 : 0;
      this.updateIrq();
    }
  }

  private command(code: number): void {
    if (this.control & CTL_SRST) return;
    if (code === CMD_DIAGNOSTIC) {
      for (const unit of this.units) unit?.reset();
      this.selected = 0;
      this.unit?.setInterrupt(true);
      return;
    }
    const { unit } = this;
    if (!unit) return;
    if (unit.status & (ST_BSY | ST_DRQ) && !(code === CMD_DEVICE_RESET && unit.packet)) return;
    unit.setInterrupt(false);
    unit.command(code);
  }

  private writeControl(value: number): void {
    const before = this.control;
    this.control = value & (CTL_NIEN | CTL_SRST | CTL_HOB);
    if (value & CTL_SRST && !(before & CTL_SRST)) for (const unit of this.units) unit?.holdReset();
    if (!(value & CTL_SRST) && before & CTL_SRST) {
      this.busMaster.cancel();
      for (const unit of this.units) unit?.reset();
      this.selected = 0;
    }
    this.updateIrq();
  }

  private updateIrq(): void {
    const wanted = (this.unit?.interrupt ?? false) && !(this.control & CTL_NIEN);
    if (wanted === this.line) return;
    this.line = wanted;
    if (wanted) this.busMaster.interrupted();
    this.irq.set(wanted);
  }
}

/** The IDE function 8086:7010 with its two channels and four places. */
export class Ide extends PciDevice {
  private readonly channels: readonly [Channel, Channel];
  private range: PortRange | undefined;

  constructor(options: IdeOptions) {
    super(options.id, { vendor: 0x8086, device: 0x7010, classCode: 0x010180, subsystemVendor: 0x1af4, subsystem: 0x1100 });
    this.config[0x06] = 0x80;
    this.config[0x07] = 0x02;
    // IDETIM: both channels decode their ports. Firmware and drivers write timings here, which change nothing.
    for (let register = 0x40; register < 0x44; register++) this.writeMask[register] = 0xff;
    this.config[0x41] = 0x80;
    this.config[0x43] = 0x80;
    this.writeMask[0x44] = 0xff;
    this.seal();
    this.channels = [new Channel(0, options), new Channel(1, options)];
    this.addBar(4, {
      kind: 'io',
      size: 16,
      onMapped: (base) => {
        const range: PortRange = {
          owner: this.id,
          base,
          length: 16,
          maxSize: 4,
          handler: {
            read: (offset, size) => this.channels[offset < 8 ? 0 : 1].busMaster.read(offset & 7, size),
            write: (offset, value, size) => this.channels[offset < 8 ? 0 : 1].busMaster.write(offset & 7, value, size),
          },
        };
        try {
          options.ports.register(range);
          this.range = range;
        } catch {
          options.log.guest(`BAR 4 at 0x${base.toString(16)} lies on another device's ports`);
        }
      },
      onUnmapped: () => {
        if (this.range) options.ports.unregister(this.range);
        this.range = undefined;
      },
    });
  }

  /** No drive is in the middle of a command, which a saved state could not carry. */
  get settled(): boolean {
    return this.channels.every((channel) => channel.settled);
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    for (const channel of this.channels) channel.reset();
  }

  override save(): DeviceState {
    return { ...super.save(), channels: this.channels.map((channel) => channel.save()) };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    StateReader.open(state, this.id, 1)
      .objects('channels', 2)
      .forEach((channel, index) => {
        this.channels[index]!.restore(channel);
      });
  }
}
