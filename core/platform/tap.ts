/**
 * A TAP device of Linux (Documentation/networking/tuntap.rst) through koffi: one end is an interface of this computer, the other a file whose reads and writes are Ethernet
 * frames. Every frame has a header before it, `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h), so that checksums and cutting are left to whoever does them once.
 * The file never blocks: a wait for frames is a poll(2) on another thread.
 */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const TUN_FILE = '/dev/net/tun';
/** Bytes of the header: u8 flags, u8 GSO type, u16 header length, u16 GSO size, u16 checksum start, u16 checksum offset; of the host's byte order. */
export const TAP_HEADER_BYTES = 10;

const TUNSETIFF = 0x4004_54ca;
const TUNSETOFFLOAD = 0x4004_54d0;
const TUNSETVNETHDRSZ = 0x4004_54d8;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** What this side takes: open checksums, and TCP over IPv4 that is not cut. */
const TUN_F_CSUM = 1;
const TUN_F_TSO4 = 2;
/** struct ifreq: 16 bytes of name, then the flags. */
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const POLLIN = 1;
const EAGAIN = 11;
const EINTR = 4;
/** A file whose device was removed. */
const EBADFD = 77;
/** Header, and an IPv4 packet of any length behind headers of Ethernet and a VLAN. */
const ROOM_BYTES = TAP_HEADER_BYTES + 18 + 65_535;
/** Frames that are taken before others have their turn. */
const BURST = 64;
/** The longest wait at once: a thread that waits for good would keep the process from ending. */
const WAIT_MS = 2000;

interface Library {
  ioctl(fd: number, request: number, argument: number): number;
  read(fd: number, address: number, length: number): number | bigint;
  write(fd: number, address: number, length: number): number | bigint;
  eventfd(value: number, flags: number): number;
  poll: { async(address: number, count: number, ms: number, done: (error: Error | null, result: number) => void): void };
  address(bytes: Uint8Array): number;
  errno(): number;
  codes: Record<string, number>;
}

let library: Library | undefined;

function load(): Library {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const libc = koffi.load('libc.so.6');
  const call = <F>(signature: string): F => libc.func(signature) as unknown as F;
  return {
    ioctl: call('int ioctl(int fd, unsigned long request, intptr_t argument)'),
    read: call('int64_t read(int fd, intptr_t address, size_t length)'),
    write: call('int64_t write(int fd, intptr_t address, size_t length)'),
    eventfd: call('int eventfd(unsigned int value, int flags)'),
    poll: call('int poll(intptr_t fds, unsigned long count, int ms)'),
    address: (bytes) => Number(koffi.address(bytes)),
    errno: () => koffi.errno(),
    codes: koffi.os.errno,
  };
}

/** A failed call as Node's own errors are: `code` is the system's. */
function failed(call: string, number: number): NodeJS.ErrnoException {
  const code = Object.entries(library?.codes ?? {}).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
  return Object.assign(new Error(`${call}: ${code}`), { code, errno: number });
}

/** Names of the interfaces of this process's network namespace. */
function interfaces(): string[] {
  const [, , ...lines] = readFileSync('/proc/net/dev', 'utf8').split('\n');
  return lines.map((line) => line.split(':')[0]!.trim());
}

export interface TapListener {
  /** A header and a frame, which are there only during the call. */
  frame(header: DataView, frame: Uint8Array): void;
  /** The device is not there any more, or can't be read. Nothing follows. */
  gone(code: string): void;
}

export class Tap {
  private readonly library: Library;
  private readonly fd: number;
  private readonly wake: number;
  private readonly listener: TapListener;
  // Memory of their own, which stays where it is.
  private readonly coming = Buffer.allocUnsafeSlow(ROOM_BYTES);
  private readonly header = new DataView(this.coming.buffer, this.coming.byteOffset, TAP_HEADER_BYTES);
  private readonly going = Buffer.allocUnsafeSlow(ROOM_BYTES);
  /** Two of struct pollfd: i32 file, i16 wanted, i16 what is. */
  private readonly waits = Buffer.alloc(4096);
  private readonly comingAt: number;
  private readonly goingAt: number;
  private readonly waitsAt: number;
  private closed = false;
  private waiting = false;

  /**
   * Opens an existing TAP that this user may open. Throws errors with the system's `code`: EBUSY where another process has it, EPERM where it is somebody else's,
   * ENODEV where there is none of this name, ENOENT or EACCES for /dev/net/tun itself.
   */
  static open(name: string, listener: TapListener): Tap {
    library ??= load();
    // With the rights for it, the call below would make another device.
    if (!interfaces().includes(name)) throw failed(name, library.codes.ENODEV!);
    const fd = openSync(TUN_FILE, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      return new Tap(library, fd, name, listener);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  private constructor(found: Library, fd: number, name: string, listener: TapListener) {
    this.library = found;
    this.fd = fd;
    this.listener = listener;
    [this.comingAt, this.goingAt, this.waitsAt] = [this.coming, this.going, this.waits].map((each) => found.address(each)) as [
      number,
      number,
      number,
    ];
    const request = Buffer.alloc(4096);
    request.write(name.slice(0, IFNAMSIZ - 1), 'latin1');
    request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFNAMSIZ);
    const control = (what: string, number: number, argument: number) => {
      if (found.ioctl(fd, number, argument) < 0) throw failed(what, found.errno());
    };
    control('TUNSETIFF', TUNSETIFF, found.address(request.subarray(0, IFREQ_BYTES)));
    request.writeInt32LE(TAP_HEADER_BYTES, 0);
    control('TUNSETVNETHDRSZ', TUNSETVNETHDRSZ, found.address(request));
    control('TUNSETOFFLOAD', TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4);
    this.wake = found.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (this.wake < 0) throw failed('eventfd', found.errno());
    this.waits.writeInt32LE(fd, 0);
    this.waits.writeInt16LE(POLLIN, 4);
    this.waits.writeInt32LE(this.wake, 8);
    this.waits.writeInt16LE(POLLIN, 12);
    setImmediate(() => this.take());
  }

  /** Room for the next frame: header and frame are written there, then sent with `send`. */
  get room(): { header: DataView; frame: Uint8Array } {
    const { going } = this;
    return {
      header: new DataView(going.buffer, going.byteOffset, TAP_HEADER_BYTES),
      frame: going.subarray(TAP_HEADER_BYTES),
    };
  }

  /** Sends what is in `room`, with a frame of `length` bytes. It is lost where the device is down or full. */
  send(length: number): void {
    if (!this.closed) this.library.write(this.fd, this.goingAt, TAP_HEADER_BYTES + length);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    // The thread that waits sees it; the files are closed when it is back, or at the next look for frames.
    if (!this.waiting) return;
    this.going.writeBigUInt64LE(1n);
    this.library.write(this.wake, this.goingAt, 8);
  }

  /** Takes frames that are there; others have their turn after some, and then it is looked again before it waits. */
  private take(): void {
    for (let count = 0; count < BURST; count++) {
      if (this.closed) break;
      const length = Number(this.library.read(this.fd, this.comingAt, ROOM_BYTES));
      if (length < 0) {
        const number = this.library.errno();
        if (number === EINTR) continue;
        if (number !== EAGAIN) this.fail(number);
        else if (count === 0) {
          this.wait();
          return;
        }
        break;
      }
      if (length > TAP_HEADER_BYTES) this.listener.frame(this.header, this.coming.subarray(TAP_HEADER_BYTES, length));
    }
    if (this.closed) {
      closeSync(this.fd);
      closeSync(this.wake);
    } else setImmediate(() => this.take());
  }

  private wait(): void {
    this.waiting = true;
    this.library.poll.async(this.waitsAt, 2, WAIT_MS, (error) => {
      this.waiting = false;
      if (error) this.fail(EBADFD);
      this.take();
    });
  }

  private fail(number: number): void {
    if (this.closed) return;
    this.closed = true;
    this.listener.gone(String(failed('read', number).code));
  }
}
