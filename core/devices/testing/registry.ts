/**
 * Every emulated chip, for the conformance suite. One import and one entry a device: how to build it on a bench and how to get it
 * away from its power-on state. `conformance.test.ts` fails when a class that implements Device is not here.
 */
import { Pic } from '../intc/pic.ts';
import { type DeviceEntry, entry } from './conformance.ts';

export const deviceRegistry: DeviceEntry[] = [
  entry({
    name: 'Pic',
    create: (bench) => new Pic({ id: 'pic', ports: bench.ports, intr: bench.wire('intr'), log: bench.log }),
    mutate(pic, bench) {
      for (const value of [0x11, 0x08, 0x04, 0x13]) bench.out8(value === 0x11 ? 0x20 : 0x21, value);
      bench.out8(0xa0, 0x11);
      bench.out8(0xa1, 0x70);
      bench.out8(0x21, 0x28);
      bench.out8(0x20, 0x6b);
      bench.out8(0x20, 0xc3);
      bench.out8(0x4d1, 0x0c);
      pic.inputs[10]!.set(true);
      pic.inputs[1]!.set(true);
      pic.acknowledge();
      // The levels belong to other chips and outlive this one's reset.
      for (const input of pic.inputs) input.set(false);
    },
  }),
];
