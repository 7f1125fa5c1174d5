/** Reads guest bytes wherever they are. */
import type { Extent } from '../extent.ts';
import { corrupt } from './errors.ts';
import type { Layers } from './layers.ts';
import type { Mapping } from './mapping.ts';
import type { Metadata } from './metadata.ts';
import { say } from '../../util/say.ts';

export class Reader {
  private readonly meta: Metadata;
  private readonly layers: Layers;
  private readonly mapping: Mapping;
  /** The compressed cluster that was unpacked last: guests read on where they stopped. */
  private unpacked: { offset: number; host: number; bytes: Uint8Array } | undefined;

  constructor(meta: Metadata, layers: Layers, mapping: Mapping) {
    this.meta = meta;
    this.layers = layers;
    this.mapping = mapping;
  }

  /** Fills `target` from guest offset `offset`. Within an operation that the I/O counter knows. */
  async read(offset: number, target: Uint8Array): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let done = 0; done < target.length; ) {
      let extent: Extent;
      try {
        extent = await this.mapping.extent(offset + done, target.length - done);
      } catch (error) {
        await Promise.allSettled(parts);
        throw error;
      }
      const part = this.readExtent(extent, target.subarray(done, done + extent.length));
      if (part) parts.push(part);
      done += extent.length;
    }
    if (parts.length === 1) return parts[0];
    // All of them first: a buffer must not be written to after the answer.
    const failed = (await Promise.allSettled(parts)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  private readExtent(extent: Extent, target: Uint8Array): Promise<void> | undefined {
    switch (extent.kind) {
      case 'zero':
        target.fill(0);
        return undefined;
      case 'data':
        return this.layers.readData(extent.host!, target, extent.offset);
      case 'backing':
        return this.layers.readBacking(extent.offset, target);
      case 'compressed':
        return this.readCompressed(extent.offset, target);
    }
  }

  private async readCompressed(offset: number, target: Uint8Array): Promise<void> {
    const { clusterSize, header } = this.meta;
    const start = offset - (offset % clusterSize);
    const place = await this.mapping.compressed(start);
    let bytes = this.unpacked?.offset === start && this.unpacked.host === place.host ? this.unpacked.bytes : undefined;
    if (!bytes) {
      const packed = new Uint8Array(place.length);
      const got = await this.layers.data.read(place.host, packed);
      try {
        const source = packed.subarray(0, got);
        bytes = await (header.compression === 'zstd'
          ? this.layers.codec.unzstd(source, clusterSize)
          : this.layers.codec.inflateRaw(source, clusterSize));
      } catch (error) {
        throw corrupt(this.meta.file.path, say('damageClusterUnpack', { offset: start, problem: String(error) }));
      }
      if (bytes.length < clusterSize) throw corrupt(this.meta.file.path, say('damageClusterShort', { offset: start, size: bytes.length }));
      this.unpacked = { offset: start, host: place.host, bytes };
    }
    target.set(bytes.subarray(offset - start, offset - start + target.length));
  }

  /** Compressed places may be used for something else from now on. */
  forgetUnpacked(): void {
    this.unpacked = undefined;
  }
}
