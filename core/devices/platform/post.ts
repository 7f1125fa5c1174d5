/** Port 80h: the diagnostic code latch of a POST card. Software also writes it for a short I/O delay. Spec: IBM PC AT Technical Reference. */
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

const PORT = 0x80;

export interface PostPortOptions {
  id: string;
  ports: PortBus;
}

export class PostPort implements Device {
  readonly id: string;
  private code = 0;

  constructor({ id, ports }: PostPortOptions) {
    this.id = id;
    ports.register({
      owner: id,
      base: PORT,
      length: 1,
      handler: {
        read: () => this.code,
        write: (_, value) => {
          this.code = value;
        },
      },
    });
  }

  /** The last code written. */
  get lastCode(): number {
    return this.code;
  }

  reset(_kind: 'power' | 'hard'): void {
    this.code = 0;
  }

  save(): DeviceState {
    return { version: 1, code: this.code };
  }

  restore(state: DeviceState): void {
    this.code = StateReader.open(state, this.id, 1).byte('code');
  }
}
