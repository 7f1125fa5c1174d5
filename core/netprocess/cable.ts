import type { Socket } from 'node:net';
import type { SwitchPort } from '../net/switch.ts';
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from '../backend/packet.ts';
import { LONGEST_FRAME, longTcp, segmentTcp } from '../devices/net/offload.ts';
import { messageRecord, putRecord, RECORD_FRAME, RECORD_HEADER_BYTES, type WireMessage, WireError, WireReader } from '../net/wire.ts';

/** Frames for a machine that does not read wait up to here; those that come then are lost, as on a real cable. */
const MOST_WAITING = 4 * 1024 * 1024;
/** Two frames of the longest. */
const BATCH_BYTES = 128 * 1024;
/** Unused ones that are kept, of all cables together. */
const MOST_SPARE = 16;
const spare: Uint8Array[] = [];
const HELLO_MS = 10_000;

type Hello = Extract<WireMessage, { type: 'hello' }>;

export interface CableParts {
  /** Why the card may not come in; undefined where it may. */
  refusal(hello: Hello, cable: Cable): string | undefined;
  /** It is on the network from now on. */
  plugged(cable: Cable): void;
  frame(cable: Cable, frame: Uint8Array): void;
  unplugged(cable: Cable): void;
}

/** The cable from one card to the switch. */
export class Cable implements SwitchPort {
  hello: Hello | undefined;
  private readonly socket: Socket;
  private readonly parts: CableParts;
  private readonly late: NodeJS.Timeout;
  private batch: Uint8Array | undefined;
  private batched = 0;
  private over = false;

  constructor(socket: Socket, parts: CableParts) {
    this.socket = socket;
    this.parts = parts;
    this.late = setTimeout(() => socket.destroy(), HELLO_MS);
    const reader = new WireReader({
      frame: (frame) => {
        if (!this.hello) throw new WireError('a frame before the hello');
        if (!this.over) parts.frame(this, frame);
      },
      message: (message) => this.receive(message),
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        if (!this.over) reader.push(chunk);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        this.close();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => this.close());
  }

  send(frame: Uint8Array): void {
    if (frame.length <= LONGEST_FRAME || this.hello?.long) {
      this.put(frame);
      return;
    }
    const long = longTcp(frame);
    if (long) segmentTcp(frame, long.mss, (segment) => this.put(segment));
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.late);
    this.socket.destroy();
    if (this.hello) this.parts.unplugged(this);
  }

  /** Frames that come together go together. */
  private put(frame: Uint8Array): void {
    const length = frame.length + RECORD_HEADER_BYTES;
    if (this.over || !this.hello || frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) return;
    if (this.socket.writableLength + this.batched + length > MOST_WAITING) return;
    if (this.batched + length > BATCH_BYTES) this.flush();
    this.batch ??= spare.pop() ?? new Uint8Array(BATCH_BYTES);
    if (this.batched === 0) queueMicrotask(() => this.flush());
    this.batched = putRecord(this.batch, this.batched, RECORD_FRAME, frame);
  }

  private flush(): void {
    const { batch, batched } = this;
    if (!batch || batched === 0) return;
    this.batch = undefined;
    this.batched = 0;
    if (this.over) return;
    // It is the socket's until it went out.
    this.socket.write(batch.subarray(0, batched), () => {
      if (spare.length < MOST_SPARE) spare.push(batch);
    });
  }

  private receive(message: WireMessage): void {
    if (message.type !== 'hello' || this.hello) return;
    clearTimeout(this.late);
    const refusal = this.parts.refusal(message, this);
    if (refusal !== undefined) {
      this.over = true;
      this.socket.end(messageRecord({ type: 'refused', message: refusal }), () => this.socket.destroy());
      return;
    }
    this.hello = message;
    this.socket.write(messageRecord({ type: 'ready' }));
    this.parts.plugged(this);
  }
}
