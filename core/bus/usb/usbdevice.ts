import type { DeviceState } from '../../snapshot/snapshottable.ts';
import type { ScatterList } from '../scatterlist.ts';

/** Universal Serial Bus 2.0, section 4.2.1, and 3.2: 1.5, 12 and 480 Mbit/s, 5 Gbit/s. */
export type UsbSpeed = 'low' | 'full' | 'high' | 'super';

/**
 * How a transfer ended. `ok`: also when fewer bytes came than there was room for. `stall`: the endpoint is halted, or a control request is refused.
 * `babble`: the device sent more than there was room for. `failed`: no answer.
 */
export type UsbStatus = 'ok' | 'stall' | 'babble' | 'failed';

export interface UsbTransfer {
  /** Endpoint address as descriptors have it: number in bits 3..0, bit 7 set when data comes from the device; 0 is the control pipe. */
  readonly endpoint: number;
  /** Setup packet of a control transfer, 8 bytes (USB 2.0, section 9.3). */
  readonly setup?: Uint8Array;
  /** Guest memory that is filled or sent; empty for a control transfer without data. */
  readonly data: ScatterList;
}

/** `bytes` moved. */
export type UsbDone = (status: UsbStatus, bytes: number) => void;

/**
 * What is plugged into a port of a USB controller. A controller gives an endpoint one transfer at a time, all on the machine thread. The address on the bus
 * is the controller's business: no device hears SET_ADDRESS.
 */
export interface UsbDevice {
  readonly speed: UsbSpeed;
  /** A reset on the bus: no configuration, no transfer under way (nothing more is heard of those). */
  reset(): void;
  /**
   * Begins a transfer. `done` is called once, perhaps from inside, unless the transfer is cancelled first. One that has nothing to say yet (NAK) waits
   * without being asked again.
   */
  submit(transfer: UsbTransfer, done: UsbDone): void;
  /** Takes the transfer of an endpoint back: `done` is not called any more, its memory is left alone. It may be given again, as if it had never been. */
  cancel(endpoint: number): void;
  /** What `restore` needs to go on in another process, without transfers that are under way: those are given again. Undefined: it can not be saved, and is unplugged in a machine that is restored. */
  save?(): DeviceState;
  restore?(state: DeviceState): void;
}

/** Where devices are plugged in: a connector has a USB 3 and a USB 2 port, of which the device's speed takes one. */
export interface UsbConnectors {
  /** Connectors count from 1. */
  plug(connector: number, device: UsbDevice): void;
  unplug(connector: number): void;
  at(connector: number): UsbDevice | undefined;
  /** The guest has taken note of what came and went there, or nobody listens. What is plugged in before looks to it as if what was there had never gone. */
  noticed(connector: number): boolean;
}
