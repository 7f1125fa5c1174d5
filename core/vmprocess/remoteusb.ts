import type { UsbConnectors, UsbDevice, UsbDone, UsbSpeed, UsbStatus, UsbTransfer } from '../bus/usb/usbdevice.ts';
import type { FromMachine } from './machinemessages.ts';

/** Longest transfer that is taken; drivers use some hundred kilobytes. */
const MAX_BYTES = 16 << 20;
const TO_HOST = 0x80;

type Post = (message: FromMachine, transfer?: ArrayBuffer[]) => void;

/** A USB device of this computer as the machine thread sees it: the main thread has it. It can't be saved: in a machine that is restored it is pulled out. */
class RemoteUsbDevice implements UsbDevice {
  readonly speed: UsbSpeed;
  private readonly connector: number;
  private readonly post: Post;
  /** What is under way on each endpoint. */
  private readonly under = new Map<number, { id: number; transfer: UsbTransfer; done: UsbDone }>();
  private next = 1;

  constructor(connector: number, speed: UsbSpeed, post: Post) {
    this.connector = connector;
    this.speed = speed;
    this.post = post;
  }

  submit(transfer: UsbTransfer, done: UsbDone): void {
    const { endpoint, setup, data } = transfer;
    if (data.bytes > MAX_BYTES) {
      done('failed', 0);
      return;
    }
    const incoming = ((setup ? setup[0]! : endpoint) & TO_HOST) !== 0;
    const sent = new Uint8Array(incoming ? 0 : data.bytes);
    data.take(0, sent);
    const id = this.next++;
    this.under.set(endpoint, { id, transfer, done });
    const request = { endpoint, ...(setup ? { setup } : {}), data: incoming ? data.bytes : sent };
    this.post({ t: 'usb', connector: this.connector, op: 'submit', id, request }, incoming ? [] : [sent.buffer]);
  }

  cancel(endpoint: number): void {
    const known = this.under.get(endpoint);
    if (!known) return;
    this.under.delete(endpoint);
    this.post({ t: 'usb', connector: this.connector, op: 'cancel', id: known.id });
  }

  reset(): void {
    this.under.clear();
    this.post({ t: 'usb', connector: this.connector, op: 'reset' });
  }

  ended(id: number, status: UsbStatus, moved: number, data: Uint8Array): void {
    for (const [endpoint, known] of this.under) {
      if (known.id !== id) continue;
      this.under.delete(endpoint);
      known.transfer.data.put(0, data);
      known.done(status, Math.min(moved, known.transfer.data.bytes));
      return;
    }
  }
}

export type UsbNews =
  | { what: 'plug'; connector: number; speed: UsbSpeed }
  | { what: 'unplug'; connector: number }
  | { what: 'ended'; connector: number; id: number; status: UsbStatus; moved: number; data: Uint8Array };

/** This computer's USB devices on the machine thread. What comes of them reaches the guest only in `deliver`, when guest memory may change. */
export class RemoteUsb {
  private readonly controller: UsbConnectors;
  private readonly post: Post;
  private readonly devices = new Map<number, RemoteUsbDevice>();
  private readonly news: UsbNews[] = [];

  constructor(controller: UsbConnectors, post: Post) {
    this.controller = controller;
    this.post = post;
  }

  /** From the main thread. */
  tell(news: UsbNews): void {
    this.news.push(news);
  }

  /** Not while the machine stands. */
  deliver(): void {
    for (let news = this.news.shift(); news; news = this.news.shift()) {
      const { connector } = news;
      if (news.what === 'plug') {
        const device = new RemoteUsbDevice(connector, news.speed, this.post);
        this.devices.set(connector, device);
        this.controller.plug(connector, device);
      } else if (news.what === 'unplug') {
        this.devices.delete(connector);
        this.controller.unplug(connector);
      } else this.devices.get(connector)?.ended(news.id, news.status, news.moved, news.data);
    }
  }
}
