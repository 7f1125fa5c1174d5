/** An emulated device with one configuration and one interface: the requests that every device answers. USB 2.0, section 9.4; USB 3.2, section 9.4. */
import type { UsbDevice, UsbDone, UsbSpeed, UsbTransfer } from '../../bus/usb/usbdevice.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import * as D from './descriptors.ts';

/** bmRequestType: direction, type, recipient. */
const TO_HOST = 0x80;
const STANDARD_TYPES = 0x60;
const RECIPIENT = 0x1f;
const DEVICE = 0;
const INTERFACE = 1;
const ENDPOINT = 2;

const GET_STATUS = 0;
const CLEAR_FEATURE = 1;
const SET_FEATURE = 3;
const GET_DESCRIPTOR = 6;
const GET_CONFIGURATION = 8;
const SET_CONFIGURATION = 9;
const GET_INTERFACE = 10;
const SET_INTERFACE = 11;
const SET_EXIT_LATENCIES = 48;
const SET_ISOCHRONOUS_DELAY = 49;
const ENDPOINT_HALT = 0;
const SELF_POWERED = 1;
const NOTHING = new Uint8Array();
/** Longest data that a request brings. */
const MAX_SENT = 4096;

export interface SetupPacket {
  type: number;
  request: number;
  value: number;
  index: number;
  length: number;
}

/** What a request is answered with: data, or nothing of it (also for those that bring data); undefined: refused. */
export type ControlAnswer = Uint8Array | undefined;

export abstract class UsbFunction implements UsbDevice {
  readonly speed: UsbSpeed;
  private readonly description: D.DeviceDescription;
  private configuration = 0;
  private readonly halted = new Set<number>();

  constructor(speed: UsbSpeed, description: D.DeviceDescription) {
    this.speed = speed;
    this.description = description;
  }

  get configured(): boolean {
    return this.configuration !== 0;
  }

  submit(transfer: UsbTransfer, done: UsbDone): void {
    const { setup, endpoint, data } = transfer;
    if (!setup) {
      if (!this.has(endpoint) || !this.configured || this.halted.has(endpoint)) done('stall', 0);
      else this.transfer(transfer, done);
      return;
    }
    const view = new DataView(setup.buffer, setup.byteOffset, 8);
    const packet: SetupPacket = {
      type: setup[0]!,
      request: setup[1]!,
      value: view.getUint16(2, true),
      index: view.getUint16(4, true),
      length: view.getUint16(6, true),
    };
    const toHost = (packet.type & TO_HOST) !== 0;
    const sent = new Uint8Array(toHost ? 0 : Math.min(packet.length, data.bytes, MAX_SENT));
    data.take(0, sent);
    const answer = (packet.type & STANDARD_TYPES) === 0 ? this.standard(packet) : this.classRequest(packet, sent);
    if (!answer) done('stall', 0);
    else if (toHost) done('ok', data.put(0, answer.subarray(0, packet.length)));
    else done('ok', sent.length);
  }

  reset(): void {
    this.configuration = 0;
    this.halted.clear();
    this.unconfigured();
  }

  save(): DeviceState {
    return { version: 1, configuration: this.configuration, halted: [...this.halted] };
  }

  abstract restore(state: DeviceState): void;
  abstract cancel(endpoint: number): void;
  /** A transfer on a configured endpoint that is not halted. */
  protected abstract transfer(transfer: UsbTransfer, done: UsbDone): void;
  /** Requests of the device's class, and for its interface. `sent`: what came along. */
  protected abstract classRequest(packet: SetupPacket, sent: Uint8Array): ControlAnswer;
  /** Configured anew, or no more: forget what was under way. */
  protected abstract unconfigured(): void;
  /** A halted endpoint goes on. */
  protected endpointCleared(_endpoint: number): void {}
  /** Descriptors that only the class knows. */
  protected classDescriptor(_type: number): ControlAnswer {
    return undefined;
  }

  protected halt(endpoint: number): void {
    if (this.has(endpoint)) this.halted.add(endpoint);
  }

  protected restoreFunction(reader: StateReader): void {
    this.configuration = reader.number('configuration', 0, D.CONFIGURATION);
    this.halted.clear();
    for (const endpoint of reader.numbers('halted', 32)) this.halted.add(endpoint);
  }

  private has(endpoint: number): boolean {
    return this.description.interface.endpoints.some(({ address }) => address === endpoint);
  }

  private standard(packet: SetupPacket): ControlAnswer {
    const { request, value, index } = packet;
    switch (request) {
      case GET_STATUS:
        return this.statusOf(packet);
      case CLEAR_FEATURE:
        if ((packet.type & RECIPIENT) !== ENDPOINT || value !== ENDPOINT_HALT) return NOTHING;
        this.halted.delete(index & 0xff);
        this.endpointCleared(index & 0xff);
        return NOTHING;
      case SET_FEATURE:
        if ((packet.type & RECIPIENT) === ENDPOINT && value === ENDPOINT_HALT) this.halt(index & 0xff);
        return NOTHING;
      case GET_DESCRIPTOR:
        return this.descriptor(value >> 8, value & 0xff);
      case GET_CONFIGURATION:
        return Uint8Array.of(this.configuration);
      case SET_CONFIGURATION:
        if (value !== 0 && value !== D.CONFIGURATION) return undefined;
        this.halted.clear();
        this.configuration = value;
        this.unconfigured();
        return NOTHING;
      case GET_INTERFACE:
        return Uint8Array.of(0);
      case SET_INTERFACE:
        return value === 0 && index === 0 ? NOTHING : undefined;
      case SET_EXIT_LATENCIES:
      case SET_ISOCHRONOUS_DELAY:
        return NOTHING;
      default:
        return undefined;
    }
  }

  private statusOf({ type, index }: SetupPacket): ControlAnswer {
    switch (type & RECIPIENT) {
      case DEVICE:
        return Uint8Array.of(SELF_POWERED, 0);
      case INTERFACE:
        return Uint8Array.of(0, 0);
      default:
        return Uint8Array.of(this.halted.has(index & 0xff) ? 1 : 0, 0);
    }
  }

  private descriptor(type: number, index: number): ControlAnswer {
    switch (type) {
      case D.DT_DEVICE:
        return D.deviceDescriptor(this.description);
      case D.DT_CONFIGURATION:
        return index === 0 ? D.configurationDescriptor(this.description) : undefined;
      case D.DT_STRING:
        return D.stringDescriptor(this.description, index);
      case D.DT_BOS:
        return this.speed === 'super' ? D.bosDescriptor() : undefined;
      default:
        return this.classDescriptor(type);
    }
  }
}
