import type { ByteChannel } from '../../../core/contract/transport.ts';

/** A serial line that greets and echoes. */
export function mockSerial(): ByteChannel {
  const encoder = new TextEncoder();
  const closers: (() => void)[] = [];
  let listener: ((bytes: Uint8Array) => void) | null = null;
  return {
    send(bytes) {
      listener?.(Uint8Array.from([...bytes].flatMap((each) => (each === 13 ? [13, 10, 0x2f, 0x20, 0x23, 0x20] : [each]))));
      return true;
    },
    onData(each) {
      listener = each;
      each(
        encoder.encode(
          '[    0.000000] Linux version 6.1.0-i386\r\n[    0.812345] \x1b[32mserial8250\x1b[0m: ttyS0 at I/O 0x3f8 (irq = 4) is a 16550A\r\n\r\n/ # ',
        ),
      );
    },
    onDrain() {},
    onClose: (each) => void closers.push(each),
    close() {
      for (const each of closers.splice(0)) each();
    },
  };
}
