import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Device, ResetKind } from '../device.ts';
import type { IrqLine } from '../irq.ts';
import * as C from './config.ts';

export interface PciIdentity {
  vendor: number;
  device: number;
  revision?: number;
  /** 24 bits: class, subclass, programming interface. */
  classCode: number;
  subsystemVendor?: number;
  subsystem?: number;
  /** INTA..INTD as 1..4, 0 for none. */
  interruptPin?: number;
  multifunction?: boolean;
}

export interface PciBar {
  kind: 'memory' | 'io';
  /** Bytes, a power of two; memory at least 16, I/O at least 4. */
  size: number;
  prefetch?: boolean;
  /** The window became active at `base`, or moved there. */
  onMapped(base: number): void;
  /** The window at `base` is gone. */
  onUnmapped(base: number): void;
}

/**
 * One PCI function with a type 0 header: 256 bytes of configuration space with a write mask a byte, base address registers with sizing and
 * (re)mapping, and an interrupt pin. PCI Local Bus Specification 2.1 chapter 6. Chips extend it.
 */
export abstract class PciDevice implements Device {
  readonly id: string;
  protected readonly config = new Uint8Array(256);
  /** Which bits of each byte a configuration write changes. */
  protected readonly writeMask = new Uint8Array(256);
  /** Bits that a write of 1 clears. */
  protected readonly clearMask = new Uint8Array(256);
  private readonly initial: Uint8Array;
  private readonly view: DataView;
  private readonly bars = new Map<number, PciBar>();
  private readonly mapped = new Map<number, number>();
  private nextCapability = C.FIRST_CAPABILITY;
  /** Where the next capability's place is written. */
  private lastCapability = C.PCI_CAPABILITIES;
  private intxLine: IrqLine | undefined;
  private intxLevel = false;

  constructor(id: string, identity: PciIdentity) {
    this.id = id;
    this.view = new DataView(this.config.buffer);
    this.view.setUint16(C.PCI_VENDOR_ID, identity.vendor, true);
    this.view.setUint16(C.PCI_DEVICE_ID, identity.device, true);
    this.config[C.PCI_REVISION] = identity.revision ?? 0;
    this.config[C.PCI_CLASS] = identity.classCode & 0xff;
    this.config[C.PCI_CLASS + 1] = (identity.classCode >> 8) & 0xff;
    this.config[C.PCI_CLASS + 2] = (identity.classCode >> 16) & 0xff;
    this.config[C.PCI_HEADER_TYPE] = identity.multifunction ? 0x80 : 0;
    this.view.setUint16(C.PCI_SUBSYSTEM_VENDOR, identity.subsystemVendor ?? 0, true);
    this.view.setUint16(C.PCI_SUBSYSTEM, identity.subsystem ?? 0, true);
    this.config[C.PCI_INTERRUPT_PIN] = identity.interruptPin ?? 0;
    this.writeMask[C.PCI_COMMAND] = C.COMMAND_IO | C.COMMAND_MEMORY | C.COMMAND_MASTER;
    this.writeMask[C.PCI_COMMAND + 1] = (C.COMMAND_SERR | C.COMMAND_INTX_DISABLE) >> 8;
    this.clearMask[C.PCI_STATUS + 1] = 0xf9;
    this.writeMask[C.PCI_CACHE_LINE] = 0xff;
    this.writeMask[C.PCI_LATENCY] = 0xff;
    this.writeMask[C.PCI_INTERRUPT_LINE] = 0xff;
    this.initial = this.config.slice();
  }

  /** Called once by the bus. */
  connectInterrupt(line: IrqLine): void {
    this.intxLine = line;
  }

  get command(): number {
    return this.view.getUint16(C.PCI_COMMAND, true);
  }

  get busMaster(): boolean {
    return (this.command & C.COMMAND_MASTER) !== 0;
  }

  /** `size` 1, 2 or 4 within the 256 bytes. */
  readConfig(offset: number, size: number): number {
    return (size === 1 ? this.config[offset]! : size === 2 ? this.view.getUint16(offset, true) : this.view.getUint32(offset, true)) >>> 0;
  }

  writeConfig(offset: number, value: number, size: number): void {
    for (let i = 0; i < size; i++) {
      const at = offset + i;
      const byte = (value >>> (i * 8)) & 0xff;
      const mask = this.writeMask[at]!;
      this.config[at] = ((this.config[at]! & ~mask) | (byte & mask)) & ~(byte & this.clearMask[at]!);
    }
    const touchesBars = offset < C.PCI_ROM + 4 && offset + size > C.PCI_BAR0;
    const touchesCommand = offset < C.PCI_COMMAND + 2 && offset + size > C.PCI_COMMAND;
    if (touchesBars || touchesCommand) this.remap();
    if (touchesCommand) this.driveInterrupt();
    this.configWritten(offset, size);
  }

  reset(_kind: ResetKind): void {
    this.config.set(this.initial);
    this.remap();
    this.setInterrupt(false);
  }

  save(): DeviceState {
    return { version: 1, config: this.config.slice(), interrupt: this.intxLevel };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    this.config.set(reader.bytes('config', 256));
    this.remap();
    this.setInterrupt(reader.boolean('interrupt'));
  }

  /** Declares BAR `index` (0..5, or ROM_BAR). Only in a constructor. */
  protected addBar(index: number, bar: PciBar): void {
    this.bars.set(index, bar);
    const offset = barOffset(index);
    const mask = ~(bar.size - 1) >>> 0;
    const writable = index === C.ROM_BAR ? (mask | C.ROM_ENABLE) >>> 0 : mask;
    new DataView(this.writeMask.buffer).setUint32(offset, writable, true);
    const fixed = index === C.ROM_BAR ? 0 : bar.kind === 'io' ? C.BAR_IO : bar.prefetch ? C.BAR_PREFETCH : 0;
    this.view.setUint32(offset, fixed, true);
    this.seal();
  }

  /** Puts an empty capability of `bytes` bytes into the list (section 6.7) and returns where it begins. Only in a constructor. */
  protected addCapability(capability: number, bytes: number): number {
    const at = this.nextCapability;
    this.nextCapability = at + Math.ceil(bytes / 4) * 4;
    this.config[at] = capability;
    this.config[this.lastCapability] = at;
    this.lastCapability = at + 1;
    this.config[C.PCI_STATUS] = this.config[C.PCI_STATUS]! | C.STATUS_CAPABILITIES;
    this.seal();
    return at;
  }

  /** Makes the present contents of configuration space the state after reset. Only in a constructor. */
  protected seal(): void {
    this.initial.set(this.config);
  }

  /** Level of this function's interrupt pin. */
  protected setInterrupt(level: boolean): void {
    this.intxLevel = level;
    this.driveInterrupt();
  }

  /** Hook for registers with side effects; the bytes are already stored. */
  protected configWritten(_offset: number, _size: number): void {}

  private driveInterrupt(): void {
    this.intxLine?.set(this.intxLevel && (this.command & C.COMMAND_INTX_DISABLE) === 0);
  }

  private remap(): void {
    for (const [index, bar] of this.bars) {
      const register = this.view.getUint32(barOffset(index), true);
      const base = (register & ~(bar.size - 1)) >>> 0;
      const enabled =
        (this.command & (bar.kind === 'io' ? C.COMMAND_IO : C.COMMAND_MEMORY)) !== 0 &&
        (index !== C.ROM_BAR || (register & C.ROM_ENABLE) !== 0);
      // A BAR at 0 or reaching past the top of its space is one that software is still sizing.
      const usable = base !== 0 && base + bar.size <= (bar.kind === 'io' ? 0x10000 : 0x1_0000_0000 - 4096);
      const next = enabled && usable ? base : undefined;
      const now = this.mapped.get(index);
      if (now === next) continue;
      if (now !== undefined) {
        this.mapped.delete(index);
        bar.onUnmapped(now);
      }
      if (next !== undefined) {
        this.mapped.set(index, next);
        bar.onMapped(next);
      }
    }
  }
}

function barOffset(index: number): number {
  return index === C.ROM_BAR ? C.PCI_ROM : C.PCI_BAR0 + index * 4;
}
