import type { VirtioPciDevice } from '../../bus/virtio/virtiopci.ts';
import type { Bench } from './bench.ts';

const MSIX_BASE = 0xfe00_0000;
const WINDOW_BASE = 0xfe01_0000;
const DEVICE_AT = 0x2000;
const NOTIFY_AT = 0x3000;
/** Where in the bench's RAM a queue's areas are; buffers come behind. */
const QUEUE_AT = 0x1000;
const QUEUE_STRIDE = 0x4000;
const BUFFERS_AT = 0x20000;

export interface Descriptor {
  gpa: number;
  length: number;
  write?: boolean;
}

/** What a guest's driver does: finds the windows, negotiates, fills queues and reads answers. */
export class VirtioDriver {
  readonly device: VirtioPciDevice;
  readonly bench: Bench;
  size = 8;
  private readonly available: number[] = [];
  private readonly seen: number[] = [];
  private nextDescriptor = 0;
  private nextBuffer = BUFFERS_AT;
  private readonly common: number;

  constructor(device: VirtioPciDevice, bench: Bench, layout = { msixBar: 1, windowBar: 4, common: 0 }) {
    this.device = device;
    this.bench = bench;
    this.common = layout.common;
    device.writeConfig(0x10 + layout.msixBar * 4, MSIX_BASE, 4);
    device.writeConfig(0x10 + layout.windowBar * 4, WINDOW_BASE, 4);
    device.writeConfig(0x04, 0x0006, 2);
  }

  read(offset: number, size: 1 | 2 | 4): number {
    return this.bench.mmio.read(WINDOW_BASE + offset, size);
  }

  write(offset: number, value: number, size: 1 | 2 | 4): void {
    this.bench.mmio.write(WINDOW_BASE + offset, value, size);
  }

  private readCommon(offset: number, size: 1 | 2 | 4): number {
    return this.read(this.common + offset, size);
  }

  private writeCommon(offset: number, value: number, size: 1 | 2 | 4): void {
    this.write(this.common + offset, value, size);
  }

  config(offset: number, size: 1 | 2 | 4): number {
    return this.read(DEVICE_AT + offset, size);
  }

  writeConfig(offset: number, value: number, size: 1 | 2 | 4): void {
    this.write(DEVICE_AT + offset, value, size);
  }

  /** Puts a message for `vector` into the MSI-X table and turns MSI-X on. */
  useMessage(vector: number, address: number, data: number): void {
    [address, 0, data, 0].forEach((word, index) => {
      this.bench.mmio.write(MSIX_BASE + vector * 16 + index * 4, word, 4);
    });
    this.device.writeConfig(0x42, 0x8000, 2);
  }

  features(): number[] {
    const bits: number[] = [];
    for (const word of [0, 1]) {
      this.writeCommon(0, word, 4);
      const value = this.readCommon(4, 4);
      for (let bit = 0; bit < 32; bit++) if ((value >>> bit) & 1) bits.push(word * 32 + bit);
    }
    return bits;
  }

  /** Resets, agrees on `features` and VERSION_1, enables `queues` queues and says that the driver is ready. Returns the status byte. */
  start(features: readonly number[], queues = 1): number {
    this.writeCommon(0x14, 0, 1);
    this.writeCommon(0x14, 1, 1);
    this.writeCommon(0x14, 3, 1);
    for (const word of [0, 1]) {
      let bits = 0;
      for (const bit of [...features, 32]) if (bit >> 5 === word) bits |= 1 << (bit & 31);
      this.writeCommon(8, word, 4);
      this.writeCommon(12, bits, 4);
    }
    this.writeCommon(0x14, 0xb, 1);
    for (let index = 0; index < queues; index++) this.enable(index);
    this.writeCommon(0x14, 0xf, 1);
    return this.readCommon(0x14, 1);
  }

  enable(index: number): void {
    const at = QUEUE_AT + index * QUEUE_STRIDE;
    this.bench.memory.write(at, new Uint8Array(QUEUE_STRIDE));
    this.available[index] = this.seen[index] = 0;
    this.writeCommon(0x16, index, 2);
    this.writeCommon(0x18, this.size, 2);
    this.writeCommon(0x1a, index, 2);
    for (const [offset, part] of [
      [0x20, 0],
      [0x28, 0x1000],
      [0x30, 0x2000],
    ] as const) {
      this.writeCommon(offset, at + part, 4);
      this.writeCommon(offset + 4, 0, 4);
    }
    this.writeCommon(0x1c, 1, 2);
  }

  /** Room for `bytes` in guest RAM, filled with `content`. */
  buffer(content: Uint8Array | number): number {
    const bytes = typeof content === 'number' ? new Uint8Array(content) : content;
    if (this.nextBuffer + bytes.length > this.bench.memory.ramBytes) this.nextBuffer = BUFFERS_AT;
    const at = this.nextBuffer;
    this.bench.memory.write(at, bytes);
    this.nextBuffer += Math.ceil((bytes.length + 1) / 16) * 16;
    return at;
  }

  /** Writes descriptor `index` of the table at `table`. */
  putDescriptor(table: number, index: number, { gpa, length }: Descriptor, flags: number, next: number): void {
    const { memory } = this.bench;
    const at = table + index * 16;
    memory.write32(at, gpa % 2 ** 32);
    memory.write32(at + 4, Math.floor(gpa / 2 ** 32));
    memory.write32(at + 8, length);
    memory.write16(at + 12, flags);
    memory.write16(at + 14, next);
  }

  tableOf(queue: number): number {
    return QUEUE_AT + queue * QUEUE_STRIDE;
  }

  /** Chains the descriptors and makes the request available; returns its head. */
  submit(descriptors: readonly Descriptor[], queue = 0): number {
    const places = descriptors.map((_, index) => (this.nextDescriptor + index) % this.size);
    this.nextDescriptor = (this.nextDescriptor + descriptors.length) % this.size;
    descriptors.forEach((descriptor, index) => {
      const more = index + 1 < descriptors.length;
      this.putDescriptor(
        this.tableOf(queue),
        places[index]!,
        descriptor,
        (more ? 1 : 0) | (descriptor.write ? 2 : 0),
        places[index + 1] ?? 0,
      );
    });
    this.makeAvailable(places[0]!, queue);
    return places[0]!;
  }

  makeAvailable(head: number, queue = 0): void {
    const { memory } = this.bench;
    const driver = this.tableOf(queue) + 0x1000;
    memory.write16(driver + 4 + (this.available[queue]! % this.size) * 2, head);
    this.available[queue] = (this.available[queue]! + 1) & 0xffff;
    memory.write16(driver + 2, this.available[queue]!);
  }

  kick(queue = 0): void {
    this.write(NOTIFY_AT + queue * 4, queue, 2);
  }

  /** What the device gave back since the last call. */
  used(queue = 0): { head: number; written: number }[] {
    const { memory } = this.bench;
    const device = this.tableOf(queue) + 0x2000;
    const list: { head: number; written: number }[] = [];
    for (; this.seen[queue] !== memory.read16(device + 2); this.seen[queue] = (this.seen[queue]! + 1) & 0xffff) {
      const at = device + 4 + (this.seen[queue]! % this.size) * 8;
      list.push({ head: memory.read32(at), written: memory.read32(at + 4) });
    }
    return list;
  }
}
