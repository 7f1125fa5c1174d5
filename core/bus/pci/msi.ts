/**
 * Message signalled interrupts, PCI Local Bus Specification 3.0 section 6.8.1: one vector, 32-bit or 64-bit address, no masking.
 *
 * +0 id 05h  +1 next  +2 control (bit 0 enable, bit 7 64-bit address)  +4 address  +8 upper address  +12 data
 */
import type { PciDevice } from './pcidevice.ts';

/** Where a message goes: a write of 32 bits to guest-physical `address`. */
export type MessageSink = (address: number, data: number) => void;

export const CAPABILITY_MSI = 0x05;
export const MSI_BYTES = 14;
const CONTROL = 2;
const ADDRESS = 4;
const UPPER = 8;
const DATA = 12;
const ENABLE = 0x0001;
const WIDE = 0x0080;

/** The capability of a function; its registers live in the function's configuration space, which also saves them. */
export class Msi {
  private readonly device: PciDevice;
  private readonly at: number;
  private readonly sink: MessageSink;

  /** `config` and `writeMask` are the function's; `at` is where the capability begins. */
  constructor(parts: { device: PciDevice; config: Uint8Array; writeMask: Uint8Array; at: number; sink: MessageSink }) {
    this.device = parts.device;
    this.at = parts.at;
    this.sink = parts.sink;
    parts.config[parts.at + CONTROL] = WIDE;
    // Enable only: a single message was asked for.
    parts.writeMask[parts.at + CONTROL] = ENABLE;
    parts.writeMask.set([0xfc, 0xff, 0xff, 0xff], parts.at + ADDRESS);
    parts.writeMask.fill(0xff, parts.at + UPPER, parts.at + DATA + 2);
  }

  get enabled(): boolean {
    return (this.device.readConfig(this.at + CONTROL, 2) & ENABLE) !== 0;
  }

  send(): void {
    const address = this.device.readConfig(this.at + ADDRESS, 4) + this.device.readConfig(this.at + UPPER, 4) * 2 ** 32;
    this.sink(address, this.device.readConfig(this.at + DATA, 2));
  }
}
