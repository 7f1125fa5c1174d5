import type { E1000 } from '../net/e1000.ts';
import type { Bench } from './bench.ts';

const BASE = 0xfeb0_0000;
const PORTS = 0xc000;
const RX_RING = 0x1000;
const TX_RING = 0x2000;
const RX_BUFFERS = 0x10000;
const TX_BUFFERS = 0x80000;
const BUFFER_STRIDE = 0x4000;

/** What a driver of an 82540EM does, on a bench. */
export class E1000Driver {
  readonly card: E1000;
  readonly bench: Bench;
  /** Descriptors of each ring, a multiple of 8. */
  readonly size: number;
  private tail = 0;
  private given = 0;
  private taken = 0;
  private nextBuffer = TX_BUFFERS;

  constructor(card: E1000, bench: Bench, size = 16) {
    this.card = card;
    this.bench = bench;
    this.size = size;
    card.writeConfig(0x10, BASE, 4);
    card.writeConfig(0x14, PORTS, 4);
    card.writeConfig(0x04, 0x0007, 2);
  }

  read(offset: number): number {
    return this.bench.mmio.read(BASE + offset, 4);
  }

  write(offset: number, value: number): void {
    this.bench.mmio.write(BASE + offset, value, 4);
  }

  /** Resets the chip and turns both directions on. `control`: more of RCTL. */
  start(control = 0x8000): void {
    this.write(0x00, 0x0400_0000);
    this.tail = this.given = this.taken = 0;
    for (const [register, base] of [
      [0x2800, RX_RING],
      [0x3800, TX_RING],
    ] as const) {
      this.bench.memory.write(base, new Uint8Array(this.size * 16));
      this.write(register, base);
      this.write(register + 4, 0);
      this.write(register + 8, this.size * 16);
      this.write(register + 0x10, 0);
      this.write(register + 0x18, 0);
    }
    this.write(0x400, 2);
    this.write(0x100, control | 2);
  }

  readPhy(register: number): number {
    this.write(0x20, (2 << 26) | (1 << 21) | (register << 16));
    return this.read(0x20) & 0xffff;
  }

  /** Bit by bit, as Microwire wants it. */
  readEeprom(address: number): number {
    const pins = (value: number) => this.write(0x10, 0x40 | value);
    pins(0);
    pins(2);
    for (let bit = 8; bit >= 0; bit--) {
      const data = ((0x180 | address) >> bit) & 1 ? 4 : 0;
      pins(2 | data);
      pins(3 | data);
      pins(2 | data);
    }
    let word = 0;
    for (let bit = 0; bit < 16; bit++) {
      pins(3);
      word = (word << 1) | ((this.read(0x10) >> 3) & 1);
      pins(2);
    }
    pins(0);
    return word;
  }

  /** Hands a descriptor of data over. `command`: 1 end of packet, 8 report status, 0x20 not a legacy one, ... */
  submit({
    bytes,
    command,
    options = 0,
    special = 0,
    offset = 0,
  }: {
    bytes: Uint8Array;
    command: number;
    options?: number;
    special?: number;
    offset?: number;
  }): number {
    if (this.nextBuffer + bytes.length > this.bench.memory.ramBytes) this.nextBuffer = TX_BUFFERS;
    const gpa = this.nextBuffer;
    this.bench.memory.write(gpa, bytes);
    this.nextBuffer += (bytes.length + 15) & ~15;
    const type = command & 0x20 ? 1 << 20 : offset << 16;
    return this.descriptor([gpa, 0, (bytes.length | type | (command << 24)) >>> 0, ((options << 8) | (special << 16)) >>> 0]);
  }

  context(ip: number, transport: number, more: number, last: number): number {
    return this.descriptor([ip, transport, (more | 0x2000_0000) >>> 0, last]);
  }

  /** Whether the card said that it is done with the descriptor. */
  done(index: number): boolean {
    return (this.bench.memory.read8(TX_RING + index * 16 + 12) & 1) === 1;
  }

  /** Gives the card that many more buffers to receive into. */
  offer(count: number): void {
    for (let i = 0; i < count; i++) {
      const at = RX_RING + this.given * 16;
      this.bench.memory.write32(at, RX_BUFFERS + this.given * BUFFER_STRIDE);
      for (const offset of [4, 8, 12]) this.bench.memory.write32(at + offset, 0);
      this.given = (this.given + 1) % this.size;
    }
    this.write(0x2818, this.given);
  }

  /** Descriptors that the card has filled since the last call. */
  received(): { bytes: Uint8Array; status: number; errors: number; tag: number }[] {
    const list: ReturnType<E1000Driver['received']> = [];
    for (; this.taken !== this.read(0x2810); this.taken = (this.taken + 1) % this.size) {
      const at = RX_RING + this.taken * 16;
      const bytes = new Uint8Array(this.bench.memory.read16(at + 8));
      this.bench.memory.read(RX_BUFFERS + this.taken * BUFFER_STRIDE, bytes);
      const { memory } = this.bench;
      list.push({ bytes, status: memory.read8(at + 12), errors: memory.read8(at + 13), tag: memory.read16(at + 14) });
    }
    return list;
  }

  private descriptor(words: readonly number[]): number {
    const index = this.tail;
    words.forEach((word, i) => {
      this.bench.memory.write32(TX_RING + index * 16 + i * 4, word);
    });
    this.tail = (index + 1) % this.size;
    this.write(0x3818, this.tail);
    return index;
  }
}
