import type { Snapshottable } from '../snapshot/snapshottable.ts';

/** `power`: cold start. `hard`: reset line (CF9, 8042, triple fault): most chips return to power-on state, RAM and CMOS stay. */
export type ResetKind = 'power' | 'hard';

/**
 * Every emulated chip. Its constructor takes narrow parts (irq, clock, backend, log), never the machine; it registers its own
 * ports and MMIO ranges on the buses it is given. All three members are mandatory on purpose.
 */
export interface Device extends Snapshottable {
  /** Stable and unique in the machine, given by `machine`: 'pit', 'serial0', 'ide0'. */
  readonly id: string;
  reset(kind: ResetKind): void;
  /**
   * False while the guest is in the middle of a command that `save` can't carry and that a restored machine would see fail. The machine is then saved
   * a little later, if the guest lets it; a device without such commands leaves it out.
   */
  readonly settled?: boolean;
}
