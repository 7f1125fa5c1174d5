import type { UsbConnectors, UsbDevice, UsbDone, UsbSpeed, UsbStatus, UsbTransfer } from '../bus/usb/usbdevice.ts';
import type { Clock, Timer } from '../util/clock.ts';
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

/** From the main thread. */
export type UsbNews =
  | { what: 'plug'; connector: number; speed: UsbSpeed }
  | { what: 'unplug'; connector: number }
  | { what: 'ended'; connector: number; id: number; status: UsbStatus; moved: number; data: Uint8Array };

type News = UsbNews | { what: 'plugEmulated'; connector: number; device: UsbDevice };

/** Guest time that a guest has at most to see that a device is gone before the next one comes, nanoseconds: drivers look within a tenth of a second, firmware never. */
const GAP_NS = 1e9;
const LOOK_NS = 10e6;

/** What is plugged into the machine's USB controller, and pulled out, while it is on. What comes of it reaches the guest only in `deliver`, when guest memory may change. */
export class RemoteUsb {
  private readonly controller: UsbConnectors;
  private readonly post: Post;
  private readonly clock: Clock;
  private readonly again: Timer;
  private readonly devices = new Map<number, RemoteUsbDevice>();
  /** When what was at a connector was pulled out, guest time. */
  private readonly gone = new Map<number, number>();
  private news: News[] = [];

  constructor(controller: UsbConnectors, post: Post, clock: Clock) {
    this.controller = controller;
    this.post = post;
    this.clock = clock;
    this.again = clock.createTimer(() => this.deliver());
  }

  /** From the main thread. */
  tell(news: UsbNews): void {
    this.news.push(news);
  }

  /** Plugs in what this thread emulates. */
  plug(connector: number, device: UsbDevice): void {
    this.news.push({ what: 'plugEmulated', connector, device });
  }

  /** There is something to deliver. */
  get waiting(): boolean {
    return this.news.length > 0;
  }

  /** Not while the machine stands. */
  deliver(): void {
    const [all, held] = [this.news, new Set<number>()];
    this.news = [];
    for (const news of all) {
      const plugs = news.what === 'plug' || news.what === 'plugEmulated';
      if (held.has(news.connector) || (plugs && this.tooSoon(news.connector))) {
        held.add(news.connector);
        this.news.push(news);
      } else this.carryOut(news);
    }
    if (held.size) this.again.arm(this.clock.now() + LOOK_NS);
  }

  /** The guest has not seen yet that what was there is gone. */
  private tooSoon(connector: number): boolean {
    const since = this.gone.get(connector);
    return since !== undefined && !this.controller.noticed(connector) && this.clock.now() - since < GAP_NS;
  }

  private carryOut(news: News): void {
    const { connector } = news;
    switch (news.what) {
      case 'plug': {
        const device = new RemoteUsbDevice(connector, news.speed, this.post);
        this.devices.set(connector, device);
        this.controller.plug(connector, device);
        break;
      }
      case 'plugEmulated':
        this.controller.plug(connector, news.device);
        break;
      case 'unplug':
        this.devices.delete(connector);
        this.controller.unplug(connector);
        this.gone.set(connector, this.clock.now());
        break;
      default:
        this.devices.get(connector)?.ended(news.id, news.status, news.moved, news.data);
    }
  }
}
