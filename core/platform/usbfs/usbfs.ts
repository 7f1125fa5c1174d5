/**
 * USB devices of Linux from user space: Documentation/driver-api/usb/usb.rst ("The USB character device nodes"), include/uapi/linux/usbdevice_fs.h. Layouts are those of 64-bit hosts.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';

/** _IO, _IOR, _IOW and _IOWR of asm-generic/ioctl.h, type 'U'. */
const request = (direction: 0 | 1 | 2 | 3, number: number, bytes: number) => direction * 2 ** 30 + bytes * 2 ** 16 + 0x5500 + number;
export const SETINTERFACE = request(2, 4, 8);
export const SETCONFIGURATION = request(2, 5, 4);
export const SUBMITURB = request(2, 10, 56);
export const DISCARDURB = request(0, 11, 0);
export const REAPURBNDELAY = request(1, 13, 8);
export const RELEASEINTERFACE = request(2, 16, 4);
export const RESET = request(0, 20, 0);
export const CLEAR_HALT = request(2, 21, 4);
/** Takes an interface away from its driver and claims it, in one. */
export const DISCONNECT_CLAIM = request(2, 27, 264);
export const DISCONNECT_CLAIM_BYTES = 264;
export const CONNECT_INTERFACE = request(0, 23, 0);
/** A request to an interface: {i32 interface, i32 request, void *data}. */
export const INTERFACE_IOCTL = request(3, 18, 16);
export const GET_SPEED = request(0, 31, 0);

/** struct usbdevfs_urb. */
export const URB_BYTES = 56;
export const URB_TYPE = 0;
export const URB_ENDPOINT = 1;
export const URB_STATUS = 4;
export const URB_BUFFER = 16;
export const URB_LENGTH = 24;
export const URB_ACTUAL = 28;
export const URB_INTERRUPT = 1;
export const URB_CONTROL = 2;
export const URB_BULK = 3;

const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
/** The longest wait at once: a thread that waits for good would keep the process from ending. */
const WAIT_MS = 1000;

/** The calls that are made, so that a test may stand in for the kernel. Calls give 0 or more, or a negative errno. */
export interface UsbfsSystem {
  /** Throws errors with the system's `code`. */
  open(path: string): number;
  close(fd: number): void;
  /** Descriptors of the device, as they lie behind one another. */
  descriptors(fd: number): Uint8Array;
  ioctl(fd: number, request: number, argument: number): number;
  /** The same on another thread, for what takes long. */
  ioctlLater(fd: number, request: number, argument: number, done: (result: number) => void): void;
  /** Waits until a transfer has ended, the device is gone, or some time has passed. */
  wait(fd: number, done: (gone: boolean) => void): void;
  /** Where the bytes lie, which stay there as long as they are held. */
  address(bytes: Uint8Array): number;
}

interface Ioctl {
  (fd: number, request: number, argument: number): number;
  async(fd: number, request: number, argument: number, done: (error: Error | null, result: number) => void): void;
}

let loaded: UsbfsSystem | undefined;

/** The kernel of this computer. Throws where there is no such C library. */
export function usbfsSystem(): UsbfsSystem {
  loaded ??= load();
  return loaded;
}

function load(): UsbfsSystem {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const libc = koffi.load('libc.so.6');
  const ioctl = libc.func('int ioctl(int fd, unsigned long request, intptr_t argument)') as unknown as Ioctl;
  const poll = libc.func('int poll(intptr_t fds, unsigned long count, int ms)') as unknown as {
    async(address: number, count: number, ms: number, done: (error: Error | null, result: number) => void): void;
  };
  const address = (bytes: Uint8Array) => Number(koffi.address(bytes));
  return {
    open: (path) => openSync(path, constants.O_RDWR),
    close: (fd) => closeSync(fd),
    descriptors(fd) {
      const bytes = Buffer.alloc(65_536);
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
    },
    ioctl: (fd, number, argument) => {
      const result = ioctl(fd, number, argument);
      return result < 0 ? -koffi.errno() : result;
    },
    ioctlLater: (fd, number, argument, done) => {
      // errno is that of the other thread: which failure it was is not known.
      ioctl.async(fd, number, argument, (error, result) => done(error || result < 0 ? -EIO : result));
    },
    wait(fd, done) {
      const waits = Buffer.allocUnsafeSlow(8);
      waits.writeInt32LE(fd, 0);
      waits.writeInt16LE(POLLOUT, 4);
      waits.writeInt16LE(0, 6);
      poll.async(address(waits), 1, WAIT_MS, () => done((waits.readInt16LE(6) & (POLLERR | POLLHUP)) !== 0));
    },
    address,
  };
}

export const EIO = 5;
export const EAGAIN = 11;
export const ENODEV = 19;
export const EPIPE = 32;
export const EOVERFLOW = 75;
export const ESHUTDOWN = 108;
