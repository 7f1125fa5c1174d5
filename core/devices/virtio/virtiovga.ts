/**
 * VirtIO display that is a VGA too, as QEMU's virtio-vga: Virtual I/O Device (VIRTIO) version 1.2, section 5.7, without 3D, blobs and contexts. Firmware
 * and boot loaders use the VGA; once a driver has set a scanout the picture is that of its resource, until it resets the device.
 *
 *   BAR 0   linear frame buffer of the VGA, prefetchable
 *   BAR 2   16 KiB: registers of the VGA at 0000h, common configuration at 1000h, interrupt status at 1800h, device configuration at 2000h, notifications
 *           at 3000h
 *   BAR 4   MSI-X tables
 *   ROM     the VGA BIOS
 */
import type { ResetKind } from '../../bus/device.ts';
import { ROM_BAR } from '../../bus/pci/config.ts';
import type { MessageSink } from '../../bus/pci/msi.ts';
import { VIRTIO_DEVICE_BASE, VIRTIO_VENDOR, VirtioPciDevice } from '../../bus/virtio/virtiopci.ts';
import type { Chain, VirtQueue } from '../../bus/virtio/virtqueue.ts';
import type { ScatterList } from '../../bus/scatterlist.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock, Timer } from '../../util/clock.ts';
import { HypervueError } from '../../util/errors.ts';
import type { DisplayAdapter } from '../display/displayadapter.ts';
import { buildEdid, EDID_BYTES } from '../display/edid.ts';
import { PIXEL_BYTES, readPixels, withAlpha } from '../display/gpuformats.ts';
import { CURSOR_SIDE, GPU_DARK, GPU_OFF, GPU_SHOWN, type GpuFields, PublishedGpu } from '../display/gpuregs.ts';
import { GPU_MAX_PIXELS, GPU_MAX_SIDE } from '../display/gpuscreen.ts';
import { romOf } from '../../bus/pci/optionrom.ts';
import { VgaChip, type VgaChipOptions } from '../display/vgachip.ts';
import * as G from './gpuprotocol.ts';
import { type GpuResource, GpuResources, inside, MAX_PIECES } from './gpuresources.ts';

const TYPE_GPU = 16;
const CLASS_VGA = 0x030000;
const CONTROL_QUEUE = 0;
const QUEUES = 2;

/** What the display prefers until somebody asks for another size, and what can be asked for. */
const USUAL_WIDTH = 1280;
const USUAL_HEIGHT = 800;
export const PREFERRED_MIN_WIDTH = 640;
export const PREFERRED_MIN_HEIGHT = 480;
/** An EDID's timing has 12 bits for each. */
export const PREFERRED_MAX_WIDTH = 3840;
export const PREFERRED_MAX_HEIGHT = 2160;

/** Requests and how long each is at least. */
const requestLengths = new Map([
  [G.CMD_GET_DISPLAY_INFO, 24],
  [G.CMD_RESOURCE_CREATE_2D, 40],
  [G.CMD_RESOURCE_UNREF, 32],
  [G.CMD_SET_SCANOUT, 48],
  [G.CMD_RESOURCE_FLUSH, 48],
  [G.CMD_TRANSFER_TO_HOST_2D, 56],
  [G.CMD_RESOURCE_ATTACH_BACKING, 32],
  [G.CMD_RESOURCE_DETACH_BACKING, 32],
  [G.CMD_GET_EDID, 32],
]);
const ATTACH_BYTES = 32;

/** Bytes of pictures that are moved at a time before the guest runs on, and how long it does then, nanoseconds. */
const TURN_BYTES = 64 << 20;
const TURN_NS = 100_000;
/** What any request counts as. */
const REQUEST_COST = 4096;

export interface VirtioVgaOptions extends VgaChipOptions {
  guestMemory: GuestMemory;
  message: MessageSink;
  /** Where in the shared memory the guest's pictures are kept, and how much there is for them, bytes; whole pages. */
  pictures: { base: number; size: number };
}

type Cursor = { shown: boolean; x: number; y: number; width: number; height: number };

export class VirtioVga extends VirtioPciDevice implements DisplayAdapter {
  private readonly chip: VgaChip;
  private readonly resources: GpuResources;
  private readonly published: PublishedGpu;
  private readonly clock: Clock;
  private readonly timer: Timer;
  private preferredWidth = USUAL_WIDTH;
  private preferredHeight = USUAL_HEIGHT;
  /** Resource of the scanout, 0 for none, and the part of it that is shown. */
  private scanout = 0;
  private part: G.GpuRect = { x: 0, y: 0, width: 0, height: 0 };
  /** A scanout was set since the driver began. */
  private driven = false;
  private cursor: Cursor = noCursor();
  private readonly cursorPixels = new Uint32Array(CURSOR_SIDE * CURSOR_SIDE);
  private cursorSerial = 0;
  private epoch = 0;
  /** Bytes moved in this turn. */
  private moved = 0;

  constructor(options: VirtioVgaOptions) {
    const chip = new VgaChip({ ...options, rom: romOf(options.rom, VIRTIO_VENDOR, VIRTIO_DEVICE_BASE + TYPE_GPU) });
    super(
      { id: options.id, mmio: options.mmio, memory: options.guestMemory, message: options.message, log: options.log },
      {
        type: TYPE_GPU,
        classCode: CLASS_VGA,
        queues: QUEUES,
        features: [G.F_EDID],
        configBytes: G.CONFIG_BYTES,
        layout: { msixBar: 4, windowBar: 2, common: 0x1000, isr: 0x1800, own: chip.registers },
      },
    );
    this.chip = chip;
    this.addBar(0, chip.frameBuffer);
    this.addBar(ROM_BAR, chip.rom);
    this.resources = new GpuResources(options.guestMemory, options.pictures.base, options.pictures.size);
    this.published = new PublishedGpu(options.memory);
    this.clock = options.clock;
    this.timer = options.clock.createTimer(() => {
      for (const queue of this.queues) this.notified(queue);
    });
    new DataView(this.deviceConfig.buffer).setUint32(G.CONFIG_SCANOUTS, 1, true);
    this.publish();
  }

  /** The size is brought within what is possible. The driver hears of it now, or finds it when it begins. */
  prefer(width: number, height: number): void {
    const wide = Math.max(PREFERRED_MIN_WIDTH, Math.min(PREFERRED_MAX_WIDTH, Math.floor(width)));
    const high = Math.max(PREFERRED_MIN_HEIGHT, Math.min(PREFERRED_MAX_HEIGHT, Math.floor(height)));
    if (wide === this.preferredWidth && high === this.preferredHeight) return;
    this.preferredWidth = wide;
    this.preferredHeight = high;
    this.deviceConfig[G.CONFIG_EVENTS_READ]! |= G.EVENT_DISPLAY;
    this.configChanged();
  }

  override reset(kind: ResetKind): void {
    super.reset(kind);
    this.chip.reset(kind);
    // A machine that starts again shows itself to the same viewers.
    if (kind !== 'power') return;
    this.preferredWidth = USUAL_WIDTH;
    this.preferredHeight = USUAL_HEIGHT;
  }

  override save(): DeviceState {
    return { ...this.saveRegisters(), vram: this.chip.saveMemory(), pixels: this.resources.savePixels() };
  }

  saveRegisters(): DeviceState {
    const { scanout, part, driven, cursor, preferredWidth, preferredHeight } = this;
    return {
      ...super.save(),
      vga: this.chip.saveRegisters(),
      events: this.deviceConfig[G.CONFIG_EVENTS_READ]!,
      preferredWidth,
      preferredHeight,
      resources: this.resources.save(),
      scanout,
      part: { ...part },
      driven,
      cursor: { ...cursor },
      cursorPixels: new Uint8Array(this.cursorPixels.slice().buffer),
      more: this.timer.deadline !== undefined,
    };
  }

  override restore(state: DeviceState): void {
    const vram = StateReader.open(state, this.id, 1).bytes('vram', this.chip.memoryBytes);
    this.chip.restoreMemory(vram);
    this.restoreRegisters(state);
    const pixels = Array.isArray(state.pixels) ? state.pixels.filter((item) => item instanceof Uint8Array) : [];
    if (pixels.length !== this.resources.count)
      throw new HypervueError('corrupt', `saved state of ${this.id} has no usable field 'pixels'`, { object: this.id });
    this.resources.restorePixels(pixels);
  }

  restoreRegisters(state: DeviceState): void {
    super.restore(state);
    const reader = StateReader.open(state, this.id, 1);
    this.chip.restoreRegisters(reader.object('vga'));
    this.deviceConfig[G.CONFIG_EVENTS_READ] = reader.byte('events') & G.EVENT_DISPLAY;
    this.preferredWidth = reader.number('preferredWidth', PREFERRED_MIN_WIDTH, PREFERRED_MAX_WIDTH);
    this.preferredHeight = reader.number('preferredHeight', PREFERRED_MIN_HEIGHT, PREFERRED_MAX_HEIGHT);
    const saved = Array.isArray(state.resources) ? state.resources : [];
    this.resources.restore(
      reader.objects('resources', saved.length),
      saved.map((item) => (item as { [key: string]: StateValue }).backing ?? null),
    );
    this.scanout = reader.number('scanout', 0, 0xffffffff);
    this.part = readSavedRect(reader.object('part'));
    this.driven = reader.boolean('driven');
    const resource = this.resources.get(this.scanout);
    if (this.scanout !== 0 && !(resource && showable(this.part, resource)))
      throw new HypervueError('corrupt', `saved state of ${this.id} shows a picture that it does not have`, { object: this.id });
    const cursor = reader.object('cursor');
    this.cursor = {
      shown: cursor.boolean('shown'),
      x: cursor.number('x', -(2 ** 31), 2 ** 31) | 0,
      y: cursor.number('y', -(2 ** 31), 2 ** 31) | 0,
      width: cursor.number('width', 0, CURSOR_SIDE),
      height: cursor.number('height', 0, CURSOR_SIDE),
    };
    const pixels = reader.bytes('cursorPixels', this.cursorPixels.byteLength);
    new Uint8Array(this.cursorPixels.buffer).set(pixels);
    this.timer.disarm();
    if (reader.boolean('more')) this.goOnLater();
    this.cursorSerial++;
    this.epoch++;
    this.publish();
  }

  protected driverReset(): void {
    this.timer.disarm();
    this.resources.clear();
    this.scanout = 0;
    this.part = { x: 0, y: 0, width: 0, height: 0 };
    this.driven = false;
    this.cursor = noCursor();
    this.cursorPixels.fill(0);
    this.cursorSerial++;
    this.deviceConfig[G.CONFIG_EVENTS_READ] = 0;
    this.publish();
  }

  protected override configurationWritten(offset: number, value: number, size: number): void {
    if (offset === G.CONFIG_EVENTS_CLEAR && size === 4) this.deviceConfig[G.CONFIG_EVENTS_READ]! &= ~value;
  }

  protected queueNotified(queue: VirtQueue): void {
    if (this.timer.deadline !== undefined) return;
    this.moved = 0;
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      const written = queue === this.queues[CONTROL_QUEUE] ? this.control(chain) : this.cursorRequest(chain);
      queue.push(chain.head, written);
      // What else there is waits, so that the guest's processor and the machine's owner get their turns.
      if (this.moved < TURN_BYTES) continue;
      this.goOnLater();
      break;
    }
    this.interruptQueue(queue);
    if (this.timer.deadline === undefined) queue.askForNotification();
  }

  private goOnLater(): void {
    this.timer.arm(this.clock.now() + TURN_NS);
  }

  /** Does a request and writes its answer; returns how long that is. */
  private control({ readable, writable }: Chain): number {
    const bytes = new Uint8Array(G.REQUEST_BYTES);
    const have = readable.take(0, bytes);
    const request = new DataView(bytes.buffer);
    const type = request.getUint32(0, true);
    this.moved += REQUEST_COST;
    const known = requestLengths.get(type);
    const result = known === undefined || have < known ? G.ERR_UNSPEC : this.carryOut(type, request, readable);
    if (typeof result === 'number' && result >= G.ERR_UNSPEC)
      this.log.guest(`display request ${type.toString(16)} is answered with error ${result.toString(16)}`);
    const answer = typeof result === 'number' ? new Uint8Array(G.HEADER_BYTES) : result;
    const view = new DataView(answer.buffer);
    if (typeof result === 'number') view.setUint32(0, result, true);
    if (request.getUint32(4, true) & G.FLAG_FENCE) {
      // Fence, context and ring are as in the request; what it asked for is done.
      view.setUint32(4, G.FLAG_FENCE, true);
      answer.set(bytes.subarray(8, G.HEADER_BYTES), 8);
    }
    return writable.put(0, answer);
  }

  /** The whole answer, or its type when there is nothing else to it. */
  private carryOut(type: number, request: DataView, readable: ScatterList): number | Uint8Array<ArrayBuffer> {
    const word = (at: number) => request.getUint32(at, true);
    const { resources } = this;
    switch (type) {
      case G.CMD_GET_DISPLAY_INFO:
        return this.displayInfo();
      case G.CMD_GET_EDID:
        return word(24) === 0 ? this.edid() : G.ERR_INVALID_PARAMETER;
      case G.CMD_RESOURCE_CREATE_2D: {
        const result = resources.create(word(24), word(28), word(32), word(36));
        if (result === G.OK_NODATA) this.moved += resources.get(word(24))!.bytes;
        return result;
      }
      case G.CMD_RESOURCE_UNREF:
        if (word(24) !== 0 && word(24) === this.scanout) this.show(0, this.part);
        return resources.remove(word(24));
      case G.CMD_SET_SCANOUT:
        return this.setScanout(word(40), word(44), G.readRect(request, 24));
      case G.CMD_RESOURCE_FLUSH: {
        // What was transferred is seen already.
        const resource = resources.get(word(40));
        if (!resource) return G.ERR_INVALID_RESOURCE_ID;
        return inside(G.readRect(request, 24), resource) ? G.OK_NODATA : G.ERR_INVALID_PARAMETER;
      }
      case G.CMD_TRANSFER_TO_HOST_2D: {
        const rect = G.readRect(request, 24);
        const result = resources.transfer(word(48), rect, word(40) + word(44) * 2 ** 32);
        if (result === G.OK_NODATA) this.moved += rect.width * rect.height * PIXEL_BYTES;
        return result;
      }
      case G.CMD_RESOURCE_ATTACH_BACKING:
        return this.attachBacking(word(24), word(28), readable);
      default:
        return resources.detach(word(24));
    }
  }

  private setScanout(scanout: number, id: number, part: G.GpuRect): number {
    if (scanout !== 0) return G.ERR_INVALID_SCANOUT_ID;
    if (id === 0) {
      this.show(0, this.part);
      return G.OK_NODATA;
    }
    const resource = this.resources.get(id);
    if (!resource) return G.ERR_INVALID_RESOURCE_ID;
    if (!showable(part, resource)) return G.ERR_INVALID_PARAMETER;
    this.driven = true;
    this.show(id, part);
    return G.OK_NODATA;
  }

  private attachBacking(id: number, count: number, readable: ScatterList): number {
    if (count > MAX_PIECES || readable.bytes < ATTACH_BYTES + count * G.BACKING_ENTRY_BYTES) return G.ERR_INVALID_PARAMETER;
    const entries = new DataView(new ArrayBuffer(count * G.BACKING_ENTRY_BYTES));
    readable.take(ATTACH_BYTES, new Uint8Array(entries.buffer));
    this.moved += entries.byteLength;
    const pairs = Array.from({ length: count }, (_, index) => {
      const word = (at: number) => entries.getUint32(index * G.BACKING_ENTRY_BYTES + at, true);
      return [word(0) + word(4) * 2 ** 32, word(8)] as const;
    });
    return this.resources.attach(id, pairs);
  }

  private displayInfo(): Uint8Array<ArrayBuffer> {
    const answer = new DataView(new ArrayBuffer(G.DISPLAY_INFO_BYTES));
    answer.setUint32(0, G.OK_DISPLAY_INFO, true);
    answer.setUint32(G.HEADER_BYTES + 8, this.preferredWidth, true);
    answer.setUint32(G.HEADER_BYTES + 12, this.preferredHeight, true);
    answer.setUint32(G.HEADER_BYTES + 16, 1, true);
    return new Uint8Array(answer.buffer);
  }

  private edid(): Uint8Array<ArrayBuffer> {
    const answer = new Uint8Array(G.EDID_ANSWER_BYTES);
    const view = new DataView(answer.buffer);
    view.setUint32(0, G.OK_EDID, true);
    view.setUint32(G.HEADER_BYTES, EDID_BYTES, true);
    answer.set(buildEdid(this.preferredWidth, this.preferredHeight), G.HEADER_BYTES + 8);
    return answer;
  }

  /** Requests of the cursor queue have no answer (section 5.7.6.10). */
  private cursorRequest({ readable }: Chain): number {
    const bytes = new Uint8Array(G.REQUEST_BYTES);
    const have = readable.take(0, bytes);
    const request = new DataView(bytes.buffer);
    const word = (at: number) => request.getUint32(at, true);
    const type = word(0);
    this.moved += REQUEST_COST;
    if (have < G.REQUEST_BYTES || (type !== G.CMD_UPDATE_CURSOR && type !== G.CMD_MOVE_CURSOR) || word(24) !== 0) {
      this.log.guest(`cursor request ${type.toString(16)} of ${have} bytes can't be`);
      return 0;
    }
    // The place is that of the top left corner: drivers have taken the hot spot off, which matters to who moves a pointer of the host's.
    this.cursor.x = word(28) | 0;
    this.cursor.y = word(32) | 0;
    if (type === G.CMD_UPDATE_CURSOR) this.takeCursor(this.resources.get(word(40)));
    this.publish();
    return 0;
  }

  /** The cursor's shape is what the resource holds now. */
  private takeCursor(resource: GpuResource | undefined): void {
    const { cursor, cursorPixels } = this;
    cursor.shown = resource !== undefined;
    cursor.width = Math.min(CURSOR_SIDE, resource?.width ?? 0);
    cursor.height = Math.min(CURSOR_SIDE, resource?.height ?? 0);
    cursorPixels.fill(0);
    if (resource) {
      // Linux' driver makes every picture of a format without alpha, and means it in those for the cursor.
      const format = withAlpha(resource.format);
      const words = new Uint32Array(this.memory.memory.buffer, resource.at, resource.width * resource.height);
      for (let y = 0; y < cursor.height; y++)
        readPixels(format, words, y * resource.width, cursorPixels.subarray(y * cursor.width, (y + 1) * cursor.width));
    }
    this.cursorSerial++;
  }

  /** `id` 0: nothing, at the size that it has. */
  private show(id: number, part: G.GpuRect): void {
    this.scanout = id;
    this.part = part;
    this.publish();
  }

  private publish(): void {
    const { part, cursor } = this;
    const resource = this.resources.get(this.scanout);
    const fields: GpuFields = {
      state: resource ? GPU_SHOWN : this.driven ? GPU_DARK : GPU_OFF,
      driven: this.driven ? 1 : 0,
      width: part.width,
      height: part.height,
      start: resource ? resource.at + (part.y * resource.width + part.x) * PIXEL_BYTES : 0,
      pitch: resource ? resource.width * PIXEL_BYTES : 0,
      format: resource?.format ?? 0,
      epoch: this.epoch,
      cursorShown: cursor.shown ? 1 : 0,
      cursorX: cursor.x,
      cursorY: cursor.y,
      cursorWidth: cursor.width,
      cursorHeight: cursor.height,
      cursorSerial: this.cursorSerial,
    };
    this.published.publish(fields, this.cursorPixels);
  }
}

function noCursor(): Cursor {
  return { shown: false, x: 0, y: 0, width: 0, height: 0 };
}

function showable(part: G.GpuRect, resource: GpuResource): boolean {
  const fits = part.width <= GPU_MAX_SIDE && part.height <= GPU_MAX_SIDE && part.width * part.height <= GPU_MAX_PIXELS;
  return fits && inside(part, resource);
}

function readSavedRect(reader: StateReader): G.GpuRect {
  const side = (key: string) => Math.floor(reader.number(key, 0, 2 ** 14));
  return { x: side('x'), y: side('y'), width: side('width'), height: side('height') };
}
