import * as U from '../usbfs/usbfs.ts';

/** Answers a request of the control pipe, or a transfer: what comes, or a negative errno. Undefined: it has nothing to say yet. */
export type Answer = (transfer: {
  endpoint: number;
  setup?: Uint8Array;
  sent: Uint8Array;
  room: number;
}) => Uint8Array | number | undefined;

interface Queued {
  at: number;
  urb: Buffer;
  buffer: Buffer;
}

/**
 * A kernel with one USB device: transfers are queued, end when the test says so, are discarded, and are all over when the device is pulled out. Memory is found
 * by the addresses that were given out for it.
 */
export class FakeUsbfs implements U.UsbfsSystem {
  /** Calls other than those about transfers: name and argument. */
  readonly calls: [name: string, value: number][] = [];
  gone = false;
  closed = 0;
  /** What the next claim gives. */
  claimResult = 0;
  openError: NodeJS.ErrnoException | undefined;
  readonly device: Uint8Array;
  private readonly speed: number;
  private readonly answer: Answer;
  private readonly places = new Map<number, Buffer>();
  private nextPlace = 0x1000;
  private readonly queued: Queued[] = [];
  private readonly over: Queued[] = [];
  private readonly waiting: ((gone: boolean) => void)[] = [];

  constructor(device: Uint8Array, speed: number, answer: Answer) {
    this.device = device;
    this.speed = speed;
    this.answer = answer;
  }

  open(): number {
    if (this.openError) throw this.openError;
    return 7;
  }

  close(): void {
    this.closed++;
  }

  descriptors(): Uint8Array {
    return this.device;
  }

  address(bytes: Uint8Array): number {
    for (const [at, known] of this.places) if (known.buffer === bytes.buffer && known.byteOffset === bytes.byteOffset) return at;
    const at = this.nextPlace;
    this.nextPlace += 0x100_0000;
    this.places.set(at, bytes as Buffer);
    return at;
  }

  ioctl(_fd: number, request: number, argument: number): number {
    if (this.gone) return -U.ENODEV;
    const memory = this.places.get(argument);
    switch (request) {
      case U.GET_SPEED:
        return this.speed;
      case U.SUBMITURB: {
        const buffer = this.places.get(Number(memory!.readBigUInt64LE(U.URB_BUFFER)))!;
        this.queued.push({ at: argument, urb: memory!, buffer });
        return 0;
      }
      case U.DISCARDURB: {
        const index = this.queued.findIndex(({ at }) => at === argument);
        if (index < 0) return -22;
        this.finish(index, -2, 0);
        return 0;
      }
      case U.REAPURBNDELAY: {
        const next = this.over.shift();
        if (!next) return -U.EAGAIN;
        memory!.writeBigUInt64LE(BigInt(next.at));
        return 0;
      }
      case U.DISCONNECT_CLAIM:
        this.calls.push(['claim', memory!.readUInt32LE(0)]);
        return this.claimResult;
      case U.RELEASEINTERFACE:
        this.calls.push(['release', memory!.readUInt32LE(0)]);
        return 0;
      case U.INTERFACE_IOCTL:
        this.calls.push([memory!.readInt32LE(4) === U.CONNECT_INTERFACE ? 'connect' : '?', memory!.readInt32LE(0)]);
        return 0;
      default:
        throw new Error(`unexpected request 0x${request.toString(16)}`);
    }
  }

  ioctlLater(_fd: number, request: number, argument: number, done: (result: number) => void): void {
    const names = new Map([
      [U.SETCONFIGURATION, 'configure'],
      [U.SETINTERFACE, 'alternate'],
      [U.CLEAR_HALT, 'clear'],
      [U.RESET, 'reset'],
    ]);
    this.calls.push([names.get(request)!, this.places.get(argument)?.readUInt32LE(0) ?? 0]);
    setImmediate(() => done(this.gone ? -U.EIO : 0));
  }

  wait(_fd: number, done: (gone: boolean) => void): void {
    this.waiting.push(done);
  }

  /** Lets the device answer what it can, and whoever waits look. */
  run(): void {
    for (let index = 0; index < this.queued.length; ) {
      const { urb, buffer } = this.queued[index]!;
      const endpoint = urb[U.URB_ENDPOINT]!;
      const length = urb.readInt32LE(U.URB_LENGTH);
      const control = urb[U.URB_TYPE] === U.URB_CONTROL;
      const head = control ? 8 : 0;
      const setup = control ? buffer.subarray(0, 8) : undefined;
      const incoming = ((setup ? setup[0]! : endpoint) & 0x80) !== 0;
      const sent = incoming ? new Uint8Array() : buffer.subarray(head, length).slice();
      const answer = this.answer({ endpoint, ...(setup ? { setup } : {}), sent, room: incoming ? length - head : 0 });
      if (answer === undefined) index++;
      else if (typeof answer === 'number') this.finish(index, answer, 0);
      else {
        const fits = answer.subarray(0, length - head);
        if (incoming) buffer.set(fits, head);
        this.finish(index, answer.length > fits.length ? -U.EOVERFLOW : 0, incoming ? fits.length : sent.length);
      }
    }
    this.wake();
  }

  pullOut(): void {
    this.gone = true;
    this.wake();
  }

  get underWay(): number {
    return this.queued.length;
  }

  private wake(): void {
    for (const done of this.waiting.splice(0)) done(this.gone);
  }

  private finish(index: number, status: number, actual: number): void {
    const [urb] = this.queued.splice(index, 1);
    urb!.urb.writeInt32LE(status, U.URB_STATUS);
    urb!.urb.writeInt32LE(actual, U.URB_ACTUAL);
    this.over.push(urb!);
  }
}
