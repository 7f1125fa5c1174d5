/**
 * The "isa-debugcon" of QEMU and Bochs: a byte-wide port that firmware prints to. SeaBIOS writes its log to port 0x402 when a read
 * gives 0xe9 (SeaBIOS, src/fw/paravirt.c, qemu_debug_preinit).
 */
import type { CharBackend } from '../../backend/char.ts';
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

export const DEBUGCON_PORT = 0x402;
const PRESENT = 0xe9;

export interface DebugConOptions {
  id: string;
  ports: PortBus;
  backend: CharBackend;
  /** Default 0x402; Bochs has its own at 0xe9. */
  port?: number;
}

/** Stateless: what was printed belongs to the back end. */
export class DebugCon implements Device {
  readonly id: string;

  constructor({ id, ports, backend, port = DEBUGCON_PORT }: DebugConOptions) {
    this.id = id;
    ports.register({
      owner: id,
      base: port,
      length: 1,
      handler: { read: () => PRESENT, write: (_, value) => backend.write(value) },
    });
  }

  reset(_kind: 'power' | 'hard'): void {}

  save(): DeviceState {
    return { version: 1 };
  }

  restore(state: DeviceState): void {
    StateReader.open(state, this.id, 1);
  }
}
