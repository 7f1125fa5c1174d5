/**
 * Port 61h, "NMI status and control": speaker, gate and output of counter 2, refresh toggle.
 * Spec: 82371SB (PIIX3) data sheet, section 2.6.1 (NMISC).
 */
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock } from '../../util/clock.ts';

const PORT = 0x61;
// Bit 7 SERR#, 6 IOCHK#, 5 counter 2 OUT, 4 refresh toggle, 3 IOCHK enable, 2 PCI SERR enable, 1 speaker data, 0 counter 2 gate.
const GATE2 = 0x01;
const SPEAKER = 0x02;
const WRITABLE = 0x0f;
const REFRESH = 0x10;
const OUT2 = 0x20;
/** Refresh cycles come 15.085 us apart. */
const REFRESH_NS = 15085;

export interface Port61Options {
  id: string;
  ports: PortBus;
  clock: Clock;
  /** Channel 2 of the timer. */
  pit: { setGate2(level: boolean): void; readonly out2: boolean };
}

export class Port61 implements Device {
  readonly id: string;
  private readonly clock: Clock;
  private readonly pit: Port61Options['pit'];
  private control = 0;

  constructor({ id, ports, clock, pit }: Port61Options) {
    this.id = id;
    this.clock = clock;
    this.pit = pit;
    ports.register({ owner: id, base: PORT, length: 1, handler: { read: () => this.read(), write: (_, value) => this.write(value) } });
  }

  /** True while the guest lets counter 2 through to the speaker. */
  get speakerEnabled(): boolean {
    return (this.control & (SPEAKER | GATE2)) === (SPEAKER | GATE2);
  }

  reset(_kind: 'power' | 'hard'): void {
    this.write(0);
  }

  save(): DeviceState {
    return { version: 1, control: this.control };
  }

  restore(state: DeviceState): void {
    // The timer restores its own gate.
    this.control = StateReader.open(state, this.id, 1).byte('control') & WRITABLE;
  }

  private read(): number {
    const refresh = Math.floor(this.clock.now() / REFRESH_NS) & 1 ? REFRESH : 0;
    return this.control | refresh | (this.pit.out2 ? OUT2 : 0);
  }

  private write(value: number): void {
    this.control = value & WRITABLE;
    this.pit.setGate2((value & GATE2) !== 0);
  }
}
