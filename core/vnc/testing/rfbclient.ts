import { constants, createInflate } from 'node:zlib';
import type { ByteChannel } from '../../contract/transport.ts';
import * as P from '../protocol.ts';

/** Inflates a stream that the server flushes after each piece. */
class Inflater {
  private readonly stream = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
  private output: Buffer[] = [];

  constructor() {
    this.stream.on('data', (chunk: Buffer) => this.output.push(chunk));
  }

  async inflate(bytes: Uint8Array): Promise<Uint8Array> {
    await new Promise<void>((resolve, reject) => {
      this.stream.once('error', reject);
      this.stream.write(bytes, () => {
        this.stream.off('error', reject);
        resolve();
      });
    });
    // Transform output is delivered on a later turn.
    await new Promise((resolve) => setImmediate(resolve));
    const whole = Buffer.concat(this.output);
    this.output = [];
    return whole;
  }
}

export interface RfbClientOptions {
  version?: '3' | '7' | '8';
  encodings?: readonly number[];
  shared?: boolean;
  /** Answers the 16-byte challenge. */
  respond?: (challenge: Uint8Array) => Uint8Array;
  /** Turns a JPEG into u32 0x00RRGGBB pixels; without it JPEG rectangles are only counted. */
  decodeJpeg?: (jpeg: Uint8Array, width: number, height: number) => Uint32Array;
}

/**
 * An RFB client for tests and benches: reads with awaits, decodes into `pixels` (u32 0x00RRGGBB; native 32-bit format only) and counts. Written from
 * RFC 6143 independently of the server's code.
 */
export class RfbClient {
  width = 0;
  height = 0;
  pixels = new Uint32Array(0);
  name = '';
  /** Rectangles by encoding. */
  readonly seen = new Map<number, number>();
  updates = 0;
  bytes = 0;
  jpegs = 0;
  failure = '';
  readonly extendedSizes: { reason: number; status: number; width: number; height: number }[] = [];
  pointerAbsolute: boolean | undefined;
  cursors = 0;
  ledState: number | undefined;
  readonly fences: Uint8Array[] = [];
  endOfContinuous = 0;
  private readonly channel: ByteChannel;
  private readonly options: RfbClientOptions;
  private chunks: Buffer[] = [];
  private have = 0;
  private wake: (() => void) | undefined;
  private closed = false;
  private readonly tightStreams = [new Inflater(), new Inflater(), new Inflater(), new Inflater()];
  private readonly zrleStream = new Inflater();

  constructor(channel: ByteChannel, options: RfbClientOptions = {}) {
    this.channel = channel;
    this.options = options;
    channel.onData((bytes) => {
      this.chunks.push(Buffer.from(bytes));
      this.have += bytes.length;
      this.bytes += bytes.length;
      this.wake?.();
    });
    channel.onClose(() => {
      this.closed = true;
      this.wake?.();
    });
  }

  async connect(): Promise<void> {
    const version = this.options.version ?? '8';
    const greeting = (await this.take(12)).toString('latin1');
    if (greeting !== 'RFB 003.008\n') throw new Error(`greeting ${JSON.stringify(greeting)}`);
    this.send(Buffer.from(`RFB 003.00${version}\n`));
    let type: number;
    if (version === '3') type = (await this.take(4)).readUInt32BE();
    else {
      const count = (await this.take(1))[0]!;
      type = (await this.take(count))[0]!;
      this.send(Uint8Array.of(type));
    }
    if (type === P.SECURITY_VNC_AUTH) this.send(this.options.respond!(await this.take(16)));
    if (type === P.SECURITY_VNC_AUTH || version === '8') {
      const result = (await this.take(4)).readUInt32BE();
      if (result !== 0) {
        if (version === '8') this.failure = (await this.take((await this.take(4)).readUInt32BE())).toString();
        throw new Error(`security result ${result} ${this.failure}`);
      }
    }
    this.send(Uint8Array.of(this.options.shared === false ? 0 : 1));
    const init = await this.take(24);
    this.setSize(init.readUInt16BE(0), init.readUInt16BE(2));
    this.name = (await this.take(init.readUInt32BE(20))).toString();
    if (this.options.encodings) this.setEncodings(this.options.encodings);
  }

  setEncodings(encodings: readonly number[]): void {
    const message = Buffer.alloc(4 + encodings.length * 4);
    message[0] = P.MSG_SET_ENCODINGS;
    message.writeUInt16BE(encodings.length, 2);
    encodings.forEach((encoding, i) => void message.writeInt32BE(encoding, 4 + i * 4));
    this.send(message);
  }

  request(incremental: boolean): void {
    const message = Buffer.alloc(10);
    message[0] = P.MSG_FRAMEBUFFER_UPDATE_REQUEST;
    message[1] = incremental ? 1 : 0;
    message.writeUInt16BE(this.width, 6);
    message.writeUInt16BE(this.height, 8);
    this.send(message);
  }

  /** Asks for another size, with one screen that covers it. */
  setDesktopSize(width: number, height: number): void {
    const message = Buffer.alloc(24);
    message[0] = P.MSG_SET_DESKTOP_SIZE;
    message.writeUInt16BE(width, 2);
    message.writeUInt16BE(height, 4);
    message[6] = 1;
    message.writeUInt16BE(width, 16);
    message.writeUInt16BE(height, 18);
    this.send(message);
  }

  enableContinuous(enable: boolean): void {
    const message = Buffer.alloc(10);
    message[0] = P.MSG_ENABLE_CONTINUOUS_UPDATES;
    message[1] = enable ? 1 : 0;
    message.writeUInt16BE(this.width, 6);
    message.writeUInt16BE(this.height, 8);
    this.send(message);
  }

  send(bytes: Uint8Array): void {
    this.channel.send(bytes);
  }

  /** Reads messages until one framebuffer update is complete. Answers fences. */
  async update(): Promise<void> {
    for (;;) {
      const type = (await this.take(1))[0]!;
      if (type === P.MSG_FRAMEBUFFER_UPDATE) {
        await this.readUpdate();
        this.updates++;
        return;
      }
      await this.other(type);
    }
  }

  private async other(type: number): Promise<void> {
    if (type === P.MSG_SERVER_FENCE) {
      const head = await this.take(8);
      const payload = await this.take(head[7]!);
      this.fences.push(payload);
      const flags = head.readUInt32BE(3);
      if (flags & 0x8000_0000) {
        const answer = Buffer.alloc(9 + payload.length);
        answer[0] = P.MSG_CLIENT_FENCE;
        answer.writeUInt32BE((flags & 7) >>> 0, 4);
        answer[8] = payload.length;
        payload.copy(answer, 9);
        this.send(answer);
      }
    } else if (type === P.MSG_END_OF_CONTINUOUS_UPDATES) this.endOfContinuous++;
    else if (type === P.MSG_SET_COLOUR_MAP_ENTRIES) await this.take(6 * (await this.take(5)).readUInt16BE(3));
    else throw new Error(`unknown server message ${type}`);
  }

  private async readUpdate(): Promise<void> {
    const count = (await this.take(3)).readUInt16BE(1);
    for (let i = 0; i < count; i++) {
      const head = await this.take(12);
      const [x, y, w, h, encoding] = [
        head.readUInt16BE(0),
        head.readUInt16BE(2),
        head.readUInt16BE(4),
        head.readUInt16BE(6),
        head.readInt32BE(8),
      ];
      this.seen.set(encoding, (this.seen.get(encoding) ?? 0) + 1);
      switch (encoding) {
        case P.ENCODING_RAW:
          this.put(x, y, w, h, toPixels(await this.take(w * h * 4)));
          break;
        case P.ENCODING_COPYRECT: {
          const from = await this.take(4);
          this.copy(from.readUInt16BE(0), from.readUInt16BE(2), x, y, w, h);
          break;
        }
        case P.ENCODING_HEXTILE:
          await this.hextile(x, y, w, h);
          break;
        case P.ENCODING_TIGHT:
          await this.tight(x, y, w, h);
          break;
        case P.ENCODING_ZRLE:
          await this.zrle(x, y, w, h);
          break;
        case P.PSEUDO_DESKTOP_SIZE:
          this.setSize(w, h);
          break;
        case P.PSEUDO_EXTENDED_DESKTOP_SIZE:
          await this.take(16 * (await this.take(4))[0]!);
          this.extendedSizes.push({ reason: x, status: y, width: w, height: h });
          if (w !== this.width || h !== this.height) this.setSize(w, h);
          break;
        case P.PSEUDO_CURSOR:
          await this.take(w * h * 4 + Math.ceil(w / 8) * h);
          this.cursors++;
          break;
        case P.PSEUDO_QEMU_POINTER_MOTION:
          this.pointerAbsolute = x === 1;
          break;
        case P.PSEUDO_QEMU_KEY:
          break;
        case P.PSEUDO_QEMU_LED_STATE:
          this.ledState = (await this.take(1))[0]!;
          break;
        case P.PSEUDO_LAST_RECT:
          return;
        default:
          throw new Error(`unknown encoding ${encoding}`);
      }
    }
  }

  private async hextile(x: number, y: number, w: number, h: number): Promise<void> {
    let background = 0;
    let foreground = 0;
    for (let ty = y; ty < y + h; ty += 16)
      for (let tx = x; tx < x + w; tx += 16) {
        const tw = Math.min(16, x + w - tx);
        const th = Math.min(16, y + h - ty);
        const mask = (await this.take(1))[0]!;
        if (mask & 1) {
          this.put(tx, ty, tw, th, toPixels(await this.take(tw * th * 4)));
          continue;
        }
        if (mask & 2) background = (await this.take(4)).readUInt32LE() & 0xffffff;
        if (mask & 4) foreground = (await this.take(4)).readUInt32LE() & 0xffffff;
        this.fill(tx, ty, tw, th, background);
        if (!(mask & 8)) continue;
        const count = (await this.take(1))[0]!;
        for (let i = 0; i < count; i++) {
          const colour = mask & 16 ? (await this.take(4)).readUInt32LE() & 0xffffff : foreground;
          const box = await this.take(2);
          this.fill(tx + (box[0]! >> 4), ty + (box[0]! & 15), (box[1]! >> 4) + 1, (box[1]! & 15) + 1, colour);
        }
      }
  }

  private async tight(x: number, y: number, w: number, h: number): Promise<void> {
    const control = (await this.take(1))[0]!;
    const rgb = async () => (await this.take(3)).readUIntBE(0, 3);
    if (control >> 4 === 8) {
      this.fill(x, y, w, h, await rgb());
      return;
    }
    if (control >> 4 === 9) {
      const jpeg = await this.take(await this.compactLength());
      this.jpegs++;
      if (this.options.decodeJpeg) this.put(x, y, w, h, this.options.decodeJpeg(jpeg, w, h));
      return;
    }
    const filter = control & 0x40 ? (await this.take(1))[0]! : 0;
    const stream = this.tightStreams[(control >> 4) & 3]!;
    const palette: number[] = [];
    if (filter === 1) {
      const size = (await this.take(1))[0]! + 1;
      for (let i = 0; i < size; i++) palette.push(await rgb());
    } else if (filter !== 0 && filter !== 2) throw new Error(`tight filter ${filter}`);
    const mono = palette.length === 2;
    const length = palette.length ? (mono ? Math.ceil(w / 8) * h : w * h) : w * h * 3;
    const data = length < 12 ? await this.take(length) : await stream.inflate(await this.take(await this.compactLength()));
    if (data.length !== length) throw new Error(`tight data of ${data.length} bytes, not ${length}`);
    const pixels = new Uint32Array(w * h);
    if (filter === 2) {
      this.put(x, y, w, h, gradient(data, w, h));
      return;
    }
    for (let py = 0; py < h; py++)
      for (let px = 0; px < w; px++) {
        const at = py * w + px;
        if (mono) pixels[at] = palette[(data[py * Math.ceil(w / 8) + (px >> 3)]! >> (7 - (px & 7))) & 1]!;
        else if (palette.length) pixels[at] = palette[data[at]!]!;
        else pixels[at] = (data[at * 3]! << 16) | (data[at * 3 + 1]! << 8) | data[at * 3 + 2]!;
      }
    this.put(x, y, w, h, pixels);
  }

  private async compactLength(): Promise<number> {
    let length = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = (await this.take(1))[0]!;
      length |= shift === 14 ? byte << 14 : (byte & 0x7f) << shift;
      if (!(byte & 0x80)) break;
    }
    return length;
  }

  private async zrle(x: number, y: number, w: number, h: number): Promise<void> {
    const data = await this.zrleStream.inflate(await this.take((await this.take(4)).readUInt32BE()));
    let at = 0;
    const u8 = () => data[at++]!;
    const cpixel = () => {
      at += 3;
      return data[at - 3]! | (data[at - 2]! << 8) | (data[at - 1]! << 16);
    };
    const run = () => {
      let length = 1;
      for (let byte = u8(); ; byte = u8()) {
        length += byte;
        if (byte !== 255) return length;
      }
    };
    for (let ty = y; ty < y + h; ty += 64)
      for (let tx = x; tx < x + w; tx += 64) {
        const tw = Math.min(64, x + w - tx);
        const th = Math.min(64, y + h - ty);
        const pixels = new Uint32Array(tw * th);
        const form = u8();
        if (form === 0) for (let i = 0; i < pixels.length; i++) pixels[i] = cpixel();
        else if (form === 1) pixels.fill(cpixel());
        else if (form <= 16) {
          const palette = Array.from({ length: form }, cpixel);
          const bits = form <= 2 ? 1 : form <= 4 ? 2 : 4;
          for (let py = 0; py < th; py++) {
            let hold = 0;
            let left = 0;
            for (let px = 0; px < tw; px++) {
              if (!left) [hold, left] = [u8(), 8];
              left -= bits;
              pixels[py * tw + px] = palette[(hold >> left) & ((1 << bits) - 1)]!;
            }
          }
        } else if (form === 128)
          for (let i = 0; i < pixels.length; ) {
            const colour = cpixel();
            const length = run();
            pixels.fill(colour, i, i + length);
            i += length;
          }
        else {
          const palette = Array.from({ length: form - 128 }, cpixel);
          for (let i = 0; i < pixels.length; ) {
            const index = u8();
            const length = index & 128 ? run() : 1;
            pixels.fill(palette[index & 127]!, i, i + length);
            i += length;
          }
        }
        this.put(tx, ty, tw, th, pixels);
      }
    if (at !== data.length) throw new Error(`ZRLE rectangle has ${data.length - at} bytes left over`);
  }

  private setSize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
  }

  private put(x: number, y: number, w: number, h: number, pixels: Uint32Array): void {
    for (let row = 0; row < h; row++) this.pixels.set(pixels.subarray(row * w, (row + 1) * w), (y + row) * this.width + x);
  }

  private fill(x: number, y: number, w: number, h: number, colour: number): void {
    for (let row = y; row < y + h; row++) this.pixels.fill(colour, row * this.width + x, row * this.width + x + w);
  }

  private copy(fromX: number, fromY: number, x: number, y: number, w: number, h: number): void {
    const piece = new Uint32Array(w * h);
    for (let row = 0; row < h; row++) {
      const at = (fromY + row) * this.width + fromX;
      piece.set(this.pixels.subarray(at, at + w), row * w);
    }
    this.put(x, y, w, h, piece);
  }

  private async take(count: number): Promise<Buffer> {
    while (this.have < count) {
      if (this.closed) throw new Error('the server closed the connection');
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const whole = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
    this.chunks = whole.length > count ? [whole.subarray(count)] : [];
    this.have -= count;
    return whole.subarray(0, count);
  }
}

/** Tight's gradient filter: each component is the difference to left + above - above left, clipped to a byte. */
function gradient(data: Uint8Array, w: number, h: number): Uint32Array {
  const pixels = new Uint32Array(w * h);
  const component = (px: number, py: number, shift: number) => (px < 0 || py < 0 ? 0 : (pixels[py * w + px]! >> shift) & 0xff);
  for (let py = 0; py < h; py++)
    for (let px = 0; px < w; px++)
      for (let c = 0; c < 3; c++) {
        const shift = 16 - c * 8;
        const guess = component(px - 1, py, shift) + component(px, py - 1, shift) - component(px - 1, py - 1, shift);
        const value = (Math.min(255, Math.max(0, guess)) + data[(py * w + px) * 3 + c]!) & 0xff;
        pixels[py * w + px]! |= value << shift;
      }
  return pixels;
}

function toPixels(bytes: Buffer): Uint32Array {
  const pixels = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < pixels.length; i++) pixels[i] = bytes.readUInt32LE(i * 4) & 0xffffff;
  return pixels;
}
