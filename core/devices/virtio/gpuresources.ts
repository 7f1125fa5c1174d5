import type { GuestMemory } from '../../memory/guestmemory.ts';
import { DIRTY_MAP_BASE } from '../../memory/layout.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import { HypervueError } from '../../util/errors.ts';
import { knownFormat, PIXEL_BYTES } from '../display/gpuformats.ts';
import { GpuBacking } from './gpubacking.ts';
import * as G from './gpuprotocol.ts';

const PAGE = 4096;
/** Resources of a guest, and pieces of memory that one and all are filled from. */
const MAX_RESOURCES = 4096;
export const MAX_PIECES = 16_384;
const MAX_ALL_PIECES = 1 << 18;
const MAX_SIDE = 16_384;

export interface GpuResource {
  readonly id: number;
  readonly format: number;
  readonly width: number;
  readonly height: number;
  /** Byte offset of its first pixel in the shared memory, a multiple of a page; lines follow each other without gaps. */
  readonly at: number;
  readonly bytes: number;
  backing: GpuBacking | undefined;
}

/** The pictures that a guest gave to its display, in memory of the host. Every number that comes in is the guest's; answers are numbers of section 5.7.6.7. */
export class GpuResources {
  private readonly memory: GuestMemory;
  private readonly base: number;
  private readonly size: number;
  private readonly bytes: Uint8Array;
  private readonly dirty: Uint8Array;
  private readonly byId = new Map<number, GpuResource>();
  /** By place. */
  private placed: GpuResource[] = [];
  private pieces = 0;

  /** `base` and `size`: their place in the shared memory, bytes. */
  constructor(memory: GuestMemory, base: number, size: number) {
    this.memory = memory;
    this.base = base;
    this.size = size;
    this.bytes = new Uint8Array(memory.memory.buffer);
    this.dirty = new Uint8Array(memory.memory.buffer, DIRTY_MAP_BASE, Math.ceil(memory.memory.buffer.byteLength / PAGE));
  }

  get count(): number {
    return this.placed.length;
  }

  get(id: number): GpuResource | undefined {
    return this.byId.get(id);
  }

  create(id: number, format: number, width: number, height: number): number {
    if (id === 0 || this.byId.has(id)) return G.ERR_INVALID_RESOURCE_ID;
    if (!knownFormat(format) || width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) return G.ERR_INVALID_PARAMETER;
    const bytes = width * height * PIXEL_BYTES;
    const place = this.byId.size < MAX_RESOURCES ? this.findPlace(bytes) : undefined;
    if (!place) return G.ERR_OUT_OF_MEMORY;
    const resource: GpuResource = { id, format, width, height, at: place.at, bytes, backing: undefined };
    this.byId.set(id, resource);
    this.placed.splice(place.index, 0, resource);
    this.bytes.fill(0, resource.at, resource.at + bytes);
    this.touch(resource.at, bytes);
    return G.OK_NODATA;
  }

  remove(id: number): number {
    const resource = this.byId.get(id);
    if (!resource) return G.ERR_INVALID_RESOURCE_ID;
    this.pieces -= resource.backing?.pieces ?? 0;
    this.byId.delete(id);
    this.placed.splice(this.placed.indexOf(resource), 1);
    return G.OK_NODATA;
  }

  clear(): void {
    this.byId.clear();
    this.placed = [];
    this.pieces = 0;
  }

  attach(id: number, pairs: Iterable<readonly [address: number, length: number]>): number {
    const resource = this.byId.get(id);
    if (!resource) return G.ERR_INVALID_RESOURCE_ID;
    if (resource.backing) return G.ERR_UNSPEC;
    const backing = new GpuBacking(this.memory, pairs);
    if (this.pieces + backing.pieces > MAX_ALL_PIECES) return G.ERR_OUT_OF_MEMORY;
    this.pieces += backing.pieces;
    resource.backing = backing;
    return G.OK_NODATA;
  }

  detach(id: number): number {
    const resource = this.byId.get(id);
    if (!resource) return G.ERR_INVALID_RESOURCE_ID;
    if (!resource.backing) return G.ERR_UNSPEC;
    this.pieces -= resource.backing.pieces;
    resource.backing = undefined;
    return G.OK_NODATA;
  }

  /** Fills a rectangle from the memory behind the resource; `offset` is where its first pixel is there, lines lie as far apart as in the resource. */
  transfer(id: number, rect: G.GpuRect, offset: number): number {
    const resource = this.byId.get(id);
    if (!resource) return G.ERR_INVALID_RESOURCE_ID;
    const { backing } = resource;
    if (!backing) return G.ERR_UNSPEC;
    if (!inside(rect, resource)) return G.ERR_INVALID_PARAMETER;
    const pitch = resource.width * PIXEL_BYTES;
    const row = rect.width * PIXEL_BYTES;
    const first = resource.at + rect.y * pitch + rect.x * PIXEL_BYTES;
    if (row === pitch) backing.read(offset, this.bytes.subarray(first, first + rect.height * pitch));
    else
      for (let y = 0; y < rect.height; y++)
        backing.read(offset + y * pitch, this.bytes.subarray(first + y * pitch, first + y * pitch + row));
    this.touch(first, (rect.height - 1) * pitch + row);
    return G.OK_NODATA;
  }

  /** All but the pixels. */
  save(): StateValue[] {
    return this.placed.map(({ id, format, width, height, at, backing }) => ({
      id,
      format,
      width,
      height,
      at: at - this.base,
      backing: backing ? backing.save() : null,
    }));
  }

  /** Those of each in the order of `save`. */
  savePixels(): Uint8Array[] {
    return this.placed.map(({ at, bytes }) => this.bytes.slice(at, at + bytes));
  }

  /** What `save` gave, opened; pixels are there already, or come with `restorePixels`. Throws 'corrupt'. */
  restore(saved: readonly StateReader[], backings: readonly StateValue[]): void {
    this.clear();
    let end = 0;
    saved.forEach((reader, index) => {
      const id = reader.number('id', 1, 0xffffffff);
      const format = reader.number('format', 1, 255);
      const width = reader.number('width', 1, MAX_SIDE);
      const height = reader.number('height', 1, MAX_SIDE);
      const at = reader.number('at', end, this.size);
      const bytes = width * height * PIXEL_BYTES;
      const backing = backings[index] === null ? undefined : GpuBacking.restore(this.memory, backings[index]!);
      const whole = [id, format, width, height, at].every((value) => Number.isInteger(value));
      if (
        !whole ||
        !knownFormat(format) ||
        at % PAGE ||
        at + bytes > this.size ||
        this.byId.has(id) ||
        (backings[index] !== null && !backing)
      )
        throw new HypervueError('corrupt', `saved state of a display has an impossible picture ${id}`);
      end = at + bytes;
      const resource = { id, format, width, height, at: this.base + at, bytes, backing };
      this.byId.set(id, resource);
      this.placed.push(resource);
      this.pieces += backing?.pieces ?? 0;
    });
  }

  restorePixels(pixels: readonly Uint8Array[]): void {
    this.placed.forEach(({ at, bytes }, index) => {
      this.bytes.set(pixels[index]!.subarray(0, bytes), at);
      this.touch(at, bytes);
    });
  }

  private touch(at: number, bytes: number): void {
    this.dirty.fill(0xff, Math.floor(at / PAGE), Math.ceil((at + bytes) / PAGE));
  }

  /** The first gap that is large enough. */
  private findPlace(bytes: number): { at: number; index: number } | undefined {
    let at = this.base;
    for (let index = 0; index <= this.placed.length; index++) {
      const next = this.placed[index];
      if (at + bytes <= (next?.at ?? this.base + this.size)) return { at, index };
      if (next) at = next.at + Math.ceil(next.bytes / PAGE) * PAGE;
    }
    return undefined;
  }
}

export function inside({ x, y, width, height }: G.GpuRect, picture: { width: number; height: number }): boolean {
  return width >= 1 && height >= 1 && x + width <= picture.width && y + height <= picture.height;
}
