/**
 * A USB device of this computer in the hands of a guest. Its driver here loses it, the guest's requests become those of the kernel, and what the kernel has to know of them (configurations,
 * alternate settings, halts: USB 2.0, section 9.4) it is told by its own calls instead.
 */
import * as U from './usbfs.ts';

export type HostUsbStatus = 'ok' | 'stall' | 'babble' | 'failed';

export interface HostUsbRequest {
  /** Address with direction; 0 is the control pipe. */
  endpoint: number;
  setup?: Uint8Array;
  /** What is sent, or room for so many bytes. */
  data: Uint8Array | number;
}

export interface HostUsbListener {
  /** `data`: what came. */
  done(id: number, status: HostUsbStatus, moved: number, data: Uint8Array): void;
  /** It was pulled out. Nothing follows. */
  gone(): void;
}

interface Under {
  id: number;
  request: HostUsbRequest;
  /** Of the device, in the order of its descriptors. */
  urb: Buffer;
  at: number;
  buffer: Buffer;
  /** Bytes that former pieces moved. */
  before: number;
  cancelled: boolean;
}

const SPEEDS = { 1: 'low', 2: 'full', 3: 'high', 4: 'high', 5: 'super', 6: 'super' } as const;
/** A transfer is given to the kernel in pieces of so many bytes, a multiple of every packet; it lends no more than 16 MiB. */
const PIECE = 256 * 1024;
const SETUP_BYTES = 8;
const TO_HOST = 0x80;
const DT_CONFIGURATION = 2;
const DT_INTERFACE = 4;
const DT_ENDPOINT = 5;
const INTERRUPT = 3;

export class HostUsbDevice {
  readonly speed: 'low' | 'full' | 'high' | 'super';
  private readonly system: U.UsbfsSystem;
  private readonly fd: number;
  private readonly listener: HostUsbListener;
  private readonly descriptors: Uint8Array;
  private readonly under = new Map<number, Under>();
  private readonly claimed = new Set<number>();
  /** What came of requests that are not at their end. */
  private readonly pieces = new Map<number, Uint8Array[]>();
  /** What is done one after the other on another thread, and what waits for that. */
  private busy = false;
  private readonly later: (() => void)[] = [];
  private waiting = false;
  private closed = false;
  private readonly number = Buffer.allocUnsafeSlow(U.DISCONNECT_CLAIM_BYTES);
  private readonly numberAt: number;

  /** Opens the device and takes it from its drivers. Throws errors with the system's `code`. */
  constructor(system: U.UsbfsSystem, node: string, listener: HostUsbListener) {
    this.system = system;
    this.listener = listener;
    this.fd = system.open(node);
    this.numberAt = system.address(this.number);
    try {
      this.descriptors = system.descriptors(this.fd);
      const speed = system.ioctl(this.fd, U.GET_SPEED, 0);
      this.speed = SPEEDS[speed as keyof typeof SPEEDS] ?? 'full';
      this.claim();
    } catch (error) {
      this.release();
      system.close(this.fd);
      throw error;
    }
    this.wait();
  }

  submit(id: number, request: HostUsbRequest): void {
    this.inTurn(() => {
      if (!this.closed && !this.special(id, request)) this.begin(id, request, 0);
    });
  }

  /** Nothing is heard of the request any more. */
  cancel(id: number): void {
    this.inTurn(() => {
      const under = this.under.get(id);
      if (!under) return;
      under.cancelled = true;
      this.system.ioctl(this.fd, U.DISCARDURB, under.at);
    });
  }

  /** A reset on the bus. What is under way is cancelled. */
  reset(): void {
    this.inTurn(() => {
      for (const { at } of this.under.values()) this.system.ioctl(this.fd, U.DISCARDURB, at);
      for (const under of this.under.values()) under.cancelled = true;
      this.lengthy(U.RESET, 0, () => {
        this.claimed.clear();
        this.tryClaim();
      });
    });
  }

  /** Gives the device back to the drivers of this computer. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const { at } of this.under.values()) this.system.ioctl(this.fd, U.DISCARDURB, at);
    this.release();
    // A thread that waits holds the file; it is closed when that is back.
    if (!this.waiting && !this.busy) this.system.close(this.fd);
  }

  /** Calls that the kernel has to make itself. False: an ordinary transfer. */
  private special(id: number, { setup }: HostUsbRequest): boolean {
    if (!setup || (setup[0]! & 0x60) !== 0) return false;
    const view = new DataView(setup.buffer, setup.byteOffset, SETUP_BYTES);
    const [type, call, value, index] = [setup[0]!, setup[1]!, view.getUint16(2, true), view.getUint16(4, true)];
    const answer = (result: number) => this.listener.done(id, result < 0 ? 'stall' : 'ok', 0, new Uint8Array());
    if (type === 0 && call === 9) {
      this.release();
      this.number.writeInt32LE(value === 0 ? -1 : value, 0);
      this.lengthy(U.SETCONFIGURATION, this.numberAt, (result) => {
        if (result >= 0) this.tryClaim(value);
        answer(result);
      });
      return true;
    }
    if (type === 1 && call === 11) {
      this.number.writeUInt32LE(index, 0);
      this.number.writeUInt32LE(value, 4);
      this.lengthy(U.SETINTERFACE, this.numberAt, answer);
      return true;
    }
    if (type === 2 && call === 1 && value === 0) {
      this.number.writeUInt32LE(index & 0xff, 0);
      this.lengthy(U.CLEAR_HALT, this.numberAt, answer);
      return true;
    }
    return false;
  }

  /** Gives the next piece of a request to the kernel. */
  private begin(id: number, request: HostUsbRequest, before: number): void {
    const { setup, data, endpoint } = request;
    const all = typeof data === 'number' ? data : data.length;
    const bytes = setup ? all : Math.min(PIECE, all - before);
    const head = setup ? SETUP_BYTES : 0;
    const buffer = Buffer.allocUnsafeSlow(Math.max(1, head + bytes));
    if (setup) buffer.set(setup);
    if (typeof data !== 'number') buffer.set(data.subarray(before, before + bytes), head);
    const urb = Buffer.allocUnsafeSlow(U.URB_BYTES).fill(0);
    const at = this.system.address(urb);
    urb[U.URB_TYPE] = setup ? U.URB_CONTROL : this.isInterrupt(endpoint) ? U.URB_INTERRUPT : U.URB_BULK;
    urb[U.URB_ENDPOINT] = setup ? 0 : endpoint;
    urb.writeBigUInt64LE(BigInt(this.system.address(buffer)), U.URB_BUFFER);
    urb.writeInt32LE(head + bytes, U.URB_LENGTH);
    const result = this.system.ioctl(this.fd, U.SUBMITURB, at);
    if (result === -U.ENODEV || result === -U.ESHUTDOWN) this.lost();
    else if (result < 0) this.listener.done(id, statusOf(result), before, this.joined(id, new Uint8Array()));
    else this.under.set(id, { id, request, urb, at, buffer, before, cancelled: false });
  }

  /** Hears of transfers that have ended, and of the device being pulled out, also while nothing is under way. */
  private wait(): void {
    if (this.waiting || this.closed) return;
    this.waiting = true;
    this.system.wait(this.fd, (gone) => {
      this.waiting = false;
      if (this.closed) {
        if (!this.busy) this.system.close(this.fd);
        return;
      }
      this.reap();
      if (gone && !this.closed) this.lost();
      this.wait();
    });
  }

  /** Takes what has ended. */
  private reap(): void {
    const place = Buffer.allocUnsafeSlow(8);
    const placeAt = this.system.address(place);
    while (!this.closed) {
      const result = this.system.ioctl(this.fd, U.REAPURBNDELAY, placeAt);
      if (result === -U.ENODEV) this.lost();
      if (result < 0) return;
      const at = Number(place.readBigUInt64LE());
      const under = [...this.under.values()].find((each) => each.at === at);
      if (under) this.ended(under);
    }
  }

  private ended({ id, request, urb, buffer, before, cancelled }: Under): void {
    this.under.delete(id);
    if (cancelled) {
      this.pieces.delete(id);
      return;
    }
    const status = urb.readInt32LE(U.URB_STATUS);
    const head = request.setup ? SETUP_BYTES : 0;
    const actual = Math.min(Math.max(0, urb.readInt32LE(U.URB_ACTUAL)), buffer.length - head);
    const moved = before + actual;
    const incoming = typeof request.data === 'number';
    const all = incoming ? (request.data as number) : (request.data as Uint8Array).length;
    const data = incoming ? buffer.subarray(head, head + actual) : new Uint8Array();
    if (status < 0) {
      this.listener.done(id, statusOf(status), moved, this.joined(id, data));
      return;
    }
    const more = !request.setup && moved < all && actual === PIECE;
    if (!more) {
      this.listener.done(id, 'ok', moved, this.joined(id, data));
      return;
    }
    if (incoming) this.pieces.set(id, [...(this.pieces.get(id) ?? []), data]);
    this.begin(id, request, moved);
  }

  private joined(id: number, last: Uint8Array): Uint8Array {
    const former = this.pieces.get(id);
    this.pieces.delete(id);
    return former ? Buffer.concat([...former, last]) : last;
  }

  private lost(): void {
    if (this.closed) return;
    this.close();
    this.listener.gone();
  }

  /** Does it now, or when what takes long is over. */
  private inTurn(act: () => void): void {
    if (this.busy) this.later.push(act);
    else act();
  }

  private lengthy(request: number, argument: number, done: (result: number) => void): void {
    this.busy = true;
    this.system.ioctlLater(this.fd, request, argument, (result) => {
      this.busy = false;
      if (this.closed) {
        if (!this.waiting) this.system.close(this.fd);
        return;
      }
      done(result);
      while (!this.busy && this.later.length) this.later.shift()!();
    });
  }

  private tryClaim(configuration?: number): void {
    try {
      this.claim(configuration);
    } catch {
      // The guest's transfers on the interface fail, which it sees.
    }
  }

  /** Takes every interface of a configuration (the first, when none is named) from its driver. */
  private claim(configuration?: number): void {
    for (const { type, at } of this.each()) {
      if (type === DT_CONFIGURATION) configuration ??= this.descriptors[at + 5]!;
    }
    let current: number | undefined;
    for (const { type, at } of this.each()) {
      if (type === DT_CONFIGURATION) current = this.descriptors[at + 5]!;
      const face = this.descriptors[at + 2]!;
      if (type !== DT_INTERFACE || current !== configuration || this.claimed.has(face)) continue;
      this.number.fill(0);
      this.number.writeUInt32LE(face, 0);
      const result = this.system.ioctl(this.fd, U.DISCONNECT_CLAIM, this.numberAt);
      if (result < 0) throw Object.assign(new Error(`claim interface ${face}`), { errno: result, code: result === -16 ? 'EBUSY' : 'EIO' });
      this.claimed.add(face);
    }
  }

  private release(): void {
    for (const face of this.claimed) {
      this.number.writeUInt32LE(face, 0);
      this.system.ioctl(this.fd, U.RELEASEINTERFACE, this.numberAt);
      if (!this.closed) continue;
      this.number.writeInt32LE(face, 0);
      this.number.writeInt32LE(U.CONNECT_INTERFACE, 4);
      this.number.writeBigUInt64LE(0n, 8);
      this.system.ioctl(this.fd, U.INTERFACE_IOCTL, this.numberAt);
    }
    this.claimed.clear();
  }

  private isInterrupt(endpoint: number): boolean {
    for (const { type, at } of this.each())
      if (type === DT_ENDPOINT && this.descriptors[at + 2] === endpoint) return (this.descriptors[at + 3]! & 3) === INTERRUPT;
    return false;
  }

  /** Descriptors by type and where they lie. */
  private *each(): Generator<{ type: number; at: number }> {
    for (let at = 0; at + 2 < this.descriptors.length && this.descriptors[at]! >= 2; at += this.descriptors[at]!)
      yield { type: this.descriptors[at + 1]!, at };
  }
}

function statusOf(errno: number): HostUsbStatus {
  return errno === -U.EPIPE ? 'stall' : errno === -U.EOVERFLOW ? 'babble' : 'failed';
}

/** Direction of a control request or an endpoint. */
export const comesIn = (endpoint: number, setup: Uint8Array | undefined): boolean => ((setup ? setup[0]! : endpoint) & TO_HOST) !== 0;
