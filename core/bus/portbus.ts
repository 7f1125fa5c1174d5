import { HypervueError } from '../util/errors.ts';

export type AccessSize = 1 | 2 | 4;

/**
 * A device's window on the I/O port space. `offset` counts from the first port of the range. Values are unsigned. A handler sees only
 * sizes it declared; a wider access is split into the widest declared ones, little end first.
 */
export interface PortHandler {
  read(offset: number, size: AccessSize): number;
  write(offset: number, value: number, size: AccessSize): void;
  /**
   * As many accesses of `size` bytes at `offset` as have no effect but that on the data, none beyond the end of `into`: gives their number. The access
   * that ends a block, raises an interrupt or starts something is left to `read`. Absent: none.
   */
  readMany?(offset: number, size: AccessSize, into: Uint8Array): number;
  /** The same for `write`. */
  writeMany?(offset: number, size: AccessSize, from: Uint8Array): number;
}

export interface PortRange {
  /** Device id, for messages. */
  owner: string;
  base: number;
  length: number;
  /** Largest access the device takes in one go; default 1. */
  maxSize?: AccessSize;
  handler: PortHandler;
}

/** The 64 Ki I/O ports. Unmapped reads give all ones, unmapped writes vanish. */
export class PortBus {
  private readonly ranges: (PortRange | undefined)[] = new Array(0x10000);

  /** Rejects overlap with 'already-exists', a range outside 0..0xffff with 'invalid-argument'. */
  register(range: PortRange): void {
    if (range.base < 0 || range.length < 1 || range.base + range.length > 0x10000)
      throw new HypervueError('invalid-argument', `port range of ${range.owner} is outside the port space`, {
        object: range.owner,
        base: range.base,
      });
    for (let port = range.base; port < range.base + range.length; port++) {
      const other = this.ranges[port];
      if (other)
        throw new HypervueError('already-exists', `ports of ${range.owner} and ${other.owner} overlap at 0x${port.toString(16)}`, {
          object: range.owner,
        });
    }
    for (let port = range.base; port < range.base + range.length; port++) this.ranges[port] = range;
  }

  unregister(range: PortRange): void {
    for (let port = range.base; port < range.base + range.length; port++) if (this.ranges[port] === range) this.ranges[port] = undefined;
  }

  read(port: number, size: AccessSize): number {
    const range = this.ranges[port & 0xffff];
    if (range) {
      const offset = (port & 0xffff) - range.base;
      if (size <= (range.maxSize ?? 1) && offset + size <= range.length) return range.handler.read(offset, size) >>> 0;
    }
    const half = (size >> 1) as AccessSize;
    if (half < 1) return 0xff;
    const low = this.read(port, half);
    const high = this.read(port + half, half);
    return (low | (high << (half * 8))) >>> 0;
  }

  write(port: number, value: number, size: AccessSize): void {
    const range = this.ranges[port & 0xffff];
    if (!range && size === 1) return;
    if (range) {
      const offset = (port & 0xffff) - range.base;
      if (size <= (range.maxSize ?? 1) && offset + size <= range.length) {
        range.handler.write(offset, (size === 4 ? value : value & ((1 << (size * 8)) - 1)) >>> 0, size);
        return;
      }
    }
    const half = (size >> 1) as AccessSize;
    if (half < 1) return;
    this.write(port, value, half);
    this.write(port + half, value >>> (half * 8), half);
  }

  /** PortHandler.readMany; 0 where nobody has it. */
  readMany(port: number, size: AccessSize, into: Uint8Array): number {
    const range = this.inOneGo(port, size);
    return range?.handler.readMany?.((port & 0xffff) - range.base, size, into) ?? 0;
  }

  /** PortHandler.writeMany; 0 where nobody has it. */
  writeMany(port: number, size: AccessSize, from: Uint8Array): number {
    const range = this.inOneGo(port, size);
    return range?.handler.writeMany?.((port & 0xffff) - range.base, size, from) ?? 0;
  }

  /** The range at `port` when it takes an access of `size` bytes undivided. */
  private inOneGo(port: number, size: AccessSize): PortRange | undefined {
    const range = this.ranges[port & 0xffff];
    if (!range || size > (range.maxSize ?? 1) || (port & 0xffff) - range.base + size > range.length) return undefined;
    return range;
  }
}
