import { ByteWriter } from './bytewriter.ts';
import type { ByteQueue } from './bytequeue.ts';
import { ProtocolError } from './clientmessages.ts';
import type { RfbPlatform } from './platformparts.ts';
import { SECURITY_NONE, SECURITY_VNC_AUTH } from './protocol.ts';

type Step = 'version' | 'security' | 'challenge' | 'init' | 'done';

export interface HandshakeOptions {
  password: string | undefined;
  platform: RfbPlatform;
  send(bytes: Uint8Array): void;
  /** Bytes of ServerInit. */
  serverInit(): Uint8Array;
}

/** RFC 6143 sections 7.1 to 7.3 from the server's side, for protocol versions 3.3, 3.7 and 3.8. */
export class Handshake {
  /** The client asked to be the only viewer. */
  exclusive = false;
  private readonly options: HandshakeOptions;
  private step: Step = 'version';
  private minor = 8;
  private challenge: Uint8Array = new Uint8Array(0);

  constructor(options: HandshakeOptions) {
    this.options = options;
    options.send(new TextEncoder().encode('RFB 003.008\n'));
  }

  get done(): boolean {
    return this.step === 'done';
  }

  /** Consumes what it can; returns when more bytes are needed or the handshake is done. Throws ProtocolError. */
  advance(queue: ByteQueue): void {
    for (let step: Step | undefined; step !== this.step && !this.done; ) {
      step = this.step;
      if (step === 'version') this.version(queue);
      else if (step === 'security') this.security(queue);
      else if (step === 'challenge') this.response(queue);
      else this.init(queue);
    }
  }

  private get securityType(): number {
    return this.options.password === undefined ? SECURITY_NONE : SECURITY_VNC_AUTH;
  }

  private version(queue: ByteQueue): void {
    if (queue.length < 12) {
      // Garbage should not have to fill 12 bytes before it is noticed.
      for (let i = 0; i < Math.min(4, queue.length); i++)
        if (queue.u8(i) !== 'RFB '.charCodeAt(i)) throw new ProtocolError('the client does not speak RFB');
      return;
    }
    const text = String.fromCharCode(...queue.take(12));
    const match = /^RFB (\d{3})\.(\d{3})\n$/.exec(text);
    if (!match || Number(match[1]) < 3) throw new ProtocolError('the client does not speak RFB 3');
    // Versions between the published ones count as 3.3, later ones as 3.8 (RFC 6143 section 7.1.1).
    const minor = Number(match[1]) > 3 ? 8 : Number(match[2]);
    this.minor = minor >= 8 ? 8 : minor === 7 ? 7 : 3;
    if (this.minor === 3) {
      this.options.send(new ByteWriter().u32(this.securityType).finish());
      this.chosen(this.securityType);
    } else {
      this.options.send(Uint8Array.of(1, this.securityType));
      this.step = 'security';
    }
  }

  private security(queue: ByteQueue): void {
    if (queue.length < 1) return;
    const type = queue.u8(0);
    queue.drop(1);
    if (type !== this.securityType) {
      this.refuse('this security type was not offered');
      throw new ProtocolError(`the client chose security type ${type}, which was not offered`);
    }
    this.chosen(type);
  }

  private chosen(type: number): void {
    if (type === SECURITY_VNC_AUTH) {
      this.challenge = this.options.platform.randomBytes(16);
      this.options.send(this.challenge);
      this.step = 'challenge';
      return;
    }
    if (this.minor === 8) this.options.send(new ByteWriter().u32(0).finish());
    this.step = 'init';
  }

  private response(queue: ByteQueue): void {
    if (queue.length < 16) return;
    const response = queue.take(16);
    const expected = this.options.platform.desEncrypt(vncKey(this.options.password!), this.challenge);
    let difference = 0;
    for (let i = 0; i < 16; i++) difference |= response[i]! ^ expected[i]!;
    if (difference) {
      this.refuse('the password is wrong');
      throw new ProtocolError('the client gave a wrong password');
    }
    this.options.send(new ByteWriter().u32(0).finish());
    this.step = 'init';
  }

  private refuse(reason: string): void {
    const out = new ByteWriter().u32(1);
    if (this.minor === 8) out.text(reason);
    this.options.send(out.finish());
  }

  private init(queue: ByteQueue): void {
    if (queue.length < 1) return;
    this.exclusive = queue.u8(0) === 0;
    queue.drop(1);
    this.options.send(this.options.serverInit());
    this.step = 'done';
  }
}

/** The password's first 8 bytes with the bits of each byte in reverse (RFC 6143 section 7.2.2, as every implementation does). */
export function vncKey(password: string): Uint8Array {
  const key = new Uint8Array(8);
  new TextEncoder()
    .encode(password)
    .subarray(0, 8)
    .forEach((byte, index) => {
      let reversed = 0;
      for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) reversed |= 0x80 >> bit;
      key[index] = reversed;
    });
  return key;
}
