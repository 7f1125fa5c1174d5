import { Wire } from '../../bus/irq.ts';
import { MmioBus } from '../../bus/mmiobus.ts';
import { PortBus } from '../../bus/portbus.ts';
import { GUEST_RAM_BASE } from '../../memory/layout.ts';
import { GuestMemory } from '../../memory/guestmemory.ts';
import { PhysMap } from '../../memory/physmap.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { ManualClock } from '../../util/clock.ts';
import { type Logger, nullLogger } from '../../util/logger.ts';

export const BENCH_PICTURES = { base: GUEST_RAM_BASE + (1 << 20), size: 4 << 20 };

/** Buses, wires, clock and memory for one device under test. Parts are made on first use. */
export class Bench {
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly clock = new ManualClock();
  readonly log: Logger = nullLogger;
  private readonly wires = new Map<string, Wire>();
  private guestMemory: GuestMemory | undefined;

  /** The wire of that name; the same one each time. */
  wire(name: string): Wire {
    let wire = this.wires.get(name);
    if (!wire) {
      wire = new Wire();
      this.wires.set(name, wire);
    }
    return wire;
  }

  /** 1 MiB of guest RAM at address 0, and behind it in the shared memory BENCH_PICTURES for a display's pictures. */
  get memory(): GuestMemory {
    if (!this.guestMemory) {
      const shared = createVmMemory(1 << 20, BENCH_PICTURES.size);
      const physMap = new PhysMap(shared);
      physMap.mapRam(0, GUEST_RAM_BASE, 1 << 20);
      this.guestMemory = new GuestMemory(shared, physMap, 1 << 20);
    }
    return this.guestMemory;
  }

  in8(port: number): number {
    return this.ports.read(port, 1);
  }

  out8(port: number, value: number): void {
    this.ports.write(port, value, 1);
  }
}

/** Counts false -> true edges of a wire from now on. */
export function countRises(wire: Wire): { count: number } {
  const seen = { count: 0 };
  wire.onChange((level) => {
    if (level) seen.count++;
  });
  return seen;
}
