/**
 * A pointer with absolute positions. Device Class Definition for Human Interface Devices (HID) 1.11; HID Usage Tables 1.5, pages 1 and 9.
 *
 * A report: buttons (left, right, middle in bits 0..2), x, y (16 bits, 0..32767 over the picture), wheel (signed, away from the user positive).
 */
import type { UsbDone, UsbTransfer } from '../../bus/usb/usbdevice.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import { Emitter } from '../../util/emitter.ts';
import { INTERRUPT } from './descriptors.ts';
import { type ControlAnswer, type SetupPacket, UsbFunction } from './usbfunction.ts';

export const TABLET_MAX = 0x7fff;
const REPORTS = 0x81;
const REPORT_BYTES = 6;
/** Reports that wait for the guest: clicks. Movements between them are told by the last. */
const QUEUE = 32;
const DT_HID = 0x21;
const DT_REPORT = 0x22;
const GET_REPORT = 1;
const GET_IDLE = 2;
const GET_PROTOCOL = 3;
const SET_REPORT = 9;
const SET_IDLE = 10;
const SET_PROTOCOL = 11;

/** Items, HID 1.11, section 6.2.2. */
const REPORT_DESCRIPTOR = Uint8Array.from([
  ...[0x05, 0x01, 0x09, 0x02, 0xa1, 0x01], // page generic desktop, usage mouse, collection application
  ...[0x09, 0x01, 0xa1, 0x00], // usage pointer, collection physical
  ...[0x05, 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01], // page button, usages 1 to 3, logical 0 to 1
  ...[0x95, 0x03, 0x75, 0x01, 0x81, 0x02], // three of one bit: data, variable, absolute
  ...[0x95, 0x01, 0x75, 0x05, 0x81, 0x03], // five bits of nothing: constant
  ...[0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f], // x and y, 0 to 32767
  ...[0x75, 0x10, 0x95, 0x02, 0x81, 0x02], // two of sixteen bits: data, variable, absolute
  ...[0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00], // wheel, -127 to 127
  ...[0x75, 0x08, 0x95, 0x01, 0x81, 0x06], // one of eight bits: data, variable, relative
  ...[0xc0, 0xc0],
]);
/** Version 1.11, no country, one report descriptor of so many bytes (section 6.2.1). */
const HID_DESCRIPTOR = [9, DT_HID, 0x11, 0x01, 0, 1, DT_REPORT, REPORT_DESCRIPTOR.length, 0];

interface Report {
  buttons: number;
  x: number;
  y: number;
  wheel: number;
}

export class UsbTablet extends UsbFunction {
  /** Told when the guest begins to read positions from here, and when it leaves off. */
  readonly listeningChanged = new Emitter<boolean>();
  private readonly queue: Report[] = [];
  private last: Report = { buttons: 0, x: 0, y: 0, wheel: 0 };
  private idle = 0;
  private protocol = 1;
  private waiting: { transfer: UsbTransfer; done: UsbDone } | undefined;
  private isListening = false;
  /** Reports go to guest memory, which does not change while the machine stands. */
  private readonly turn: Timer;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    super('full', {
      usb: 0x0110,
      packet0: 64,
      // As QEMU's: systems know it by its class.
      vendor: 0x0627,
      product: 0x0001,
      release: 0x0100,
      strings: ['Hypervue', 'Hypervue USB Tablet', '1'],
      interface: {
        class: 3,
        subclass: 0,
        protocol: 0,
        extra: HID_DESCRIPTOR,
        endpoints: [{ address: REPORTS, kind: INTERRUPT, packet: 8, interval: 4 }],
      },
    });
    this.clock = clock;
    this.turn = clock.createTimer(() => this.answer());
  }

  /** A driver in the guest asks for reports. */
  get listening(): boolean {
    return this.isListening;
  }

  /** x, y in 0..TABLET_MAX over the picture; buttons: bit 0 left, 1 right, 2 middle; `dz` towards the user positive. Nobody listens: nothing happens. */
  moveTo(x: number, y: number, dz: number, buttons: number): void {
    if (!this.isListening) return;
    const clamp = (value: number) => Math.max(0, Math.min(TABLET_MAX, Math.round(value)));
    const report = { buttons: buttons & 7, x: clamp(x), y: clamp(y), wheel: Math.max(-127, Math.min(127, -dz)) };
    const newest = this.queue.at(-1);
    if (newest && newest.buttons === report.buttons && newest.wheel === 0 && report.wheel === 0) this.queue[this.queue.length - 1] = report;
    else if (this.queue.length < QUEUE) this.queue.push(report);
    else this.queue[QUEUE - 1] = report;
    if (this.waiting) this.turn.arm(this.clock.now());
  }

  cancel(endpoint: number): void {
    if (endpoint !== REPORTS || !this.waiting) return;
    this.waiting = undefined;
    this.setListening(false);
  }

  override save(): DeviceState {
    return {
      ...super.save(),
      queue: this.queue.flatMap(numbers),
      last: numbers(this.last),
      idle: this.idle,
      protocol: this.protocol,
      listening: this.isListening,
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, 'tablet', 1);
    this.restoreFunction(reader);
    const queue = reader.numbers('queue', QUEUE * 4);
    this.queue.length = 0;
    for (let i = 0; i + 3 < queue.length; i += 4) this.queue.push(report(queue.slice(i, i + 4)));
    this.last = report(reader.numbers('last', 4));
    this.idle = reader.byte('idle');
    this.protocol = reader.number('protocol', 0, 1);
    this.waiting = undefined;
    this.setListening(reader.boolean('listening'));
  }

  protected transfer(transfer: UsbTransfer, done: UsbDone): void {
    this.waiting = { transfer, done };
    this.setListening(true);
    this.answer();
  }

  protected override classDescriptor(type: number): ControlAnswer {
    return type === DT_HID ? Uint8Array.from(HID_DESCRIPTOR) : type === DT_REPORT ? REPORT_DESCRIPTOR : undefined;
  }

  /** HID 1.11, section 7.2. */
  protected classRequest({ request, value }: SetupPacket): ControlAnswer {
    switch (request) {
      case GET_REPORT:
        return encode({ ...this.last, wheel: 0 });
      case GET_IDLE:
        return Uint8Array.of(this.idle);
      case GET_PROTOCOL:
        return Uint8Array.of(this.protocol);
      case SET_IDLE:
        this.idle = value >> 8;
        return new Uint8Array();
      case SET_PROTOCOL:
        this.protocol = value & 1;
        return new Uint8Array();
      case SET_REPORT:
        return new Uint8Array();
      default:
        return undefined;
    }
  }

  protected unconfigured(): void {
    this.waiting = undefined;
    this.queue.length = 0;
    this.last = report([]);
    this.idle = 0;
    this.protocol = 1;
    this.setListening(false);
  }

  private answer(): void {
    const next = this.waiting && this.queue.shift();
    if (!this.waiting || !next) return;
    const { transfer, done } = this.waiting;
    this.waiting = undefined;
    this.last = next;
    const bytes = encode(next);
    if (transfer.data.bytes < REPORT_BYTES) done('babble', transfer.data.put(0, bytes));
    else done('ok', transfer.data.put(0, bytes));
  }

  private setListening(listening: boolean): void {
    if (listening === this.isListening) return;
    this.isListening = listening;
    if (!listening) this.queue.length = 0;
    this.listeningChanged.emit(listening);
  }
}

function encode({ buttons, x, y, wheel }: Report): Uint8Array {
  return Uint8Array.of(buttons, x & 0xff, x >> 8, y & 0xff, y >> 8, wheel & 0xff);
}

const numbers = ({ buttons, x, y, wheel }: Report): number[] => [buttons, x, y, wheel];

function report([buttons = 0, x = 0, y = 0, wheel = 0]: readonly number[]): Report {
  return { buttons: buttons & 7, x: x & TABLET_MAX, y: y & TABLET_MAX, wheel: Math.max(-127, Math.min(127, Math.trunc(wheel))) };
}
