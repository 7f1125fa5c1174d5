import type { ByteChannel } from '../contract/transport.ts';

/** Bytes of output kept for a console that attaches later. */
const SCROLLBACK = 64 * 1024;
/** A client that lets this much pile up loses the middle rather than growing memory. */
const MAX_BACKLOG = 1024 * 1024;

interface Client {
  channel: ByteChannel;
  blocked: boolean;
  backlog: Uint8Array[];
  backlogBytes: number;
}

/** One serial line seen from the host: keeps recent output, feeds any number of consoles, takes their input. */
export class SerialHub {
  private history: Uint8Array[] = [];
  private historyBytes = 0;
  private readonly clients = new Set<Client>();
  private readonly input: (bytes: Uint8Array) => void;
  /** Sees every byte of output: log files, tests. */
  onOutput: ((bytes: Uint8Array) => void) | undefined;

  constructor(input: (bytes: Uint8Array) => void) {
    this.input = input;
  }

  output(bytes: Uint8Array): void {
    this.history.push(bytes);
    this.historyBytes += bytes.length;
    while (this.historyBytes - (this.history[0]?.length ?? 0) > SCROLLBACK) this.historyBytes -= this.history.shift()!.length;
    this.onOutput?.(bytes);
    for (const client of this.clients) this.feed(client, bytes);
  }

  /** Sends bytes to the guest. */
  receive(bytes: Uint8Array): void {
    this.input(bytes);
  }

  attach(channel: ByteChannel): void {
    const client: Client = { channel, blocked: false, backlog: [], backlogBytes: 0 };
    this.clients.add(client);
    channel.onClose(() => this.clients.delete(client));
    channel.onData((bytes) => this.receive(bytes));
    channel.onDrain(() => {
      client.blocked = false;
      const backlog = client.backlog;
      client.backlog = [];
      client.backlogBytes = 0;
      for (const bytes of backlog) this.feed(client, bytes);
    });
    for (const bytes of this.history) this.feed(client, bytes);
  }

  close(): void {
    for (const client of [...this.clients]) client.channel.close();
    this.clients.clear();
  }

  private feed(client: Client, bytes: Uint8Array): void {
    if (!client.blocked) {
      client.blocked = !client.channel.send(bytes);
      return;
    }
    client.backlog.push(bytes);
    client.backlogBytes += bytes.length;
    if (client.backlogBytes > MAX_BACKLOG) {
      client.backlog = [new TextEncoder().encode('\r\n[output was dropped: this console reads too slowly]\r\n')];
      client.backlogBytes = 0;
    }
  }
}
