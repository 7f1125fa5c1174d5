import type { ByteChannel } from '../../contract/transport.ts';
import type { DebugStop } from '../../cpu/debugcontrol.ts';
import { TestCpu } from '../../cpu/interp/testing/testcpu.ts';
import type { DebugAnswers, DebugRequest, DebugTarget } from '../debugrequest.ts';
import { GuestDebugger } from '../guestdebugger.ts';
import { encodePacket, latin1, PacketReader } from '../packets.ts';

/** A machine of one processor and 4 MiB whose guest runs between turns of the event loop. */
export class TestTarget implements DebugTarget {
  readonly name = 'test';
  readonly t = new TestCpu();
  running = true;
  killed = false;
  resets = 0;
  private readonly debugger: GuestDebugger;
  private readonly stopListeners = new Set<(stop: DebugStop | undefined) => void>();
  private readonly endListeners = new Set<() => void>();
  private pausedLoop = true;
  private ended = false;

  constructor() {
    this.debugger = new GuestDebugger({
      accelerator: this.t.cpu,
      memory: this.t.guest,
      pause: () => {
        this.pausedLoop = true;
      },
      resume: () => {
        this.pausedLoop = false;
        setImmediate(() => this.slice());
      },
      profile: () => ({ ports: [], mmio: [], seconds: 1, haltedSeconds: 0 }),
      onStop: (stop) => this.stopped(stop),
    });
  }

  async request<K extends DebugRequest['op']>(request: Extract<DebugRequest, { op: K }>): Promise<DebugAnswers[K]> {
    if (this.ended) throw new Error('gone');
    if (request.op === 'go') this.running = true;
    const answer = this.debugger.handle(request) as DebugAnswers[K];
    if (request.op === 'halt' || request.op === 'attach') this.stopped(undefined);
    return answer;
  }

  onStopped(listener: (stop: DebugStop | undefined) => void) {
    this.stopListeners.add(listener);
    return { dispose: () => void this.stopListeners.delete(listener) };
  }

  onEnded(listener: () => void) {
    this.endListeners.add(listener);
    return { dispose: () => void this.endListeners.delete(listener) };
  }

  async reset(): Promise<void> {
    this.resets++;
  }

  async kill(): Promise<void> {
    this.killed = true;
  }

  /** The machine goes off. */
  end(): void {
    this.ended = true;
    this.pausedLoop = true;
    for (const listener of [...this.endListeners]) listener();
  }

  private stopped(stop: DebugStop | undefined): void {
    if (!this.running) return;
    this.running = false;
    for (const listener of [...this.stopListeners]) listener(stop);
  }

  private slice(): void {
    if (this.pausedLoop) return;
    if (this.t.cpu.run(10_000) === 'debug') this.debugger.stopped();
    if (!this.pausedLoop) setImmediate(() => this.slice());
  }
}

/** The client's side of a session. */
export class TestClient {
  readonly channel: ByteChannel;
  /** Everything that came. */
  received: string[] = [];
  closed = false;
  acks = 0;
  naks = 0;
  private readonly reader = new PacketReader();
  private toSession: (bytes: Uint8Array) => void = () => {};
  private closeListeners: (() => void)[] = [];
  private wake: (() => void) | undefined;

  constructor() {
    this.channel = {
      send: (bytes) => {
        for (const event of this.reader.push(bytes)) {
          if (event.type === 'packet') this.received.push(String.fromCharCode(...event.data));
          else if (event.type === 'ack') this.acks++;
          else if (event.type === 'nak') this.naks++;
        }
        this.wake?.();
        return true;
      },
      onData: (listener) => {
        this.toSession = listener;
      },
      onDrain: () => {},
      onClose: (listener) => this.closeListeners.push(listener),
      close: () => {
        this.closed = true;
        this.wake?.();
      },
    };
  }

  raw(bytes: Uint8Array | string): void {
    this.toSession(typeof bytes === 'string' ? latin1(bytes) : bytes);
  }

  /** Sends a packet and resolves with the next one that comes. */
  async ask(data: string | Uint8Array): Promise<string> {
    this.raw(encodePacket(data));
    return this.next();
  }

  async next(): Promise<string> {
    while (this.received.length === 0 && !this.closed)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    return this.received.shift() ?? '';
  }

  /** The connection breaks. */
  hangUp(): void {
    for (const listener of this.closeListeners) listener();
  }
}
