import { connect, type Socket } from 'node:net';
import { messageRecord, type WireListener, WireReader } from '../net/wire.ts';
import type { Logger } from '../util/logger.ts';
import { FrameBatch, frameAt } from './framebatch.ts';
import type { ToMachine } from './machinemessages.ts';
import { CableTraffic } from './remotecable.ts';

/** Milliseconds between two attempts to reach the network. */
const RETRY_MS = 1000;
/** What the network's process has not taken, bytes; frames that come then are lost. */
const MOST_WAITING = 4 << 20;
/** What is read at once. */
const READ_BYTES = 256 * 1024;

export interface NetworkCableParts {
  vm: string;
  card: string;
  mac: string;
  post(message: ToMachine, transfer?: ArrayBuffer[]): void;
  log: Logger;
}

/** The cable of a network card, from the machine thread to the socket of a network's process. The guest sees a carrier while that is there. */
export class NetworkCable {
  readonly traffic = new CableTraffic();
  receivedBytes = 0;
  sentBytes = 0;
  private readonly parts: NetworkCableParts;
  private readonly batch = new FrameBatch();
  /** Where it leads; null while it is pulled out. */
  private place: string | null = null;
  private socket: Socket | undefined;
  private up = false;
  private retry: NodeJS.Timeout | undefined;
  /** Why it could not connect last, so that this is told once. */
  private problem: string | undefined;

  constructor(parts: NetworkCableParts) {
    this.parts = parts;
  }

  /** Plugs the cable in where a network's process listens, or pulls it out. */
  plug(place: string | null): void {
    if (place === this.place) return;
    this.place = place;
    this.problem = undefined;
    this.disconnect();
    if (place !== null) this.connect(place);
  }

  close(): void {
    this.place = null;
    this.disconnect();
  }

  /** Frames that the guest sent, as a batch. */
  frames(batch: Uint8Array): void {
    let bytes = 0;
    for (let at = 0; at < batch.length; ) {
      const { frame, next } = frameAt(batch, at);
      bytes += frame.length;
      at = next;
    }
    this.traffic.sent(bytes);
    const { socket } = this;
    if (!socket || !this.up || socket.writableLength > MOST_WAITING) return;
    this.sentBytes += bytes;
    socket.write(batch);
  }

  /** The guest has room again. */
  taken(): void {
    this.socket?.resume();
  }

  private connect(place: string): void {
    // A buffer for every read would be garbage as large as what is read.
    const onread = {
      buffer: new Uint8Array(READ_BYTES),
      callback: (length: number, bytes: Uint8Array) => {
        take(bytes.subarray(0, length));
        return true;
      },
    };
    const socket = connect({ path: place, onread });
    this.socket = socket;
    const { vm, card, mac, log } = this.parts;
    const failed = (problem: string) => {
      if (problem !== this.problem) log.warn(`the network can't be reached: ${problem}; it is tried again each second`);
      this.problem = problem;
    };
    const listener: WireListener = {
      frame: (frame) => {
        if (!this.up) return;
        this.receivedBytes += frame.length;
        this.batch.add(frame);
      },
      message: (message) => {
        if (message.type === 'ready') {
          this.problem = undefined;
          this.setUp(true);
        } else if (message.type === 'refused') {
          failed(message.message);
          socket.destroy();
        }
      },
    };
    const reader = new WireReader(listener, true);
    socket.on('connect', () => socket.write(messageRecord({ type: 'hello', vm, card, mac, long: true })));
    const take = (chunk: Uint8Array) => {
      try {
        reader.push(chunk);
      } catch (error) {
        failed(error instanceof Error ? error.message : String(error));
        socket.destroy();
      }
      this.passOn(socket);
    };
    socket.on('error', (error) => failed(error.message));
    socket.on('close', () => {
      if (socket !== this.socket) return;
      this.socket = undefined;
      this.setUp(false);
      this.retry = setTimeout(() => {
        if (this.place !== null) this.connect(this.place);
      }, RETRY_MS);
      this.retry.unref();
    });
  }

  private passOn(socket: Socket): void {
    const frames = this.batch.finish();
    if (!frames) return;
    const room = this.traffic.arrives(frames.length);
    this.parts.post({ t: 'frames', card: this.parts.card, frames }, [frames.buffer]);
    if (!room) socket.pause();
  }

  private disconnect(): void {
    clearTimeout(this.retry);
    const { socket } = this;
    this.socket = undefined;
    socket?.destroy();
    this.setUp(false);
  }

  private setUp(up: boolean): void {
    if (up === this.up) return;
    this.up = up;
    this.parts.post({ t: 'carrier', card: this.parts.card, up });
  }
}
