import { beforeEach, describe, expect, it } from 'vitest';
import { Wire } from '../irq.ts';
import { PortBus } from '../portbus.ts';
import { ROM_BAR } from './config.ts';
import { PciBus } from './pcibus.ts';
import { PciDevice } from './pcidevice.ts';

/** A function with a memory BAR, an I/O BAR, a ROM and an interrupt pin, which notes what happens to its windows. */
class Probe extends PciDevice {
  readonly events: string[] = [];

  constructor(id = 'probe', interruptPin = 1) {
    super(id, {
      vendor: 0x1234,
      device: 0x5678,
      revision: 9,
      classCode: 0x020301,
      subsystemVendor: 0xabcd,
      subsystem: 0xef01,
      interruptPin,
    });
    const bar = (name: string, kind: 'memory' | 'io', size: number) => ({
      kind,
      size,
      prefetch: name === 'frame',
      onMapped: (base: number) => this.events.push(`+${name} ${base.toString(16)}`),
      onUnmapped: (base: number) => this.events.push(`-${name} ${base.toString(16)}`),
    });
    this.addBar(0, bar('frame', 'memory', 0x100000));
    this.addBar(1, bar('ports', 'io', 0x20));
    this.addBar(ROM_BAR, bar('rom', 'memory', 0x8000));
  }

  interrupt(level: boolean): void {
    this.setInterrupt(level);
  }

  take(): string[] {
    return this.events.splice(0);
  }
}

let ports: PortBus;
let pirq: Wire[];
let bus: PciBus;
let probe: Probe;
let resetControl: { value: number; read(): number; write(value: number): void };

beforeEach(() => {
  ports = new PortBus();
  pirq = [new Wire(), new Wire(), new Wire(), new Wire()];
  resetControl = {
    value: 0x55,
    read: () => resetControl.value,
    write: (value) => {
      resetControl.value = value;
    },
  };
  bus = new PciBus({ id: 'pci', ports, pirq: pirq as unknown as [Wire, Wire, Wire, Wire], resetControl });
  probe = new Probe();
  bus.attach(3, 0, probe);
});

const address = (device: number, register: number, fn = 0, busNumber = 0) =>
  (0x80000000 | (busNumber << 16) | (device << 11) | (fn << 8) | register) >>> 0;
const select = (device: number, register: number, fn = 0, busNumber = 0) => ports.write(0xcf8, address(device, register, fn, busNumber), 4);
function write(register: number, value: number, size: 1 | 2 | 4 = 4): void {
  select(3, register & 0xfc);
  ports.write(0xcfc + (register & 3), value, size);
}
function read(register: number, size: 1 | 2 | 4 = 4): number {
  select(3, register & 0xfc);
  return ports.read(0xcfc + (register & 3), size);
}

describe('configuration mechanism #1', () => {
  it('reads a register whole, by words and by bytes', () => {
    expect(read(0)).toBe(0x56781234);
    expect([read(0, 2), read(2, 2)]).toEqual([0x1234, 0x5678]);
    expect([0, 1, 2, 3].map((offset) => read(offset, 1))).toEqual([0x34, 0x12, 0x78, 0x56]);
    expect(read(1, 2)).toBe(0x7812);
    expect(read(8)).toBe(0x02030109);
    expect(read(0x2c)).toBe(0xef01abcd);
    expect(read(0x3d, 1)).toBe(1);
  });

  it('gives the address back without its reserved bits, and takes only doublewords there', () => {
    ports.write(0xcf8, 0xffffffff, 4);
    expect(ports.read(0xcf8, 4)).toBe(0x80fffffc);
    ports.write(0xcf8, 0, 2);
    ports.write(0xcf8, 0, 1);
    ports.write(0xcfa, 0, 2);
    expect(ports.read(0xcf8, 4)).toBe(0x80fffffc);
    expect([ports.read(0xcf8, 1), ports.read(0xcf8, 2), ports.read(0xcfa, 2)]).toEqual([0xff, 0xffff, 0xffff]);
  });

  it('answers ones for absent devices, functions, buses and with the enable bit clear; writes vanish', () => {
    for (const where of [address(4, 0), address(3, 0, 1), address(3, 0, 0, 1), address(31, 0, 7, 255), address(3, 0) & 0x7fffffff]) {
      ports.write(0xcf8, where, 4);
      expect([1, 2, 4].map((size) => ports.read(0xcfc, size as 1 | 2 | 4))).toEqual([0xff, 0xffff, 0xffffffff]);
      ports.write(0xcfc, 0x12345678, 4);
    }
    expect(read(0)).toBe(0x56781234);
  });

  it('keeps read-only registers and writes only the lanes of the access', () => {
    for (let register = 0; register < 0x40; register += 4) write(register, 0xffffffff);
    expect([read(0), read(8), read(0x2c)]).toEqual([0x56781234, 0x02030109, 0xef01abcd]);
    expect(read(0x0c) & 0x00ff0000).toBe(0);
    write(0x3c, 0, 1);
    write(0x3d, 0xff, 1);
    expect([read(0x3c, 1), read(0x3d, 1)]).toEqual([0, 1]);
    write(0x0d, 0x40, 1);
    expect(read(0x0c, 2)).toBe(0x40ff);
  });

  it('leads port CF9 to reset control as a byte only', () => {
    expect(ports.read(0xcf9, 1)).toBe(0x55);
    ports.write(0xcf9, 0x06, 1);
    expect(resetControl.value).toBe(6);
    select(3, 0);
    ports.write(0xcf9, 0x02, 2);
    expect(resetControl.value).toBe(6);
  });

  it('refuses two functions in one place and places that do not exist', () => {
    expect(() => bus.attach(3, 0, new Probe('other'))).toThrow(expect.objectContaining({ kind: 'already-exists' }));
    expect(() => bus.attach(32, 0, new Probe('other'))).toThrow(expect.objectContaining({ kind: 'invalid-argument' }));
  });

  it('survives accesses that leave the last register', () => {
    select(3, 0xfc);
    for (const port of [0xcfc, 0xcfd, 0xcfe, 0xcff])
      for (const size of [1, 2, 4] as const) {
        expect(ports.read(port, size)).toBeLessThan(2 ** (8 * size));
        ports.write(port, 0xffffffff, size);
      }
    expect(read(0)).toBe(0x56781234);
  });
});

describe('base addresses', () => {
  it('tell their size and kind when ones are written', () => {
    for (const [register, expected] of [
      [0x10, 0xfff00008],
      [0x14, 0xffffffe1],
      [0x30, 0xffff8000],
      [0x18, 0],
    ] as const) {
      write(register, register === 0x30 ? 0xfffffffe : 0xffffffff);
      expect(read(register)).toBe(expected);
    }
    expect(probe.take()).toEqual([]);
  });

  it('map only with decoding on, move, and unmap', () => {
    write(0x10, 0xe0000000);
    write(0x14, 0xc000);
    expect(probe.take()).toEqual([]);
    write(4, 0x0002, 2);
    expect(probe.take()).toEqual(['+frame e0000000']);
    write(4, 0x0003, 1);
    expect(probe.take()).toEqual(['+ports c000']);
    write(0x10, 0xe0100000);
    expect(probe.take()).toEqual(['-frame e0000000', '+frame e0100000']);
    // Sizing with decoding on hides the window meanwhile.
    write(0x10, 0xffffffff);
    expect(probe.take()).toEqual(['-frame e0100000']);
    write(0x10, 0xe0100000);
    expect(probe.take()).toEqual(['+frame e0100000']);
    write(4, 0, 2);
    expect(probe.take()).toEqual(['-frame e0100000', '-ports c000']);
  });

  it('can be written byte by byte', () => {
    write(4, 3, 2);
    for (const [offset, value] of [
      [0, 0],
      [1, 0],
      [2, 0x30],
      [3, 0xe0],
    ] as const)
      write(0x10 + offset, value, 1);
    expect(read(0x10)).toBe(0xe0300008);
    expect(probe.take().at(-1)).toBe('+frame e0300000');
  });

  it('the ROM wants its own enable bit too', () => {
    write(4, 2, 2);
    write(0x30, 0xfeb00000);
    expect(probe.take()).toEqual([]);
    write(0x30, 0xfeb00001);
    expect(probe.take()).toEqual(['+rom feb00000']);
    write(0x30, 0xfeb00000);
    expect(probe.take()).toEqual(['-rom feb00000']);
  });

  it('stay unmapped at 0 and beyond the end of their space', () => {
    write(4, 3, 2);
    for (const [register, value] of [
      [0x10, 0],
      [0x10, 0xfff00000],
      [0x14, 0x10000],
      [0x14, 0xffff0000],
    ] as const)
      write(register, value);
    expect(probe.take()).toEqual([]);
    write(0x14, 0xffe0);
    expect(probe.take()).toEqual(['+ports ffe0']);
  });

  it('a reset unmaps them; a restored state maps them again', () => {
    write(0x10, 0xe0000000);
    write(4, 2, 2);
    const state = structuredClone(probe.save());
    probe.take();
    probe.reset('hard');
    expect(probe.take()).toEqual(['-frame e0000000']);
    expect([read(0x10), read(4, 2)]).toEqual([8, 0]);
    probe.restore(state);
    expect(probe.take()).toEqual(['+frame e0000000']);
  });
});

describe('status', () => {
  it('error bits clear where ones are written, others stay', () => {
    const config = (probe as unknown as { config: Uint8Array }).config;
    config[7] = 0xfb;
    write(6, 0x4000, 2);
    expect(read(7, 1)).toBe(0xbb);
    write(6, 0xffff, 2);
    expect(read(7, 1)).toBe(0x02);
  });
});

describe('interrupt pins', () => {
  const levels = () => pirq.map(({ level }) => level);

  it.each([
    [1, 1, 0],
    [1, 4, 3],
    [2, 1, 1],
    [3, 1, 2],
    [3, 2, 3],
    [4, 1, 3],
    [5, 1, 0],
    [31, 4, 1],
  ])('slot %i pin %i is PIRQ %i', (slot, pin, line) => {
    const device = new Probe(`at${slot}`, pin);
    bus.attach(slot, 1, device);
    device.interrupt(true);
    expect(levels().indexOf(true)).toBe(line);
    expect(levels().filter(Boolean)).toHaveLength(1);
    device.reset('hard');
    expect(levels()).toEqual([false, false, false, false]);
  });

  it('two functions share a line until both let go', () => {
    const other = new Probe('other');
    bus.attach(7, 0, other);
    probe.interrupt(true);
    other.interrupt(true);
    other.interrupt(true);
    probe.interrupt(false);
    expect(pirq[2]!.level).toBe(true);
    other.interrupt(false);
    expect(pirq[2]!.level).toBe(false);
  });

  it('the command register can turn the pin off without losing the request', () => {
    probe.interrupt(true);
    write(4, 0x0400, 2);
    expect(pirq[2]!.level).toBe(false);
    write(4, 0, 2);
    expect(pirq[2]!.level).toBe(true);
  });

  it('a function without a pin is connected to nothing', () => {
    const quiet = new Probe('quiet', 0);
    bus.attach(9, 0, quiet);
    quiet.interrupt(true);
    expect(levels()).toEqual([false, false, false, false]);
  });
});
