/**
 * Port 92h, "system control port A": fast A20 gate and fast reset.
 * Spec: 82371SB (PIIX3) data sheet, section 2.6.4 (P92).
 */
import type { Device } from '../../bus/device.ts';
import type { IrqLine } from '../../bus/irq.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

const PORT = 0x92;
const FAST_RESET = 0x01;
const A20 = 0x02;

export interface Port92Options {
  id: string;
  ports: PortBus;
  /** True lets address line 20 through. Told at every write; the board takes the last word of this port and the keyboard controller. */
  a20: IrqLine;
  /** Asked for by a rise of bit 0. Called from inside a port write. */
  reset: () => void;
}

export class Port92 implements Device {
  readonly id: string;
  private readonly a20: IrqLine;
  private readonly requestReset: () => void;
  private value = 0;

  constructor({ id, ports, a20, reset }: Port92Options) {
    this.id = id;
    this.a20 = a20;
    this.requestReset = reset;
    ports.register({
      owner: id,
      base: PORT,
      length: 1,
      handler: { read: () => this.value, write: (_, value) => this.write(value) },
    });
  }

  reset(_kind: 'power' | 'hard'): void {
    this.value = 0;
  }

  save(): DeviceState {
    return { version: 1, value: this.value };
  }

  restore(state: DeviceState): void {
    this.value = StateReader.open(state, this.id, 1).byte('value');
  }

  private write(value: number): void {
    const rise = value & ~this.value & FAST_RESET;
    this.value = value;
    this.a20.set((value & A20) !== 0);
    if (rise) this.requestReset();
  }
}
