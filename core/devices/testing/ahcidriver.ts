import type { Ahci } from '../storage/ahci.ts';
import type { Bench } from './bench.ts';

const ABAR = 0xfe10_0000;
/** Where in the bench's RAM a port's areas are. */
const LIST = 0x1000;
const FIS = 0x1800;
const TABLES = 0x2000;
const TABLE_BYTES = 0x400;
const PORT_STRIDE = 0x10000;

export interface AhciCommand {
  command: number;
  features?: number;
  lba?: number;
  count?: number;
  device?: number;
  /** Guest memory the command moves. */
  prds?: { gpa: number; length: number }[];
  write?: boolean;
  packet?: readonly number[];
}

/** What a guest's AHCI driver does with one port. */
export class AhciDriver {
  readonly ahci: Ahci;
  readonly bench: Bench;
  readonly port: number;

  constructor(ahci: Ahci, bench: Bench, port = 0) {
    this.ahci = ahci;
    this.bench = bench;
    this.port = port;
    ahci.writeConfig(0x24, ABAR, 4);
    ahci.writeConfig(0x04, 0x0006, 2);
  }

  host(offset: number): number {
    return this.bench.mmio.read(ABAR + offset, 4);
  }

  writeHost(offset: number, value: number): void {
    this.bench.mmio.write(ABAR + offset, value, 4);
  }

  read(offset: number): number {
    return this.host(0x100 + this.port * 0x80 + offset);
  }

  write(offset: number, value: number): void {
    this.writeHost(0x100 + this.port * 0x80 + offset, value);
  }

  /** Sets the port's areas, starts it and lets it interrupt. */
  start(): void {
    const base = this.port * PORT_STRIDE;
    this.writeHost(0x04, 0x8000_0002);
    this.write(0x00, base + LIST);
    this.write(0x08, base + FIS);
    this.write(0x14, 0x7fff_ffff);
    this.write(0x18, 0x10);
    this.write(0x18, 0x11);
  }

  /** Puts a command into a slot and issues it; queued ones set their bit in PxSACT first. */
  issue(slot: number, what: AhciCommand): void {
    const { memory } = this.bench;
    const base = this.port * PORT_STRIDE;
    const table = base + TABLES + slot * TABLE_BYTES;
    const { command, features = 0, lba = 0, count = 0, device = 0x40, prds = [], write = false, packet } = what;
    const at = (byte: number) => Math.floor(lba / 2 ** (8 * byte)) & 0xff;
    const queued = command === 0x60 || command === 0x61;
    // A queued command has its count in the features and its tag in the count.
    const [low, high] = queued ? [slot << 3, 0] : [count & 0xff, count >> 8];
    const [f, fHigh] = queued ? [count & 0xff, count >> 8] : [features & 0xff, features >> 8];
    memory.write(
      table,
      Uint8Array.of(0x27, 0x80, command, f, at(0), at(1), at(2), device, at(3), at(4), at(5), fHigh, low, high, 0, 0, 0, 0, 0, 0),
    );
    if (packet) memory.write(table + 0x40, Uint8Array.from(packet));
    prds.forEach(({ gpa, length }, index) => {
      memory.write32(table + 0x80 + index * 16, gpa % 2 ** 32);
      memory.write32(table + 0x84 + index * 16, Math.floor(gpa / 2 ** 32));
      memory.write32(table + 0x8c + index * 16, length - 1);
    });
    const header = base + LIST + slot * 32;
    memory.write32(header, ((prds.length << 16) | (write ? 0x40 : 0) | (packet ? 0x20 : 0) | 5) >>> 0);
    memory.write32(header + 4, 0);
    memory.write32(header + 8, table);
    memory.write32(header + 12, 0);
    if (queued) this.write(0x34, (1 << slot) >>> 0);
    this.write(0x38, (1 << slot) >>> 0);
  }

  /** Bytes moved, as the controller says. */
  moved(slot: number): number {
    return this.bench.memory.read32(this.port * PORT_STRIDE + LIST + slot * 32 + 4);
  }

  /** A FIS as it was received. */
  fis(at: number): Uint8Array {
    const bytes = new Uint8Array(20);
    this.bench.memory.read(this.port * PORT_STRIDE + FIS + at, bytes);
    return bytes;
  }
}
