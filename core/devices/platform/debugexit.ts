/**
 * QEMU's "isa-debug-exit": a write ends the run with an exit code, for test guests (QEMU, hw/misc/debugexit.c documents
 * code = value * 2 + 1, so that a guest can never claim success with 0).
 */
import type { Device } from '../../bus/device.ts';
import type { PortBus } from '../../bus/portbus.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';

export const DEBUG_EXIT_PORT = 0xf4;

export interface DebugExitOptions {
  id: string;
  ports: PortBus;
  /** Default 0xf4, four ports wide. */
  port?: number;
  /** Told the exit code, (value << 1) | 1 in 32 bits. Called from inside a port write. */
  exit: (code: number) => void;
}

/** Stateless. */
export class DebugExit implements Device {
  readonly id: string;

  constructor({ id, ports, port = DEBUG_EXIT_PORT, exit }: DebugExitOptions) {
    this.id = id;
    ports.register({
      owner: id,
      base: port,
      length: 4,
      maxSize: 4,
      handler: { read: () => 0, write: (_, value) => exit(((value << 1) | 1) >>> 0) },
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
