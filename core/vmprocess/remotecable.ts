import { MAX_FRAME_BYTES, MIN_FRAME_BYTES, type PacketBackend, type PacketListener } from '../backend/packet.ts';
import { FrameBatch, frameAt } from './framebatch.ts';
import type { FromMachine } from './machinemessages.ts';

/** Words of the memory that both threads know of a cable. */
export const CABLE_WORDS = 3;
/** Bytes that the guest sent and the main thread has not taken yet, and those that came and the guest has not taken. */
const SENT = 0;
const ARRIVED = 1;
/** The main thread wants to hear when there is room again. */
const WAITS = 2;
/** What the guest sends while so much is under way is lost, as on a cable. */
const MOST_SENT = 4 << 20;
/** While so much waits for the guest, nothing more is taken from the socket. */
const MOST_ARRIVED = 1 << 20;

/** What the two threads have under way on one cable; each uses its own methods. */
export class CableTraffic {
  readonly shared: SharedArrayBuffer;
  private readonly words: Int32Array;

  constructor(shared = new SharedArrayBuffer(CABLE_WORDS * 4)) {
    this.shared = shared;
    this.words = new Int32Array(shared);
  }

  /** Machine thread: false when there is too much under way. */
  sends(bytes: number): boolean {
    if (Atomics.load(this.words, SENT) > MOST_SENT) return false;
    Atomics.add(this.words, SENT, bytes);
    return true;
  }

  /** Main thread. */
  sent(bytes: number): void {
    Atomics.sub(this.words, SENT, bytes);
  }

  /** Main thread: false when it is to wait until `left` of the machine thread says otherwise. */
  arrives(bytes: number): boolean {
    if (Atomics.add(this.words, ARRIVED, bytes) + bytes < MOST_ARRIVED) return true;
    Atomics.store(this.words, WAITS, 1);
    return false;
  }

  /** Machine thread: true when the main thread is to be told that it may go on. */
  left(bytes: number): boolean {
    const rest = Atomics.sub(this.words, ARRIVED, bytes) - bytes;
    return rest < MOST_ARRIVED / 2 && Atomics.exchange(this.words, WAITS, 0) === 1;
  }
}

/** A network card's end of its cable, on the machine thread. What comes reaches the card only in `deliver`, when guest memory may change. */
export class RemoteCable implements PacketBackend {
  carrier = false;
  private readonly card: string;
  private readonly traffic: CableTraffic;
  private readonly post: (message: FromMachine, transfer: ArrayBuffer[]) => void;
  private readonly batch = new FrameBatch();
  private readonly arrived: Uint8Array[] = [];
  /** In the first of them. */
  private offset = 0;
  private current: { frame: Uint8Array; next: number } | undefined;
  private listener: PacketListener | undefined;
  /** The carrier as the main thread said last. */
  private plugged = false;
  private toTell = false;

  constructor(card: string, traffic: CableTraffic, post: (message: FromMachine, transfer: ArrayBuffer[]) => void) {
    this.card = card;
    this.traffic = traffic;
    this.post = post;
  }

  listen(listener: PacketListener): void {
    this.listener = listener;
  }

  send(frame: Uint8Array): void {
    if (!this.carrier || frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) return;
    if (this.traffic.sends(frame.length)) this.batch.add(frame);
  }

  flush(): void {
    const frames = this.batch.finish();
    if (frames) this.post({ t: 'frames', card: this.card, frames }, [frames.buffer]);
  }

  get waiting(): Uint8Array | undefined {
    const [batch] = this.arrived;
    if (!batch) return undefined;
    this.current ??= frameAt(batch, this.offset);
    return this.current.frame;
  }

  take(): void {
    const batch = this.arrived[0];
    if (!batch || !this.waiting) return;
    this.offset = this.current!.next;
    this.current = undefined;
    if (this.offset < batch.length) return;
    this.arrived.shift();
    this.offset = 0;
    if (this.traffic.left(batch.length)) this.post({ t: 'framesTaken', card: this.card }, []);
  }

  /** From the main thread. */
  frames(batch: Uint8Array): void {
    this.arrived.push(batch);
  }

  /** From the main thread. */
  setCarrier(carrier: boolean): void {
    this.plugged = carrier;
    this.toTell = true;
  }

  /** The card is another one, which knows nothing of the cable or something else. */
  restored(): void {
    this.toTell = true;
  }

  /** Lets the card have what has come. Not while the machine stands. */
  deliver(): void {
    if (this.toTell) {
      this.toTell = false;
      this.carrier = this.plugged;
      this.listener?.carrierChanged();
    }
    if (this.arrived.length) this.listener?.arrived();
  }
}
