import type { DisplaySource, InputSink, Rect } from '../backend/display.ts';
import type { ByteChannel } from '../contract/transport.ts';
import type { Disposable } from '../util/disposable.ts';
import { scancodeOfKeysym } from '../util/keymap.ts';
import type { Logger } from '../util/logger.ts';
import { ByteQueue } from './bytequeue.ts';
import { ByteWriter } from './bytewriter.ts';
import { type ClientMessage, ProtocolError, readClientMessage } from './clientmessages.ts';
import { DirtyGrid } from './dirtygrid.ts';
import type { EncodedRect, Encoder } from './encodings/encoder.ts';
import { HextileEncoder } from './encodings/hextile.ts';
import { RawEncoder } from './encodings/raw.ts';
import { TightEncoder } from './encodings/tight.ts';
import { ZrleEncoder } from './encodings/zrle.ts';
import { Handshake } from './handshake.ts';
import { nativeFormat, PixelTranslator, writePixelFormat } from './pixelformat.ts';
import type { Deflater, RfbPlatform } from './platformparts.ts';
import * as P from './protocol.ts';
import { PointerTranslator } from './pointertranslator.ts';
import { cursorRect, extendedSizeRect } from './pseudorects.ts';
import type { Scroll } from './scrolldetector.ts';

/** Milliseconds a client may take for the handshake. */
const HANDSHAKE_MS = 30_000;
/** Updates of continuous mode that may be under way before the client answers a fence. */
const MAX_IN_FLIGHT = 2;
/** Shortest time between two updates of one client, milliseconds. */
const MIN_INTERVAL_MS = 15;
/** Bytes of answers for a client that reads nothing; one that asks on is cut off. */
const MAX_UNREAD_ANSWERS = 64 * 1024;

export interface RfbSessionOptions {
  channel: ByteChannel;
  source: DisplaySource;
  input: InputSink;
  name: string;
  platform: RfbPlatform;
  log: Logger;
  password: string | undefined;
  /** One of our own. */
  window: boolean;
  /** Passes on what size this viewer would like; false for a display that can't be told. */
  resize(width: number, height: number): boolean;
  /** Its keyboard and mouse are let through now. */
  mayControl(): boolean;
  onEstablished(exclusive: boolean): void;
  onClose(): void;
}

/** One viewer's connection. */
export class RfbSession {
  private readonly options: RfbSessionOptions;
  private readonly queue = new ByteQueue();
  private readonly handshake: Handshake;
  private readonly dirty = new DirtyGrid();
  private readonly deflaters = new Map<number, Deflater>();
  private readonly pointer: PointerTranslator;
  private readonly pressed = new Set<number>();
  private readonly handshakeTimer: Disposable;
  private encodings = new Set<number>();
  private encoder: Encoder = new RawEncoder();
  private zrle: ZrleEncoder | undefined;
  private translator = new PixelTranslator(nativeFormat);
  private compressLevel = 2;
  private jpegQuality: number | undefined;
  private requested: Rect | undefined;
  private continuous: Rect | undefined;
  private scroll: Scroll | undefined;
  private inFlight = 0;
  private fenceCounter = 0;
  private sending = false;
  private blocked = false;
  /** Bytes of answers sent since the channel asked to wait. */
  private unreadAnswers = 0;
  private wake: Disposable | undefined;
  private lastUpdate = Number.NEGATIVE_INFINITY;
  private closed = false;
  private sizeChanged = false;
  private sizeReply: { reason: number; status: number } | undefined;
  private cursorPending = false;
  private pointerModePending = false;
  private ledsPending = false;
  private announcedQemuKey = false;
  private sentSize = { width: 0, height: 0 };

  constructor(options: RfbSessionOptions) {
    this.options = options;
    const { channel, platform } = options;
    this.pointer = new PointerTranslator(options.input);
    this.handshake = new Handshake({
      password: options.password,
      platform,
      send: (bytes) => this.send(bytes),
      serverInit: () => this.serverInit(),
    });
    this.handshakeTimer = platform.after(HANDSHAKE_MS, () => {
      if (!this.established) this.close('the handshake took too long');
    });
    channel.onData((bytes) => this.received(bytes));
    channel.onDrain(() => {
      this.blocked = false;
      this.unreadAnswers = 0;
      this.schedule();
    });
    channel.onClose(() => this.ended());
  }

  get window(): boolean {
    return this.options.window;
  }

  get established(): boolean {
    return this.handshake.done && !this.closed;
  }

  damaged(rects: readonly Rect[], scroll: Scroll | undefined): void {
    if (!this.established) return;
    const copyable =
      scroll && this.encodings.has(P.ENCODING_COPYRECT) && this.dirty.empty && !this.scroll && !this.sending && !this.sizeChanged;
    if (copyable) this.scroll = scroll;
    for (const rect of rects) for (const part of copyable ? subtract(rect, scroll.target) : [rect]) this.dirty.add(part);
    // A later change to what a pending copy reads from would be copied wrongly: fall back to sending the target.
    if (!copyable && this.scroll) {
      this.dirty.add(this.scroll.target);
      this.scroll = undefined;
    }
    this.schedule();
  }

  resized(): void {
    if (!this.established) return;
    this.sizeChanged = true;
    this.scroll = undefined;
    this.dirty.resize(this.options.source.width, this.options.source.height);
    this.dirty.addAll();
    this.schedule();
  }

  cursorChanged(): void {
    this.cursorPending = true;
    this.schedule();
  }

  pointerModeChanged(): void {
    this.pointerModePending = true;
    this.schedule();
  }

  ledsChanged(): void {
    this.ledsPending = true;
    this.schedule();
  }

  close(reason: string): void {
    if (this.closed) return;
    this.options.log.debug(`viewer closed: ${reason}`);
    this.options.channel.close();
    this.ended();
  }

  private ended(): void {
    if (this.closed) return;
    this.closed = true;
    this.handshakeTimer.dispose();
    this.wake?.dispose();
    this.letGo();
    for (const deflater of this.deflaters.values()) deflater.close();
    this.zrle?.close();
    this.options.onClose();
  }

  /** Who may use the machine has changed. */
  controlChanged(): void {
    if (this.established && !this.options.mayControl()) this.letGo();
  }

  /** Keys and buttons that the viewer held must not stay down in the guest. */
  private letGo(): void {
    for (const code of this.pressed) this.options.input.keyScancode(code, false);
    this.pressed.clear();
    if (this.handshake.done) this.pointer.release();
  }

  /** Says something that the client asked for. Pictures wait for a slow client, answers can't: one that asks and does not read is closed. */
  private answer(bytes: Uint8Array): void {
    this.send(bytes);
    if (!this.blocked) return;
    this.unreadAnswers += bytes.length;
    if (this.unreadAnswers > MAX_UNREAD_ANSWERS) this.close('it asks on and on without reading');
  }

  private send(bytes: Uint8Array): void {
    if (!this.options.channel.send(bytes)) this.blocked = true;
  }

  private serverInit(): Uint8Array {
    const { source, name } = this.options;
    this.sentSize = { width: source.width, height: source.height };
    this.dirty.resize(source.width, source.height);
    this.dirty.addAll();
    const out = new ByteWriter().u16(source.width).u16(source.height);
    writePixelFormat(out, nativeFormat);
    return out.text(name).finish();
  }

  private received(bytes: Uint8Array): void {
    if (this.closed) return;
    this.queue.push(bytes);
    try {
      if (!this.handshake.done) {
        this.handshake.advance(this.queue);
        if (!this.handshake.done) return;
        this.options.onEstablished(this.handshake.exclusive);
      }
      for (let message = readClientMessage(this.queue); message; message = readClientMessage(this.queue)) {
        this.handle(message);
        if (this.closed) return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.options.log.warn(`viewer disconnected: ${error.message}`);
      this.close(error.message);
    }
  }

  private handle(message: ClientMessage): void {
    const { source } = this.options;
    switch (message.type) {
      case 'pixelFormat':
        this.translator = new PixelTranslator(message.format);
        if (!message.format.trueColour) this.answer(colourMap());
        this.dirty.addAll();
        break;
      case 'encodings':
        this.setEncodings(message.encodings);
        break;
      case 'updateRequest':
        if (!message.incremental) this.dirty.add(message.rect);
        this.requested = message.rect;
        this.schedule();
        break;
      case 'key':
        this.key(scancodeOfKeysym(message.keysym), message.down);
        break;
      case 'qemuKey':
        this.key(message.scancode > 0 && message.scancode < 0x100 ? message.scancode : scancodeOfKeysym(message.keysym), message.down);
        break;
      case 'pointer':
        if (this.options.mayControl()) this.pointer.move(message.x, message.y, message.buttons, source.width, source.height);
        break;
      case 'continuousUpdates':
        this.continuous = message.enable ? message.rect : undefined;
        if (!message.enable) this.answer(Uint8Array.of(P.MSG_END_OF_CONTINUOUS_UPDATES));
        this.schedule();
        break;
      case 'fence':
        if (message.flags & P.FENCE_REQUEST) this.answerFence(message.flags, message.payload);
        else if (this.inFlight > 0) {
          this.inFlight--;
          this.schedule();
        }
        break;
      case 'setDesktopSize':
        this.sizeReply = { reason: P.SIZE_BY_THIS_CLIENT, status: this.desktopSize(message.width, message.height) };
        this.schedule();
        break;
      case 'ignored':
        break;
    }
  }

  /** Answers a wish for another size. The picture changes when and if the guest changes it. */
  private desktopSize(width: number, height: number): number {
    if (width === 0 || height === 0) return P.SIZE_INVALID;
    return this.options.mayControl() && this.options.resize(width, height) ? P.SIZE_FORWARDED : P.SIZE_PROHIBITED;
  }

  private key(code: number | undefined, down: boolean): void {
    if (code === undefined) return;
    if (down && !this.options.mayControl()) return;
    if (down) this.pressed.add(code);
    else if (!this.pressed.delete(code)) return;
    this.options.input.keyScancode(code, down);
  }

  private answerFence(flags: number, payload: Uint8Array): void {
    const known = P.FENCE_BLOCK_BEFORE | P.FENCE_BLOCK_AFTER | P.FENCE_SYNC_NEXT;
    const out = new ByteWriter().u8(P.MSG_SERVER_FENCE).u8(0).u16(0);
    this.answer(
      out
        .u32(flags & known)
        .u8(payload.length)
        .bytes(payload)
        .finish(),
    );
  }

  private setEncodings(list: readonly number[]): void {
    const first = !this.encodings.size;
    const before = this.encodings;
    this.encodings = new Set(list);
    this.jpegQuality = undefined;
    for (const encoding of list) {
      if (encoding >= P.PSEUDO_COMPRESS_0 && encoding <= P.PSEUDO_COMPRESS_9)
        this.compressLevel = Math.max(1, encoding - P.PSEUDO_COMPRESS_0);
      if (encoding >= P.PSEUDO_JPEG_QUALITY_0 && encoding <= P.PSEUDO_JPEG_QUALITY_9) this.jpegQuality = encoding - P.PSEUDO_JPEG_QUALITY_0;
    }
    // The client lists what it likes best first.
    const chosen =
      list.find((encoding) => [P.ENCODING_TIGHT, P.ENCODING_ZRLE, P.ENCODING_HEXTILE, P.ENCODING_RAW].includes(encoding)) ?? P.ENCODING_RAW;
    if (chosen !== this.encoder.encoding) this.encoder = this.makeEncoder(chosen);
    const gained = (encoding: number) => this.encodings.has(encoding) && !before.has(encoding);
    if (gained(P.PSEUDO_CONTINUOUS_UPDATES)) this.answer(Uint8Array.of(P.MSG_END_OF_CONTINUOUS_UPDATES));
    if (gained(P.PSEUDO_FENCE)) this.sendFence(P.FENCE_REQUEST | P.FENCE_SYNC_NEXT);
    if (gained(P.PSEUDO_CURSOR)) this.cursorPending = true;
    if (gained(P.PSEUDO_QEMU_POINTER_MOTION)) this.pointerModePending = true;
    if (gained(P.PSEUDO_QEMU_LED_STATE)) this.ledsPending = true;
    if (gained(P.PSEUDO_EXTENDED_DESKTOP_SIZE)) this.sizeReply = { reason: 0, status: 0 };
    this.pointer.relativeClient = this.encodings.has(P.PSEUDO_QEMU_POINTER_MOTION);
    if (!first) this.schedule();
  }

  private makeEncoder(encoding: number): Encoder {
    switch (encoding) {
      case P.ENCODING_TIGHT:
        return new TightEncoder();
      case P.ENCODING_ZRLE:
        // The zlib stream lives as long as the connection, even while another encoding is in use.
        this.zrle ??= new ZrleEncoder(this.options.platform.createDeflater(this.compressLevel));
        return this.zrle;
      case P.ENCODING_HEXTILE:
        return new HextileEncoder();
      default:
        return new RawEncoder();
    }
  }

  private deflater(index: number): Deflater {
    let deflater = this.deflaters.get(index);
    if (!deflater) this.deflaters.set(index, (deflater = this.options.platform.createDeflater(this.compressLevel)));
    return deflater;
  }

  private sendFence(flags: number): void {
    const payload = new ByteWriter().u32(this.fenceCounter++).finish();
    this.answer(new ByteWriter().u8(P.MSG_SERVER_FENCE).u8(0).u16(0).u32(flags).u8(payload.length).bytes(payload).finish());
  }

  /** Starts an update as soon as one is wanted, there is something to say, and the client keeps up. */
  private schedule(): void {
    if (this.closed || !this.handshake.done || this.sending || this.blocked || this.wake) return;
    const area = this.continuous ?? this.requested;
    if (!area || (this.continuous && this.inFlight >= MAX_IN_FLIGHT)) return;
    if (!this.hasNews(area)) return;
    const wait = this.lastUpdate + MIN_INTERVAL_MS - this.options.platform.now();
    if (wait > 0) {
      this.wake = this.options.platform.after(wait, () => {
        this.wake = undefined;
        this.schedule();
      });
      return;
    }
    this.sending = true;
    void this.update(area).then(
      () => {
        this.sending = false;
        this.schedule();
      },
      (error) => {
        this.sending = false;
        if (!this.closed) this.close(`encoding failed: ${String(error)}`);
      },
    );
  }

  /** Of that part of the picture: what else has changed waits until the client asks for it, and an update without anything would be followed by the next at once. */
  private hasNews(area: Rect): boolean {
    const seen = this.seenOf(area);
    return (
      (seen !== undefined && (this.dirty.touches(seen) || this.scroll !== undefined)) ||
      this.sizeChanged ||
      this.sizeReply !== undefined ||
      (this.cursorPending && this.encodings.has(P.PSEUDO_CURSOR)) ||
      (this.pointerModePending && this.encodings.has(P.PSEUDO_QEMU_POINTER_MOTION)) ||
      (this.ledsPending && this.encodings.has(P.PSEUDO_QEMU_LED_STATE))
    );
  }

  private get canResize(): boolean {
    return this.encodings.has(P.PSEUDO_DESKTOP_SIZE) || this.encodings.has(P.PSEUDO_EXTENDED_DESKTOP_SIZE);
  }

  /** A client that can't follow a resize sees what fits into the size it knows. */
  private visible(): { width: number; height: number } {
    const { width, height } = this.options.source;
    return this.canResize
      ? { width, height }
      : { width: Math.min(width, this.sentSize.width), height: Math.min(height, this.sentSize.height) };
  }

  /** What the client can see of the area that it asks for. */
  private seenOf(area: Rect): Rect | undefined {
    return intersect(area, { x: 0, y: 0, ...this.visible() });
  }

  private async update(area: Rect): Promise<void> {
    const { source, platform } = this.options;
    const { width, height } = source;
    const rects = this.pseudoRects(this.canResize);
    const visible = this.visible();
    const whole = this.seenOf(area);
    if (this.scroll && whole) {
      const { target, dy } = this.scroll;
      this.scroll = undefined;
      if (contains(whole, target) && contains(whole, { ...target, y: target.y + dy }))
        rects.push({
          rect: target,
          encoding: P.ENCODING_COPYRECT,
          data: new ByteWriter(4)
            .u16(target.x)
            .u16(target.y + dy)
            .finish(),
        });
      else this.dirty.add(target);
    }
    const picture = { width, height, pixels: source.pixels };
    const context = {
      picture,
      translator: this.translator,
      jpegQuality: this.jpegQuality,
      deflater: (index: number) => this.deflater(index),
    };
    const { encoder } = this;
    if (whole)
      for (const dirty of this.dirty.take(whole)) {
        const clipped = intersect(dirty, whole);
        // Tiles reach past the requested area; what was left out stays dirty.
        if (!clipped) continue;
        if (clipped.width !== dirty.width || clipped.height !== dirty.height)
          for (const rest of subtract(dirty, clipped)) if (intersect(rest, { x: 0, y: 0, ...visible })) this.dirty.add(rest);
        for (const part of encoder.split(clipped)) {
          if (source.width !== width || source.height !== height) break;
          rects.push(...(await encoder.encode(part, context)));
          if (this.closed) return;
        }
      }
    if (!rects.length) return;
    this.lastUpdate = platform.now();
    if (!this.continuous) this.requested = undefined;
    this.sendUpdate(rects);
    if (this.continuous && this.encodings.has(P.PSEUDO_FENCE)) {
      this.inFlight++;
      this.sendFence(P.FENCE_REQUEST | P.FENCE_BLOCK_BEFORE);
    }
  }

  private sendUpdate(rects: readonly EncodedRect[]): void {
    // With LastRect the count need not be known: 0xffff and a closing pseudo-rectangle.
    const open = rects.length > 0xfffe;
    const size = rects.reduce((sum, { data }) => sum + 12 + data.length, 16);
    const out = new ByteWriter(size)
      .u8(P.MSG_FRAMEBUFFER_UPDATE)
      .u8(0)
      .u16(open ? 0xffff : rects.length);
    for (const { rect, encoding, data } of rects) out.u16(rect.x).u16(rect.y).u16(rect.width).u16(rect.height).i32(encoding).bytes(data);
    if (open) out.u16(0).u16(0).u16(0).u16(0).i32(P.PSEUDO_LAST_RECT);
    this.send(out.finish());
  }

  private pseudoRects(canResize: boolean): EncodedRect[] {
    const { source, input } = this.options;
    const { width, height } = source;
    const rects: EncodedRect[] = [];
    const none = new Uint8Array(0);
    if (this.encodings.has(P.PSEUDO_EXTENDED_DESKTOP_SIZE)) {
      if (this.sizeChanged) rects.push(extendedSizeRect(width, height, 0, 0));
      if (this.sizeReply) rects.push(extendedSizeRect(width, height, this.sizeReply.reason, this.sizeReply.status));
    } else if (this.sizeChanged && this.encodings.has(P.PSEUDO_DESKTOP_SIZE))
      rects.push({ rect: { x: 0, y: 0, width, height }, encoding: P.PSEUDO_DESKTOP_SIZE, data: none });
    if (this.sizeChanged && canResize) this.sentSize = { width, height };
    this.sizeChanged = false;
    this.sizeReply = undefined;
    if (this.cursorPending && this.encodings.has(P.PSEUDO_CURSOR)) {
      this.cursorPending = false;
      if (source.cursor) rects.push(cursorRect(source.cursor, this.translator));
    }
    if (this.pointerModePending && this.encodings.has(P.PSEUDO_QEMU_POINTER_MOTION)) {
      this.pointerModePending = false;
      rects.push({ rect: { x: input.absolute ? 1 : 0, y: 0, width, height }, encoding: P.PSEUDO_QEMU_POINTER_MOTION, data: none });
    }
    if (this.encodings.has(P.PSEUDO_QEMU_KEY) && !this.announcedQemuKey) {
      this.announcedQemuKey = true;
      rects.push({ rect: { x: 0, y: 0, width, height }, encoding: P.PSEUDO_QEMU_KEY, data: none });
    }
    if (this.ledsPending && this.encodings.has(P.PSEUDO_QEMU_LED_STATE)) {
      this.ledsPending = false;
      rects.push({ rect: { x: 0, y: 0, width: 0, height: 0 }, encoding: P.PSEUDO_QEMU_LED_STATE, data: Uint8Array.of(input.leds & 7) });
    }
    return rects;
  }
}

/** All 256 entries of RGB 3:3:2, RFC 6143 section 7.6.2. */
function colourMap(): Uint8Array {
  const out = new ByteWriter(6 + 256 * 6).u8(P.MSG_SET_COLOUR_MAP_ENTRIES).u8(0).u16(0).u16(256);
  for (let i = 0; i < 256; i++)
    out
      .u16(Math.round(((i >> 5) * 65535) / 7))
      .u16(Math.round((((i >> 2) & 7) * 65535) / 7))
      .u16(Math.round(((i & 3) * 65535) / 3));
  return out.finish();
}

function intersect(a: Rect, b: Rect): Rect | undefined {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const width = Math.min(a.x + a.width, b.x + b.width) - x;
  const height = Math.min(a.y + a.height, b.y + b.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : undefined;
}

function contains(outer: Rect, inner: Rect): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

/** `rect` without `hole`, as up to four rectangles. */
export function subtract(rect: Rect, hole: Rect): Rect[] {
  const common = intersect(rect, hole);
  if (!common) return [rect];
  const parts: Rect[] = [
    { x: rect.x, y: rect.y, width: rect.width, height: common.y - rect.y },
    { x: rect.x, y: common.y + common.height, width: rect.width, height: rect.y + rect.height - common.y - common.height },
    { x: rect.x, y: common.y, width: common.x - rect.x, height: common.height },
    { x: common.x + common.width, y: common.y, width: rect.x + rect.width - common.x - common.width, height: common.height },
  ];
  return parts.filter((part) => part.width > 0 && part.height > 0);
}
