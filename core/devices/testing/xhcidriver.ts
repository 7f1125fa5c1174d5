import type { Xhci } from '../usb/xhci.ts';
import type { Bench } from './bench.ts';

const BAR = 0xfe20_0000;
/** Where in the bench's RAM things are. */
const CONTEXT_TABLE = 0x1000;
const COMMANDS = 0x2000;
const SEGMENT_TABLE = 0x3000;
const EVENTS = 0x4000;
const INPUT = 0x6000;
const CONTEXTS = 0x1_0000;
const RINGS = 0x4_0000;
export const DATA = 0xe_0000;
const RING_TRBS = 32;
const RING_BYTES = 0x400;

export interface SeenEvent {
  type: number;
  code: number;
  slot: number;
  endpoint: number;
  /** Bytes that were not moved. */
  left: number;
  /** Parameter: the TRB that it is about. */
  at: number;
  /** From an event data TRB. */
  data: boolean;
}

interface GuestRing {
  base: number;
  index: number;
  cycle: number;
}

/** What a guest's xHCI driver does, one thing after the other. */
export class XhciDriver {
  readonly xhci: Xhci;
  readonly bench: Bench;
  /** The command ring. */
  commands: GuestRing = { base: COMMANDS, index: 0, cycle: 1 };
  private readonly rings = new Map<number, GuestRing>();
  private event = { index: 0, cycle: 1 };
  private readonly eventTrbs: number;

  constructor(xhci: Xhci, bench: Bench, eventTrbs = 64) {
    this.xhci = xhci;
    this.bench = bench;
    this.eventTrbs = eventTrbs;
    xhci.writeConfig(0x10, BAR, 4);
    xhci.writeConfig(0x04, 0x0006, 2);
  }

  read(offset: number): number {
    return this.bench.mmio.read(BAR + offset, 4);
  }

  write(offset: number, value: number): void {
    this.bench.mmio.write(BAR + offset, value, 4);
  }

  portStatus(port: number): number {
    return this.read(0x440 + (port - 1) * 16);
  }

  writePort(port: number, value: number): void {
    this.write(0x440 + (port - 1) * 16, value);
  }

  /** Resets the controller and sets it to work with interrupts on. */
  start(): void {
    const { memory } = this.bench;
    this.write(0x40, 2);
    memory.write(0, new Uint8Array(0xe_0000));
    this.commands = { base: COMMANDS, index: 0, cycle: 1 };
    this.rings.clear();
    this.event = { index: 0, cycle: 1 };
    this.link(this.commands);
    this.write(0x78, 20);
    this.write(0x70, CONTEXT_TABLE);
    this.write(0x74, 0);
    this.write(0x58, COMMANDS | 1);
    this.write(0x5c, 0);
    memory.write32(SEGMENT_TABLE, EVENTS);
    memory.write32(SEGMENT_TABLE + 8, this.eventTrbs);
    this.write(0x1028, 1);
    this.write(0x1038, EVENTS);
    this.write(0x103c, 0);
    this.write(0x1030, SEGMENT_TABLE);
    this.write(0x1034, 0);
    this.write(0x1020, 2);
    this.write(0x40, 5);
  }

  /** Everything that was told since; `acknowledge`: the dequeue pointer goes there, and the busy flag is cleared. */
  events(acknowledge = true): SeenEvent[] {
    const { memory } = this.bench;
    const seen: SeenEvent[] = [];
    for (;;) {
      const at = EVENTS + this.event.index * 16;
      const control = memory.read32(at + 12);
      if ((control & 1) !== this.event.cycle) break;
      const status = memory.read32(at + 8);
      seen.push({
        type: (control >>> 10) & 0x3f,
        code: status >>> 24,
        slot: control >>> 24,
        endpoint: (control >>> 16) & 0x1f,
        left: status & 0xff_ffff,
        at: memory.read32(at) + memory.read32(at + 4) * 2 ** 32,
        data: (control & 4) !== 0,
      });
      this.event.index++;
      if (this.event.index === this.eventTrbs) this.event = { index: 0, cycle: this.event.cycle ^ 1 };
      if (seen.length > 10_000) throw new Error('events without end');
    }
    if (acknowledge) this.acknowledge();
    return seen;
  }

  acknowledge(): void {
    this.write(0x1038, (EVENTS + this.event.index * 16) | 8);
    this.write(0x103c, 0);
  }

  /** Gives a command and returns what it ended with. */
  command(type: number, parameter = 0, bits = 0): SeenEvent {
    const at = this.put(this.commands, parameter, 0, ((type << 10) | bits) >>> 0);
    this.write(0x2000, 0);
    const event = this.events().find((one) => one.type === 33 && one.at === at);
    if (!event) throw new Error(`no answer to command ${type}`);
    return event;
  }

  /** Enables a slot and addresses the device of a root port, which is reset first. Returns the slot. */
  connect(port: number): number {
    this.writePort(port, 0x210);
    const { slot } = this.command(9);
    const { memory } = this.bench;
    memory.write32(CONTEXT_TABLE + slot * 8, this.context(slot));
    memory.write(INPUT, new Uint8Array(33 * 32));
    memory.write32(INPUT + 4, 3);
    memory.write32(INPUT + 32, 1 << 27);
    memory.write32(INPUT + 36, port << 16);
    this.inputEndpoint(slot, 1, 4, 64);
    const { code } = this.command(11, INPUT, slot << 24);
    if (code !== 1) throw new Error(`address device: ${code}`);
    return slot;
  }

  /** Configures endpoints (context index and type) and the device. */
  configure(slot: number, endpoints: readonly (readonly [index: number, type: number])[]): number {
    const { memory } = this.bench;
    memory.write(INPUT, new Uint8Array(33 * 32));
    memory.write32(INPUT + 4, endpoints.reduce((flags, [index]) => flags | (1 << index), 1) >>> 0);
    memory.write32(INPUT + 32, 31 << 27);
    for (const [index, type] of endpoints) this.inputEndpoint(slot, index, type, 1024);
    const { code } = this.command(12, INPUT, slot << 24);
    if (code === 1) this.control(slot, [0, 9, 1, 0, 0, 0, 0, 0]);
    return code;
  }

  /** A control transfer; what came, or how it failed. */
  control(slot: number, setup: readonly number[], sent: Uint8Array = new Uint8Array()): { code: number; data: Uint8Array } {
    const { memory } = this.bench;
    const ring = this.ring(slot, 1);
    const length = setup[6]! | (setup[7]! << 8);
    const toHost = (setup[0]! & 0x80) !== 0;
    const bytes = Uint8Array.from(setup);
    const view = new DataView(bytes.buffer);
    memory.write(DATA, sent);
    this.put(ring, view.getUint32(0, true), 8, (2 << 10) | 0x40 | ((length ? (toHost ? 3 : 2) : 0) << 16), view.getUint32(4, true));
    if (length) this.put(ring, DATA, length, (3 << 10) | 4 | (toHost ? 1 << 16 : 0));
    this.put(ring, 0, 0, (4 << 10) | 0x20);
    this.doorbell(slot, 1);
    let left = 0;
    let code = 0;
    for (const event of this.events()) {
      if (event.type !== 32 || event.slot !== slot) continue;
      if (event.code === 13) left = event.left;
      code = event.code;
    }
    const data = new Uint8Array(Math.max(0, length - left));
    memory.read(DATA, data);
    return { code, data };
  }

  /** Puts a normal TRB on an endpoint's ring; returns its address. `bits`: 0x20 tells of its end, 0x10 chains, 4 tells of a short packet. */
  normal(slot: number, index: number, gpa: number, length: number, bits = 0x24): number {
    return this.put(this.ring(slot, index), gpa, length, (1 << 10) | bits);
  }

  put(ring: GuestRing, parameter: number, status: number, control: number, high = 0): number {
    const { memory } = this.bench;
    const at = ring.base + ring.index * 16;
    memory.write32(at, parameter >>> 0);
    memory.write32(at + 4, high);
    memory.write32(at + 8, status >>> 0);
    memory.write32(at + 12, ((control & ~1) | ring.cycle) >>> 0);
    ring.index++;
    if (ring.index === RING_TRBS - 1) {
      this.link(ring);
      ring.index = 0;
      ring.cycle ^= 1;
    }
    return at;
  }

  ring(slot: number, index: number): GuestRing {
    const ring = this.rings.get(slot * 32 + index);
    if (!ring) throw new Error('no such ring');
    return ring;
  }

  doorbell(slot: number, index: number): void {
    this.write(0x2000 + slot * 4, index);
  }

  context(slot: number): number {
    return CONTEXTS + slot * 0x800;
  }

  endpointState(slot: number, index: number): number {
    return this.bench.memory.read32(this.context(slot) + index * 32) & 7;
  }

  private inputEndpoint(slot: number, index: number, type: number, packet: number): void {
    const { memory } = this.bench;
    const at = INPUT + (index + 1) * 32;
    const ring = { base: RINGS + (slot * 32 + index) * RING_BYTES, index: 0, cycle: 1 };
    memory.write(ring.base, new Uint8Array(RING_BYTES));
    this.rings.set(slot * 32 + index, ring);
    this.link(ring);
    memory.write32(at + 4, (packet << 16) | (type << 3) | 6);
    memory.write32(at + 8, ring.base | 1);
    memory.write32(at + 12, 0);
  }

  /** The link back to the beginning, handed over in the present round. */
  private link(ring: GuestRing): void {
    const { memory } = this.bench;
    const at = ring.base + (RING_TRBS - 1) * 16;
    memory.write32(at, ring.base);
    memory.write32(at + 4, 0);
    memory.write32(at + 8, 0);
    memory.write32(at + 12, ((6 << 10) | 2 | ring.cycle) >>> 0);
  }
}
