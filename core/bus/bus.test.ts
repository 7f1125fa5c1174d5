import { beforeEach, describe, expect, it } from 'vitest';
import { SharedLine, Wire } from './irq.ts';
import { MmioBus } from './mmiobus.ts';
import { type AccessSize, PortBus } from './portbus.ts';

let seen: string[];

beforeEach(() => {
  seen = [];
});

/** Notes every access; a read gives the bytes offset, offset + 1, ... */
function recorder(name: string) {
  return {
    read: (offset: number, size: AccessSize) => {
      seen.push(`${name} r${size} ${offset}`);
      let value = 0;
      for (let i = 0; i < size; i++) value |= (offset + i) << (8 * i);
      return value;
    },
    write: (offset: number, value: number, size: AccessSize) => void seen.push(`${name} w${size} ${offset} ${value.toString(16)}`),
  };
}

describe('port bus', () => {
  it('splits what is wider than the device takes, low end first', () => {
    const bus = new PortBus();
    bus.register({ owner: 'narrow', base: 0x100, length: 8, handler: recorder('n') });
    bus.register({ owner: 'wide', base: 0x200, length: 8, maxSize: 2, handler: recorder('w') });
    expect(bus.read(0x101, 4)).toBe(0x04030201);
    bus.write(0x200, 0x89abcdef, 4);
    bus.write(0x204, 0x12345, 2);
    expect(seen).toEqual(['n r1 1', 'n r1 2', 'n r1 3', 'n r1 4', 'w w2 0 cdef', 'w w2 2 89ab', 'w w2 4 2345']);
  });

  it('joins neighbours and holes at the end of a range, and the end of the port space wraps', () => {
    const bus = new PortBus();
    bus.register({ owner: 'a', base: 0x300, length: 2, maxSize: 4, handler: recorder('a') });
    bus.register({ owner: 'b', base: 0x302, length: 1, maxSize: 4, handler: recorder('b') });
    expect(bus.read(0x300, 4)).toBe(0xff000100);
    bus.write(0x301, 0xddccbbaa, 4);
    expect(seen).toEqual(['a r2 0', 'b r1 0', 'a w1 1 aa', 'b w1 0 bb']);
    bus.register({ owner: 'first', base: 0, length: 1, handler: recorder('f') });
    expect(bus.read(0xffff, 2)).toBe(0x00ff);
  });

  it('answers ones where nobody is, and takes writes there', () => {
    const bus = new PortBus();
    expect([1, 2, 4].map((size) => bus.read(0x700, size as AccessSize))).toEqual([0xff, 0xffff, 0xffffffff]);
    for (const size of [1, 2, 4] as const) bus.write(0xffff, 0xffffffff, size);
  });

  it('refuses overlap whole, and ranges outside the port space', () => {
    const bus = new PortBus();
    const range = { owner: 'one', base: 0x104, length: 4, handler: recorder('one') };
    bus.register(range);
    expect(() => bus.register({ owner: 'two', base: 0x100, length: 5, handler: recorder('two') })).toThrow(
      expect.objectContaining({ kind: 'already-exists' }),
    );
    expect(bus.read(0x100, 1)).toBe(0xff);
    for (const [base, length] of [
      [-1, 2],
      [0xffff, 2],
      [0x10, 0],
    ] as const)
      expect(() => bus.register({ owner: 'two', base, length, handler: recorder('two') })).toThrow(
        expect.objectContaining({ kind: 'invalid-argument' }),
      );
    bus.unregister(range);
    bus.register({ owner: 'two', base: 0x100, length: 8, handler: recorder('two') });
    // A range that is not on the bus any more takes nothing away.
    bus.unregister(range);
    expect(bus.read(0x104, 1)).toBe(4);
  });
});

describe('memory-mapped bus', () => {
  it('leads to the window that holds the address, by offset', () => {
    const bus = new MmioBus();
    const high = { owner: 'high', base: 0xfee00000, length: 0x1000, handler: recorder('h') };
    bus.register({ owner: 'low', base: 0xa0000, length: 0x20000, handler: recorder('l') });
    bus.register(high);
    bus.write(0xa0000, -1, 4);
    bus.read(0xfee00fff, 1);
    bus.read(0xbffff, 1);
    expect(seen).toEqual(['l w4 0 ffffffff', 'h r1 4095', 'l r1 131071']);
    bus.read(0xfee00000, 4);
    bus.unregister(high);
    expect([bus.read(0xfee00000, 4), bus.read(0xc0000, 2), bus.read(0x9ffff, 1)]).toEqual([0xffffffff, 0xffff, 0xff]);
  });

  it('refuses overlap', () => {
    const bus = new MmioBus();
    bus.register({ owner: 'one', base: 0x1000, length: 0x1000, handler: recorder('one') });
    for (const base of [0x800, 0x1fff, 0x1400])
      expect(() => bus.register({ owner: 'two', base, length: 0x801, handler: recorder('two') })).toThrow(
        expect.objectContaining({ kind: 'already-exists' }),
      );
    bus.register({ owner: 'two', base: 0x2000, length: 1, handler: recorder('two') });
  });
});

describe('interrupt lines', () => {
  it('a shared line is high while any source is, however often a source says so', () => {
    const wire = new Wire();
    const changes: boolean[] = [];
    wire.onChange((level) => changes.push(level));
    const shared = new SharedLine(wire);
    const [one, two] = [shared.source(), shared.source()];
    one.set(true);
    one.set(true);
    two.set(true);
    one.set(false);
    one.set(false);
    expect(wire.level).toBe(true);
    two.set(false);
    expect(changes).toEqual([true, false]);
  });
});
