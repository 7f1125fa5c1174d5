import type { ByteChannel } from '../../../core/contract/transport.ts';

/** The least RFB 3.8 server that noVNC accepts: security None, one Raw rectangle for each full request. */
export function mockRfb(canvas: HTMLCanvasElement): ByteChannel {
  let listener: ((bytes: Uint8Array) => void) | null = null;
  const waiting: Uint8Array[] = [];
  const send = (bytes: number[] | Uint8Array) => {
    const data = bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes);
    if (!listener) waiting.push(data);
    else queueMicrotask(() => listener?.(data));
  };
  const ascii = (text: string) => [...text].map((each) => each.charCodeAt(0));
  const u16 = (n: number) => [n >> 8, n & 255];
  let stage = 0;
  let buffer: number[] = [];
  const closers: (() => void)[] = [];
  const { width, height } = canvas;

  function message(): boolean {
    const type = buffer[0];
    const length =
      type === 0
        ? 20
        : type === 2
          ? 4 + ((buffer[2] ?? 0) * 256 + (buffer[3] ?? 0)) * 4
          : type === 3
            ? 10
            : type === 4
              ? 8
              : type === 5
                ? 6
                : buffer.length;
    if (buffer.length < length || buffer.length === 0) return false;
    const body = buffer.splice(0, length);
    if (type === 3 && body[1] === 0) picture();
    return true;
  }

  function picture(): void {
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, width, height);
    const out = new Uint8Array(16 + data.length);
    out.set([0, 0, 0, 1, 0, 0, 0, 0, ...u16(width), ...u16(height), 0, 0, 0, 0]);
    // Red shift 0, as noVNC asks for.
    out.set(data, 16);
    queueMicrotask(() => send(out));
  }

  queueMicrotask(() => send(ascii('RFB 003.008\n')));
  return {
    send(bytes) {
      buffer.push(...bytes);
      if (stage === 0 && buffer.length >= 12) {
        buffer = buffer.slice(12);
        stage = 1;
        send([1, 1]);
      }
      if (stage === 1 && buffer.length >= 1) {
        buffer = buffer.slice(1);
        stage = 2;
        send([0, 0, 0, 0]);
      }
      if (stage === 2 && buffer.length >= 1) {
        buffer = buffer.slice(1);
        stage = 3;
        send([...u16(width), ...u16(height), 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0, 0, 0, 0, 4, ...ascii('mock')]);
      }
      while (stage === 3 && message());
      return true;
    },
    onData(each) {
      listener = each;
      for (const bytes of waiting.splice(0)) each(bytes);
    },
    onDrain() {},
    onClose: (each) => void closers.push(each),
    close() {
      for (const each of closers.splice(0)) each();
    },
  };
}
