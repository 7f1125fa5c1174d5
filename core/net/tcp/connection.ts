/**
 * One connection between a guest and the host: TCP towards the guest (RFC 9293, RFC 7323 without timestamps, RFC 5681 and 6582, RFC 6298), a stream of the host behind it. What one side does
 * not take stays with the other: at most `RECEIVE_BYTES` on the way out, and a little more than `SEND_HIGH` on the way in.
 */
import type { ConnectFailure, HostStream, StreamListener } from '../host.ts';
import type { Ipv4Writer } from '../ipv4.ts';
import { after, Reorder } from './reorder.ts';
import { RetransmitTimer } from './retransmittimer.ts';
import { ACK, type Endpoints, FIN, PSH, RST, type Segment, sendReset, sendSegment, SYN } from './segment.ts';
import { SendRing } from './sendring.ts';
import { CongestionWindow } from './congestion.ts';

/** Most that is kept of what a guest sent and the host has not taken. */
const RECEIVE_BYTES = 1024 * 1024;
/** What a small write costs besides its bytes. */
const WRITE_COST = 256;
/** The host is not read while more than this waits for the guest. */
const SEND_HIGH = 1024 * 1024;
const SEND_LOW = 256 * 1024;
const SCALE = 7;
const MSS = 1460;
/** Of the longest segment that an IPv4 packet holds, in whole pieces of MSS. */
const LONG_BYTES = Math.floor((65_535 - 40) / MSS) * MSS;
/** A long segment is at most this part of what may be under way, so that acknowledgements keep coming. */
const BURST_SHARE = 4;
/** RFC 9293 section 3.7.1: of a SYN without the option. */
const DEFAULT_MSS = 536;
/** A guest that offers less would make frames of headers. */
const MIN_MSS = 88;
const MAX_TRIES = 15;
const MAX_SYN_TRIES = 6;
const KEEPALIVE_IDLE_MS = 600_000;
const KEEPALIVE_STEP_MS = 30_000;
const KEEPALIVE_TRIES = 10;
/** RFC 9293 wants four minutes; ports of guests are few, and the cable is short. */
const TIME_WAIT_MS = 10_000;

/** `connecting`: the host is at it. `accepted`: SYN-ACK is under way. `calling`: SYN to the guest is. `over`: only late segments are answered. */
type State = 'connecting' | 'accepted' | 'calling' | 'open' | 'over';

/** Bytes that all connections of a network keep together. */
export interface Budget {
  used: number;
  readonly most: number;
}

export interface ConnectionParts {
  writer: Ipv4Writer;
  /** Segments may be longer than the guest's MSS: they are cut on their way. */
  longSegments: boolean;
  ends: Endpoints;
  stream: HostStream;
  budget: Budget;
  /** First sequence number. */
  iss: number;
  now(): number;
  /** `due` is to be called at this time, or before. */
  wake(at: number): void;
  /** An acknowledgement is to be sent when what came at once has been gone through. */
  soon(connection: TcpConnection): void;
  /** The host found no way to the far end; `seq` is that of the guest's SYN. */
  unreachable(seq: number): void;
  removed(): void;
}

export class TcpConnection implements StreamListener {
  /** When `due` has something to do. */
  deadline = Number.POSITIVE_INFINITY;
  private readonly parts: ConnectionParts;
  private readonly ring = new SendRing();
  private readonly reorder = new Reorder();
  private readonly timer: RetransmitTimer;
  private readonly congestion: CongestionWindow;
  private state: State;
  private removedAlready = false;

  private rcvNxt = 0;
  /** Right edge of the window that the guest was told. */
  private rcvAdv = 0;
  private rcvScale = 0;
  /** Sequence number of the guest's FIN, once it came. */
  private guestFin: number | undefined;
  private guestEnded = false;
  private ackDue = false;
  /** Bytes given to the host and not taken by it, with what keeping them costs. */
  private charged = 0;

  private sndUna: number;
  private sndNxt: number;
  private sndMax: number;
  /** Of the first byte in the ring. */
  private ringSeq: number;
  private sndWnd = 0;
  private sndScale = 0;
  private wl1 = 0;
  private wl2 = 0;
  private mss = DEFAULT_MSS;
  private hostEnded = false;
  private hostPaused = false;
  private heardAt: number;
  private probes = 0;

  /** `first`: the guest's SYN; without it the host has accepted a connection, and the guest is called. */
  constructor(parts: ConnectionParts, first?: Segment) {
    this.parts = parts;
    const { iss } = parts;
    this.sndUna = iss;
    this.sndNxt = (iss + 1) >>> 0;
    this.sndMax = this.sndNxt;
    this.ringSeq = this.sndNxt;
    this.heardAt = parts.now();
    this.timer = new RetransmitTimer();
    this.congestion = new CongestionWindow(MSS);
    this.state = first ? 'connecting' : 'calling';
    if (first) this.takeSyn(first);
    parts.stream.listen(this);
    if (!first) this.sendSyn();
  }

  /** The guest begins anew with the same ports, which it may once this connection is over. */
  get over(): boolean {
    return this.state === 'over';
  }

  // From the host.

  connected(): void {
    if (this.state !== 'connecting') return;
    this.state = 'accepted';
    this.sendSyn();
  }

  failed(why: ConnectFailure): void {
    if (this.removedAlready) return;
    if (why === 'refused') this.sendControl(RST | ACK, 0);
    else this.parts.unreachable((this.rcvNxt - 1) >>> 0);
    this.remove();
  }

  data(bytes: Uint8Array): void {
    if (this.removedAlready || this.hostEnded) return;
    this.ring.push(bytes);
    this.parts.budget.used += bytes.length;
    const { budget } = this.parts;
    if (!this.hostPaused && (this.ring.length > SEND_HIGH || budget.used > budget.most)) {
      this.hostPaused = true;
      this.parts.stream.pause();
    }
    this.output();
  }

  ended(): void {
    if (this.removedAlready || this.hostEnded) return;
    this.hostEnded = true;
    this.output();
  }

  broken(): void {
    if (this.removedAlready || this.state === 'over') return;
    this.sendControl(RST | ACK, this.sndNxt);
    this.remove();
  }

  // From the guest.

  receive(segment: Segment, mac: number): void {
    this.parts.ends.mac = mac;
    this.heardAt = this.parts.now();
    this.probes = 0;
    switch (this.state) {
      case 'connecting':
        if (segment.flags & RST && segment.seq === this.rcvNxt) this.abort();
        return;
      case 'calling':
        this.receiveAnswer(segment);
        return;
      case 'accepted':
        // Its acknowledgement, or ours, was lost.
        if (segment.flags & SYN && segment.seq === (this.rcvNxt - 1) >>> 0) {
          this.sendSyn();
          return;
        }
    }
    this.receiveOpen(segment);
  }

  /** Ends it at both sides. */
  abort(): void {
    if (this.removedAlready) return;
    if (this.state !== 'over') this.parts.stream.reset();
    this.remove();
  }

  /** Ends it at both sides, and says so to the guest. */
  kill(): void {
    if (this.state !== 'over' && this.state !== 'connecting') this.sendControl(RST | ACK, this.sndNxt);
    this.abort();
  }

  /** What was received at once has been gone through. */
  flush(): void {
    if (this.ackDue && !this.removedAlready) this.acknowledge();
  }

  due(now: number): void {
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.removedAlready) return;
    if (this.state === 'over') {
      this.remove();
      return;
    }
    if (this.timer.dueAt <= now) this.retransmit(now);
    else if (this.state === 'open' && now >= this.keepaliveAt()) this.keepAlive();
    if (!this.removedAlready) this.arm();
  }

  private keepaliveAt(): number {
    return this.heardAt + KEEPALIVE_IDLE_MS + this.probes * KEEPALIVE_STEP_MS;
  }

  private keepAlive(): void {
    if (this.probes >= KEEPALIVE_TRIES) {
      this.kill();
      return;
    }
    this.probes++;
    this.sendControl(ACK, (this.sndUna - 1) >>> 0);
  }

  private arm(): void {
    const at = Math.min(this.timer.dueAt, this.state === 'open' ? this.keepaliveAt() : Number.POSITIVE_INFINITY);
    if (at < this.deadline) {
      this.deadline = at;
      this.parts.wake(at);
    }
  }

  // Setting up.

  private takeSyn({ seq, mss, scale, window }: Segment): void {
    this.rcvNxt = (seq + 1) >>> 0;
    this.rcvAdv = this.rcvNxt;
    this.mss = Math.max(MIN_MSS, Math.min(MSS, mss ?? DEFAULT_MSS));
    this.congestion.reset(this.mss);
    // Both sides have to offer it.
    this.rcvScale = scale === undefined ? 0 : SCALE;
    this.sndScale = scale ?? 0;
    // The window of a SYN is not scaled.
    this.sndWnd = window;
    this.wl1 = seq;
  }

  private sendSyn(): void {
    const calling = this.state === 'calling';
    if (!calling) this.rcvAdv = (this.rcvNxt + 65_535) >>> 0;
    const scale = calling || this.rcvScale ? SCALE : undefined;
    const { writer, ends, iss, now } = this.parts;
    const head = { seq: iss, ack: this.rcvNxt, flags: calling ? SYN : SYN | ACK, window: 65_535, mss: MSS, scale };
    sendSegment(writer, ends, head);
    this.timer.start(now());
    this.arm();
  }

  /** The guest that was called says something. */
  private receiveAnswer(segment: Segment): void {
    const { flags, ack } = segment;
    if (flags & ACK && ack !== this.sndNxt) {
      sendReset(this.parts.writer, this.parts.ends, segment);
      return;
    }
    if (!(flags & ACK)) return;
    if (flags & RST) {
      this.abort();
      return;
    }
    if (!(flags & SYN)) return;
    this.takeSyn(segment);
    this.state = 'open';
    this.sndUna = ack;
    this.wl2 = ack;
    this.rcvAdv = (this.rcvNxt + 65_535) >>> 0;
    this.timer.acknowledged(this.parts.now(), ack, true);
    this.acknowledge();
    this.output();
  }

  // Receiving.

  private receiveOpen(segment: Segment): void {
    const { seq, flags } = segment;
    const length = segment.payload.length + (flags & FIN ? 1 : 0);
    const ahead = after(seq, this.rcvNxt);
    const window = after(this.rcvAdv, this.rcvNxt);
    const end = ahead + length;
    // RFC 9293 section 3.10.7.4, first: is anything of it what is waited for?
    const acceptable = length === 0 ? ahead >= 0 && ahead <= window : end > 0 && ahead < window;
    if (!acceptable) {
      if (flags & RST) return;
      this.acknowledge();
      // What fills a window that is shut may still acknowledge.
      if (ahead !== 0 || flags & SYN || !(flags & ACK)) return;
      this.receiveAck({ ...segment, payload: segment.payload.subarray(0, 0) });
      this.settle();
      return;
    }
    if (flags & RST) {
      // RFC 5961 section 3.2: anything but the exact number is asked about.
      if (ahead === 0) this.abort();
      else this.acknowledge();
      return;
    }
    if (flags & SYN) {
      this.acknowledge();
      return;
    }
    if (!(flags & ACK) || !this.receiveAck(segment)) return;
    if (this.state === 'over') {
      this.acknowledge();
      return;
    }
    if (segment.payload.length) this.receivePayload(seq, segment.payload, ahead, window);
    if (flags & FIN) this.guestFin = (seq + segment.payload.length) >>> 0;
    if (this.guestFin !== undefined && !this.guestEnded && this.guestFin === this.rcvNxt) this.receiveFin();
    this.settle();
  }

  /** False where the segment is not to be looked at further. */
  private receiveAck({ seq, ack, window, payload, flags }: Segment): boolean {
    if (after(ack, this.sndMax) > 0) {
      if (this.state === 'accepted') return false;
      this.acknowledge();
      return false;
    }
    if (this.state === 'accepted') {
      if (after(ack, this.sndUna) <= 0) return true;
      this.state = 'open';
    }
    const before = this.sndWnd;
    if (after(seq, this.wl1) > 0 || (seq === this.wl1 && after(ack, this.wl2) >= 0)) {
      this.sndWnd = window << this.sndScale;
      this.wl1 = seq;
      this.wl2 = ack;
    }
    if (this.sndWnd === 0) this.timer.answered();
    const acked = after(ack, this.sndUna);
    if (acked > 0) this.acked(ack, acked);
    else if (acked === 0 && payload.length === 0 && !(flags & FIN) && before === this.sndWnd && this.sndMax !== this.sndUna)
      this.duplicateAck();
    this.output();
    return !this.removedAlready;
  }

  private acked(ack: number, count: number): void {
    const dropped = Math.min(Math.max(0, after(ack, this.ringSeq)), this.ring.length);
    this.ring.drop(dropped);
    this.ringSeq = (this.ringSeq + dropped) >>> 0;
    this.parts.budget.used -= dropped;
    this.sndUna = ack;
    if (after(this.sndNxt, ack) < 0) this.sndNxt = ack;
    const partial = this.congestion.acked(ack, count);
    this.timer.acknowledged(this.parts.now(), ack, this.sndMax === this.sndUna);
    // RFC 6582: what follows the hole that was filled is missing, too.
    if (partial) this.sendAt(this.sndUna);
    if (this.hostPaused && this.ring.length < SEND_LOW) {
      this.hostPaused = false;
      this.parts.stream.resume();
    }
  }

  private duplicateAck(): void {
    if (this.congestion.duplicate(this.sndMax, after(this.sndMax, this.sndUna))) {
      this.timer.unmeasure();
      this.sendAt(this.sndUna);
    }
  }

  private receivePayload(seq: number, payload: Uint8Array, ahead: number, window: number): void {
    if (this.guestEnded) return;
    const skip = Math.max(0, -ahead);
    const bytes = payload.subarray(skip, Math.min(payload.length, window - ahead));
    const at = (seq + skip) >>> 0;
    if (at !== this.rcvNxt) {
      this.reorder.add(at, bytes, RECEIVE_BYTES);
      // At once, and once for each: the guest counts them.
      this.acknowledge();
      return;
    }
    const { budget } = this.parts;
    // It comes again once the host has taken something.
    if (this.charged > 2 * RECEIVE_BYTES || (budget.used > budget.most && this.charged > 0)) return;
    this.toHost(bytes);
    if (!this.reorder.empty) {
      for (let next = this.reorder.take(this.rcvNxt); next; next = this.reorder.take(this.rcvNxt)) this.toHost(next);
      this.acknowledge();
      return;
    }
    this.acknowledgeSoon();
  }

  private toHost(bytes: Uint8Array): void {
    this.rcvNxt = (this.rcvNxt + bytes.length) >>> 0;
    const cost = bytes.length + WRITE_COST;
    this.charged += cost;
    this.parts.budget.used += cost;
    this.parts.stream.write(bytes, () => {
      this.charged -= cost;
      this.parts.budget.used -= cost;
      // A window that was nearly shut opens by itself.
      if (!this.removedAlready && this.windowGrowth() >= this.mostWindow / 4) this.acknowledge();
    });
  }

  private receiveFin(): void {
    this.rcvNxt = (this.rcvNxt + 1) >>> 0;
    this.guestEnded = true;
    this.parts.stream.end();
    this.acknowledge();
  }

  /** Both sides have ended, and know it. */
  private settle(): void {
    if (this.removedAlready || this.state === 'over' || !this.guestEnded || !this.hostEnded || this.ring.length > 0) return;
    if (after(this.sndUna, this.ringSeq) < 1) return;
    this.state = 'over';
    this.timer.stop();
    this.deadline = this.parts.now() + TIME_WAIT_MS;
    this.parts.wake(this.deadline);
  }

  // Sending.

  /** How far the right edge of the window could move now. */
  private windowGrowth(): number {
    const { budget } = this.parts;
    const free = budget.used > budget.most ? 0 : Math.max(0, RECEIVE_BYTES - this.charged - this.reorder.cost);
    return after((this.rcvNxt + Math.min(free, this.mostWindow)) >>> 0, this.rcvAdv);
  }

  /** A guest that scales no windows can't be told of more. */
  private get mostWindow(): number {
    return this.rcvScale ? RECEIVE_BYTES : 65_535;
  }

  private acknowledgeSoon(): void {
    if (this.ackDue) return;
    this.ackDue = true;
    this.parts.soon(this);
  }

  private acknowledge(): void {
    this.sendControl(ACK, this.sndNxt);
  }

  /** The window field, after its right edge was moved as far as it may (RFC 9293 section 3.8.6.2.2). */
  private window(): number {
    const growth = this.windowGrowth();
    if (growth >= Math.min(2 * MSS, RECEIVE_BYTES / 2)) this.rcvAdv = (this.rcvAdv + growth) >>> 0;
    return Math.min(65_535, after(this.rcvAdv, this.rcvNxt) >>> this.rcvScale);
  }

  private sendControl(flags: number, seq: number): void {
    this.ackDue = false;
    sendSegment(this.parts.writer, this.parts.ends, { seq, ack: this.rcvNxt, flags, window: flags & RST ? 0 : this.window() });
  }

  /** Everything that may be sent now. */
  private output(): void {
    if (this.state !== 'open' || this.removedAlready) return;
    for (;;) {
      const inFlight = after(this.sndNxt, this.sndUna);
      const ready = this.ring.length - after(this.sndNxt, this.ringSeq);
      if (ready <= 0) break;
      const window = Math.min(this.sndWnd, this.congestion.bytes);
      const burst = this.burst(window);
      const length = Math.min(ready, burst, window - inFlight);
      // RFC 9293 section 3.8.6.2.1: a small piece waits while others are under way.
      if (length <= 0 || (length < burst && length < ready && inFlight > 0)) break;
      this.sendData(length);
    }
    if (this.hostEnded && this.sndNxt === (this.ringSeq + this.ring.length) >>> 0) this.sendFin();
    if (this.ring.length > 0 && this.sndNxt === this.sndUna) this.timer.ensure(this.parts.now());
    this.arm();
  }

  /** Bytes that are sent in one piece while `window` may be under way: whoever cuts it does so by our MSS. */
  private burst(window: number): number {
    if (!this.parts.longSegments || this.mss < MSS) return this.mss;
    const pieces = Math.floor(window / BURST_SHARE / MSS);
    return Math.max(MSS, Math.min(LONG_BYTES, pieces * MSS));
  }

  private sendData(length: number): void {
    const seq = this.sndNxt;
    this.sendPiece(seq, length);
    this.sndNxt = (seq + length) >>> 0;
    const now = this.parts.now();
    if (after(this.sndNxt, this.sndMax) > 0) {
      this.sndMax = this.sndNxt;
      this.timer.measure(now, this.sndNxt);
    }
    this.timer.ensure(now);
  }

  private sendPiece(seq: number, length: number): void {
    const offset = after(seq, this.ringSeq);
    const last = offset + length === this.ring.length;
    this.ackDue = false;
    const head = { seq, ack: this.rcvNxt, flags: ACK | (last ? PSH : 0), window: this.window() };
    sendSegment(this.parts.writer, this.parts.ends, head, length, (frame, at) => this.ring.read(offset, length, frame, at));
  }

  private sendFin(): void {
    this.sendControl(FIN | ACK, this.sndNxt);
    this.sndNxt = (this.sndNxt + 1) >>> 0;
    if (after(this.sndNxt, this.sndMax) > 0) this.sndMax = this.sndNxt;
    this.timer.ensure(this.parts.now());
  }

  /** Once more what begins at `seq`, or as much of it as was sent. */
  private sendAt(seq: number): void {
    const offset = after(seq, this.ringSeq);
    const burst = this.burst(Math.min(this.sndWnd, this.congestion.bytes));
    const length = Math.min(burst, this.ring.length - offset, after(this.sndMax, seq));
    if (length > 0) this.sendPiece(seq, length);
    else if (this.hostEnded) this.sendControl(FIN | ACK, seq);
    this.timer.ensure(this.parts.now());
  }

  private retransmit(now: number): void {
    const setUp = this.state !== 'open';
    if (this.timer.tries >= (setUp ? MAX_SYN_TRIES : MAX_TRIES)) {
      if (this.state === 'accepted' || this.state === 'calling') this.abort();
      else this.kill();
      return;
    }
    this.timer.backOff(now);
    if (setUp) {
      this.sendSyn();
      return;
    }
    if (this.sndWnd === 0 || this.sndMax === this.sndUna) {
      this.probeWindow();
      return;
    }
    this.congestion.timedOut(after(this.sndMax, this.sndUna), this.sndMax);
    this.sndNxt = this.sndUna;
    this.output();
  }

  /** RFC 9293 section 3.8.6.1: one byte, which the guest may take or not. */
  private probeWindow(): void {
    if (this.ring.length === 0) {
      if (this.hostEnded) this.sendControl(FIN | ACK, this.sndUna);
      return;
    }
    this.sendPiece(this.sndUna, 1);
    const next = (this.sndUna + 1) >>> 0;
    if (after(next, this.sndMax) > 0) this.sndMax = next;
  }

  private remove(): void {
    this.removedAlready = true;
    this.state = 'over';
    this.timer.stop();
    this.parts.budget.used -= this.ring.length;
    this.ring.drop(this.ring.length);
    this.parts.removed();
  }
}
