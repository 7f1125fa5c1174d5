import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import { HypervueError } from '../../util/errors.ts';
import type { Device, ResetKind } from '../device.ts';
import { type IrqLine, SharedLine } from '../irq.ts';
import type { AccessSize, PortBus } from '../portbus.ts';
import { PCI_INTERRUPT_PIN } from './config.ts';
import type { PciDevice } from './pcidevice.ts';

/** Configuration mechanism #1, PCI Local Bus Specification 2.1 section 3.7.4.1. */
const CONFIG_ADDRESS = 0xcf8;
const ENABLE = 0x8000_0000;
/** Offset of port 0xCF9, the chipset's reset control, which lies inside the address register's dword. */
const RESET_CONTROL = 1;

export interface PciBusOptions {
  id: string;
  ports: PortBus;
  /** The four interrupt lines PIRQA..PIRQD of the chipset; level-triggered, shared. */
  pirq: readonly [IrqLine, IrqLine, IrqLine, IrqLine];
  /** Port 0xCF9 as a byte. */
  resetControl: { read(): number; write(value: number): void };
}

/** PCI bus 0: configuration space access and interrupt routing of the i440FX board. */
export class PciBus implements Device {
  readonly id: string;
  private readonly functions = new Map<number, PciDevice>();
  private readonly lines: SharedLine[];
  private address = 0;

  constructor({ id, ports, pirq, resetControl }: PciBusOptions) {
    this.id = id;
    this.lines = pirq.map((line) => new SharedLine(line));
    ports.register({
      owner: id,
      base: CONFIG_ADDRESS,
      length: 8,
      maxSize: 4,
      handler: {
        read: (offset, size) => {
          if (offset >= 4) return this.data(offset - 4, size);
          if (offset === 0 && size === 4) return this.address;
          return offset === RESET_CONTROL && size === 1 ? resetControl.read() : size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
        },
        write: (offset, value, size) => {
          if (offset >= 4) this.writeData(offset - 4, value, size);
          else if (offset === 0 && size === 4) this.address = (value & 0x80ff_fffc) >>> 0;
          else if (offset === RESET_CONTROL && size === 1) resetControl.write(value);
        },
      },
    });
  }

  /** Puts a function at `device`.`fn`; throws 'already-exists' when the place is taken. */
  attach(device: number, fn: number, target: PciDevice): void {
    const devfn = (device << 3) | fn;
    if (device < 0 || device > 31 || fn < 0 || fn > 7)
      throw new HypervueError('invalid-argument', `there is no PCI place ${device}.${fn}`, { object: target.id });
    const other = this.functions.get(devfn);
    if (other)
      throw new HypervueError('already-exists', `PCI place ${device}.${fn} of ${target.id} is taken by ${other.id}`, { object: target.id });
    this.functions.set(devfn, target);
    const pin = target.readConfig(PCI_INTERRUPT_PIN, 1);
    // Swizzle of the i440FX board: slot 1 starts at PIRQA, each further slot one later.
    if (pin) target.connectInterrupt(this.lines[(pin - 1 + device - 1) & 3]!.source());
  }

  reset(_kind: ResetKind): void {
    this.address = 0;
  }

  save(): DeviceState {
    return { version: 1, address: this.address };
  }

  restore(state: DeviceState): void {
    this.address = StateReader.open(state, this.id, 1).number('address', 0, 0xffffffff);
  }

  private target(): PciDevice | undefined {
    if ((this.address & ENABLE) === 0 || (this.address >>> 16) & 0xff) return undefined;
    return this.functions.get((this.address >>> 8) & 0xff);
  }

  private data(offset: number, size: AccessSize): number {
    const target = this.target();
    return target ? target.readConfig((this.address & 0xfc) + offset, size) : 0xffffffff >>> (32 - size * 8);
  }

  private writeData(offset: number, value: number, size: AccessSize): void {
    this.target()?.writeConfig((this.address & 0xfc) + offset, value, size);
  }
}
