import * as G from '../virtio/gpuprotocol.ts';
import { VirtioVga } from '../virtio/virtiovga.ts';
import { BENCH_PICTURES, type Bench } from './bench.ts';
import { VirtioDriver } from './virtiodriver.ts';

const WINDOW_BASE = 0xfe01_0000;
const ANSWER_BYTES = 1100;

/** A VirtIO display on a bench; `message` gets the data of its interrupts. */
export const createVirtioVga = (bench: Bench, message: (data: number) => void = () => {}): VirtioVga =>
  new VirtioVga({
    id: 'vga',
    ports: bench.ports,
    mmio: bench.mmio,
    physMap: bench.memory.physMap,
    memory: bench.memory.memory,
    guestMemory: bench.memory,
    message: (_, data) => message(data),
    vramBytes: 0x40000,
    rom: Uint8Array.of(0x55, 0xaa, 1),
    pictures: BENCH_PICTURES,
    clock: bench.clock,
    log: bench.log,
  });

/** What a guest's driver of a VirtIO display does. */
export class GpuDriver {
  readonly virtio: VirtioDriver;
  readonly bench: Bench;

  constructor(device: VirtioVga, bench: Bench) {
    this.bench = bench;
    this.virtio = new VirtioDriver(device, bench, { msixBar: 4, windowBar: 2, common: 0x1000 });
    device.writeConfig(0x10, 0xfd000000, 4);
  }

  start(features: readonly number[] = [G.F_EDID]): void {
    this.virtio.start(features, 2);
  }

  /** Sends a control request (a header of `type`, then words, then `more`) and gives the answer. */
  request(type: number, words: readonly number[] = [], more = new Uint8Array(0), flags = 0, fence = 0): DataView {
    const bytes = new Uint8Array(G.HEADER_BYTES + words.length * 4 + more.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, flags, true);
    view.setUint32(8, fence, true);
    words.forEach((word, index) => {
      view.setUint32(G.HEADER_BYTES + index * 4, word >>> 0, true);
    });
    bytes.set(more, G.HEADER_BYTES + words.length * 4);
    const answer = this.virtio.buffer(ANSWER_BYTES);
    this.virtio.submit([
      { gpa: this.virtio.buffer(bytes), length: bytes.length },
      { gpa: answer, length: ANSWER_BYTES, write: true },
    ]);
    this.virtio.kick();
    const used = this.virtio.used();
    const got = new Uint8Array(used[0]?.written ?? 0);
    this.bench.memory.read(answer, got);
    return new DataView(got.buffer);
  }

  /** As `request`, of the answer only its type. */
  ask(type: number, words: readonly number[], more?: Uint8Array<ArrayBuffer>): number {
    return this.request(type, words, more).getUint32(0, true);
  }

  create(id: number, format: number, width: number, height: number): number {
    return this.ask(G.CMD_RESOURCE_CREATE_2D, [id, format, width, height]);
  }

  /** Puts `pieces` into guest memory and attaches them. */
  attach(id: number, pieces: readonly Uint8Array<ArrayBuffer>[]): number {
    return this.attachAt(
      id,
      pieces.map((piece) => [this.virtio.buffer(piece), piece.length]),
    );
  }

  attachAt(id: number, places: readonly (readonly [address: number, length: number])[]): number {
    const entries = new Uint8Array(places.length * G.BACKING_ENTRY_BYTES);
    const view = new DataView(entries.buffer);
    places.forEach(([address, length], index) => {
      view.setUint32(index * 16, address % 2 ** 32, true);
      view.setUint32(index * 16 + 4, Math.floor(address / 2 ** 32), true);
      view.setUint32(index * 16 + 8, length, true);
    });
    return this.ask(G.CMD_RESOURCE_ATTACH_BACKING, [id, places.length], entries);
  }

  transfer(id: number, { x, y, width, height }: G.GpuRect, offset: number): number {
    return this.ask(G.CMD_TRANSFER_TO_HOST_2D, [x, y, width, height, offset, Math.floor(offset / 2 ** 32), id, 0]);
  }

  setScanout(id: number, { x, y, width, height }: G.GpuRect, scanout = 0): number {
    return this.ask(G.CMD_SET_SCANOUT, [x, y, width, height, scanout, id]);
  }

  flush(id: number, { x, y, width, height }: G.GpuRect): number {
    return this.ask(G.CMD_RESOURCE_FLUSH, [x, y, width, height, id, 0]);
  }

  /** Makes the picture of a resource the cursor; 0 hides it. */
  cursor(id: number, x: number, y: number): void {
    this.cursorRequest(G.CMD_UPDATE_CURSOR, id, x, y);
  }

  moveCursor(x: number, y: number): void {
    this.cursorRequest(G.CMD_MOVE_CURSOR, 0, x, y);
  }

  /** Width and height that the display prefers. */
  preferred(): [width: number, height: number] {
    const info = this.request(G.CMD_GET_DISPLAY_INFO);
    return [info.getUint32(G.HEADER_BYTES + 8, true), info.getUint32(G.HEADER_BYTES + 12, true)];
  }

  interruptStatus(): number {
    return this.bench.mmio.read(WINDOW_BASE + 0x1800, 1);
  }

  private cursorRequest(type: number, id: number, x: number, y: number): void {
    const bytes = new Uint8Array(G.REQUEST_BYTES);
    const view = new DataView(bytes.buffer);
    [type, 0, 0, 0, 0, 0, 0, x, y, 0, id].forEach((word, index) => {
      view.setUint32(index * 4, word >>> 0, true);
    });
    this.virtio.submit([{ gpa: this.virtio.buffer(bytes), length: bytes.length }], 1);
    this.virtio.kick(1);
    this.virtio.used(1);
  }
}
