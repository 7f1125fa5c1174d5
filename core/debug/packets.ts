/**
 * Framing of the GDB remote serial protocol (GDB manual, appendix E.1 "Overview"): `$data#checksum`, `}` escapes, `+` and `-`
 * acknowledgements, and the lone byte 03h that interrupts. What a client sends is hostile: lengths are bounded and nothing throws.
 */

/** PacketSize announced to gdb, bytes of data between `$` and `#`. */
export const MAX_PACKET = 0x10000;

const DOLLAR = 0x24;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const ESCAPE = 0x7d;
const STAR = 0x2a;
const INTERRUPT = 0x03;

export type PacketEvent =
  | { type: 'packet'; data: Uint8Array }
  /** Checksum wrong, or too long. */
  | { type: 'bad' }
  | { type: 'ack' }
  | { type: 'nak' }
  | { type: 'interrupt' };

/** Bytes from the client in, packets out. */
export class PacketReader {
  private readonly data = new Uint8Array(MAX_PACKET);
  private length = 0;
  private state: 'idle' | 'data' | 'check1' | 'check2' = 'idle';
  private sum = 0;
  private check = 0;
  private overflow = false;

  /** Events of `bytes`, in order. */
  push(bytes: Uint8Array): PacketEvent[] {
    const events: PacketEvent[] = [];
    for (const byte of bytes) {
      const event = this.take(byte);
      if (event) events.push(event);
    }
    return events;
  }

  private take(byte: number): PacketEvent | undefined {
    switch (this.state) {
      case 'idle':
        if (byte === DOLLAR) this.begin();
        else if (byte === PLUS) return { type: 'ack' };
        else if (byte === MINUS) return { type: 'nak' };
        else if (byte === INTERRUPT) return { type: 'interrupt' };
        return undefined;
      case 'data':
        // A packet that begins inside another: the first one was cut off.
        if (byte === DOLLAR) this.begin();
        else if (byte === HASH) this.state = 'check1';
        else {
          this.sum = (this.sum + byte) & 0xff;
          if (this.length < MAX_PACKET) this.data[this.length++] = byte;
          else this.overflow = true;
        }
        return undefined;
      case 'check1':
        this.check = hexDigit(byte) << 4;
        this.state = 'check2';
        return undefined;
      case 'check2':
        this.state = 'idle';
        if (this.overflow || this.check + hexDigit(byte) !== this.sum) return { type: 'bad' };
        return { type: 'packet', data: this.unescaped() };
    }
  }

  private begin(): void {
    this.state = 'data';
    this.length = this.sum = 0;
    this.overflow = false;
  }

  private unescaped(): Uint8Array {
    const out = new Uint8Array(this.length);
    let n = 0;
    for (let i = 0; i < this.length; i++) {
      let byte = this.data[i]!;
      if (byte === ESCAPE && i + 1 < this.length) byte = this.data[++i]! ^ 0x20;
      out[n++] = byte;
    }
    return out.subarray(0, n);
  }
}

/** Value of a hexadecimal digit; far out of range for anything else, so that a checksum never matches by it. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x57;
  return 0x10000;
}

/** `$data#checksum`; binary bytes that mean something to the framing are escaped. */
export function encodePacket(data: string | Uint8Array): Uint8Array {
  const source = typeof data === 'string' ? latin1(data) : data;
  const out: number[] = [DOLLAR];
  let sum = 0;
  const put = (byte: number) => {
    out.push(byte);
    sum = (sum + byte) & 0xff;
  };
  for (const byte of source) {
    if (byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === STAR) {
      put(ESCAPE);
      put(byte ^ 0x20);
    } else put(byte);
  }
  out.push(HASH, ...latin1(sum.toString(16).padStart(2, '0')));
  return Uint8Array.from(out);
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** Undefined when the text is not pairs of hexadecimal digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16));
}

/** A hexadecimal number of at most 64 bits, undefined when it is none. */
export function hexNumber(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}
