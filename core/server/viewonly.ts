/**
 * Lets somebody look at a machine without touching it. Of what a client sends over RFB (RFC 6143 and the community's extensions) only what asks for the picture
 * passes: keys, pointer, clipboard and sizes are dropped. A client that breaks the protocol is cut off, for where its next message begins is unknown then.
 */
import type { ByteChannel } from '../contract/transport.ts';
import { ByteQueue } from '../vnc/bytequeue.ts';
import { type ClientMessage, readClientMessage } from '../vnc/clientmessages.ts';

const VERSION_BYTES = 12;
/** Minor versions below this have the server choose the security type (RFC 6143, appendix A). */
const CLIENT_CHOOSES = 7;
const PASS: ReadonlySet<ClientMessage['type']> = new Set(['pixelFormat', 'encodings', 'updateRequest', 'continuousUpdates', 'fence']);

/** The stream of an RFB client without what would change anything. */
export class RfbViewFilter {
  private readonly queue = new ByteQueue();
  /** The same bytes as the queue has. */
  private raw: Buffer = Buffer.alloc(0);
  private phase: 'version' | 'security' | 'init' | 'messages' = 'version';

  /** What may pass of these bytes. Throws when the client has to be cut off. */
  push(bytes: Uint8Array): Uint8Array {
    this.queue.push(bytes);
    const all = Buffer.concat([this.raw, bytes]);
    // The queue may have been told to skip what comes.
    this.raw = all.subarray(all.length - this.queue.length);
    const out: Uint8Array[] = [];
    while (this.step(out));
    return Buffer.concat(out);
  }

  /** Returns whether there may be more to do with the bytes that are there. */
  private step(out: Uint8Array[]): boolean {
    const { queue } = this;
    const before = queue.length;
    if (this.phase === 'messages') {
      const message = readClientMessage(queue);
      const part = this.taken(before - queue.length);
      if (message && PASS.has(message.type)) out.push(part);
      return message !== undefined;
    }
    if (before < (this.phase === 'version' ? VERSION_BYTES : 1)) return false;
    queue.drop(this.phase === 'version' ? VERSION_BYTES : 1);
    const part = this.taken(before - queue.length);
    if (this.phase === 'version') {
      this.phase = Number(part.toString('latin1', 8, 11)) < CLIENT_CHOOSES ? 'init' : 'security';
      out.push(part);
    } else if (this.phase === 'security') {
      // Inside this server's channels nothing but "None" is offered; what follows another type could not be told apart.
      if (part[0] !== 1) throw new Error('the client chose a security type that was not offered');
      this.phase = 'init';
      out.push(part);
    } else {
      this.phase = 'messages';
      // "Shared" (7.3.1): a viewer must not throw the others out.
      out.push(Uint8Array.of(1));
    }
    return true;
  }

  private taken(count: number): Buffer {
    const part = this.raw.subarray(0, count);
    this.raw = this.raw.subarray(count);
    return part;
  }
}

/** A channel that only shows: of RFB the picture, of a serial line what the guest writes. */
export function viewOnly(channel: ByteChannel, kind: string): ByteChannel {
  const filter = kind === 'rfb' ? new RfbViewFilter() : undefined;
  return {
    send: (bytes) => {
      try {
        const passed = filter?.push(bytes);
        return !passed?.length || channel.send(passed);
      } catch {
        channel.close();
        return true;
      }
    },
    onData: (listener) => channel.onData(listener),
    onDrain: (listener) => channel.onDrain(listener),
    onClose: (listener) => channel.onClose(listener),
    pause: () => channel.pause?.(),
    resume: () => channel.resume?.(),
    close: () => channel.close(),
  };
}
