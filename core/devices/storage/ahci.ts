/** ICH9 SATA controller in AHCI mode, 8086:2922. Intel ICH9 data sheet 316972, chapter 15; Serial ATA AHCI 1.3.1. */
import type { ResetKind } from '../../bus/device.ts';
import type { MmioBus, MmioRange } from '../../bus/mmiobus.ts';
import { CAPABILITY_MSI, type MessageSink, MSI_BYTES, Msi } from '../../bus/pci/msi.ts';
import { PciDevice } from '../../bus/pci/pcidevice.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { type AhciDrive, AhciPort } from './ahciport.ts';
import * as R from './ahciregisters.ts';
import { QUEUE_DEPTH } from './ataidentify.ts';

export const AHCI_PORTS = 6;
const ABAR = 5;
const ABAR_BYTES = 0x1000;
/** Address map register: AHCI mode with six ports. */
const MAP = 0x90;
const MAP_AHCI = 0x40;

export interface AhciOptions {
  id: string;
  mmio: MmioBus;
  memory: GuestMemory;
  /** Where message signalled interrupts go. */
  message: MessageSink;
  /** By port; at most six. */
  drives: readonly (AhciDrive | undefined)[];
  log: Logger;
}

export class Ahci extends PciDevice {
  private readonly ports: readonly AhciPort[];
  private readonly msi: Msi;
  private interruptsOn = false;
  /** Latched port interrupts, bit a port. */
  private is = 0;
  private range: MmioRange | undefined;

  constructor(options: AhciOptions) {
    super(options.id, {
      vendor: 0x8086,
      device: 0x2922,
      revision: 2,
      classCode: 0x010601,
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      interruptPin: 1,
    });
    this.config[MAP] = MAP_AHCI;
    this.ports = Array.from(
      { length: AHCI_PORTS },
      (_, index) =>
        new AhciPort({
          id: `${options.id}.${index}`,
          memory: options.memory,
          drive: options.drives[index],
          interrupt: () => this.portInterrupt(index),
          log: options.log,
        }),
    );
    this.msi = new Msi({
      device: this,
      config: this.config,
      writeMask: this.writeMask,
      at: this.addCapability(CAPABILITY_MSI, MSI_BYTES),
      sink: options.message,
    });
    this.addBar(ABAR, {
      kind: 'memory',
      size: ABAR_BYTES,
      onMapped: (base) => {
        const range: MmioRange = {
          owner: this.id,
          base,
          length: ABAR_BYTES,
          handler: {
            read: (offset, size) => {
              const word = this.readRegister(offset & ~3);
              return size === 4 ? word : (word >>> ((offset & 3) * 8)) & (size === 2 ? 0xffff : 0xff);
            },
            // Registers are written whole (section 3).
            write: (offset, value, size) => {
              if (size === 4 && offset % 4 === 0) this.writeRegister(offset, value);
            },
          },
        };
        try {
          options.mmio.register(range);
          this.range = range;
        } catch {
          options.log.guest(`BAR ${ABAR} at 0x${base.toString(16)} lies on another device`);
        }
      },
      onUnmapped: () => {
        if (this.range) options.mmio.unregister(this.range);
        this.range = undefined;
      },
    });
    this.seal();
  }

  /** No port is in the middle of a command. */
  get settled(): boolean {
    return this.ports.every((port) => port.settled);
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.resetController();
  }

  override save(): DeviceState {
    return { ...super.save(), interruptsOn: this.interruptsOn, is: this.is, ports: this.ports.map((port) => port.save()) };
  }

  override restore(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    reader.objects('ports', AHCI_PORTS).forEach((port, index) => {
      this.ports[index]!.restore(port);
    });
    this.interruptsOn = reader.boolean('interruptsOn');
    this.is = reader.number('is', 0, 2 ** AHCI_PORTS - 1);
    this.drive();
  }

  private resetController(): void {
    this.interruptsOn = false;
    for (const port of this.ports) port.reset();
    this.is = 0;
    this.drive();
  }

  private readRegister(offset: number): number {
    switch (offset) {
      case R.H_CAP:
        return (
          (R.CAP_64BIT |
            R.CAP_NCQ |
            R.CAP_AHCI_ONLY |
            (1 << R.CAP_SPEED_SHIFT) |
            ((QUEUE_DEPTH - 1) << R.CAP_SLOTS_SHIFT) |
            (AHCI_PORTS - 1)) >>>
          0
        );
      case R.H_GHC:
        return (R.GHC_ENABLE | (this.interruptsOn ? R.GHC_INTERRUPTS : 0)) >>> 0;
      case R.H_IS:
        return this.is;
      case R.H_PI:
        return (1 << AHCI_PORTS) - 1;
      case R.H_VS:
        return R.VERSION;
      default:
        return offset >= R.PORTS_AT ? (this.port(offset)?.read(offset % R.PORT_BYTES) ?? 0) : 0;
    }
  }

  private writeRegister(offset: number, value: number): void {
    switch (offset) {
      case R.H_GHC:
        if (value & R.GHC_RESET) {
          this.resetController();
          return;
        }
        this.interruptsOn = (value & R.GHC_INTERRUPTS) !== 0;
        if (this.is) this.announce();
        break;
      case R.H_IS:
        this.is &= ~value;
        // A port that still has something to say latches again (section 5.6.2).
        this.ports.forEach((port, index) => {
          if (port.pending) this.is |= 1 << index;
        });
        this.drive();
        break;
      default:
        if (offset >= R.PORTS_AT) this.port(offset)?.write(offset % R.PORT_BYTES, value);
    }
  }

  private port(offset: number): AhciPort | undefined {
    return this.ports[Math.floor((offset - R.PORTS_AT) / R.PORT_BYTES)];
  }

  private portInterrupt(index: number): void {
    this.is |= 1 << index;
    this.announce();
  }

  /** Something is new: a message, or the pin. */
  private announce(): void {
    if (this.msi.enabled && this.interruptsOn) this.msi.send();
    this.drive();
  }

  private drive(): void {
    this.setInterrupt(this.is !== 0 && this.interruptsOn && !this.msi.enabled);
  }
}
