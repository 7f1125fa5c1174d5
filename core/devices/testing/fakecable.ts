import type { PacketBackend, PacketListener } from '../../backend/packet.ts';

/** The cable of a card under test: keeps what the card sends, and gives it what the test lets arrive. */
export class FakeCable implements PacketBackend {
  carrier = true;
  readonly sent: Uint8Array[] = [];
  flushes = 0;
  private readonly queue: Uint8Array[] = [];
  private listener: PacketListener | undefined;

  listen(listener: PacketListener): void {
    this.listener = listener;
  }

  send(frame: Uint8Array): void {
    this.sent.push(frame.slice());
  }

  flush(): void {
    this.flushes++;
  }

  get waiting(): Uint8Array | undefined {
    return this.queue[0];
  }

  get count(): number {
    return this.queue.length;
  }

  take(): void {
    this.queue.shift();
  }

  arrive(...frames: Uint8Array[]): void {
    this.queue.push(...frames);
    this.listener?.arrived();
  }

  plug(carrier: boolean): void {
    this.carrier = carrier;
    this.listener?.carrierChanged();
  }
}
