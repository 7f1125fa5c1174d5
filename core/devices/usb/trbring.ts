/** The controller's end of a ring that the guest fills: xHCI 1.2, sections 4.9.2 and 4.9.3. */
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { StateReader } from '../../snapshot/statereader.ts';
import type { StateValue } from '../../snapshot/snapshottable.ts';
import { CYCLE, readTrb, T_LINK, TOGGLE, TRB_BYTES, type Trb, trbAddress, trbType } from './trb.ts';

/** Links after one another that are followed. Rings have one a segment; more is a circle. */
const MAX_LINKS = 32;

/** A place in the ring: an address, and what the cycle bit of a TRB is that the guest has handed over. */
export interface RingPlace {
  at: number;
  cycle: number;
}

export class TrbRing {
  place: RingPlace = { at: 0, cycle: 1 };
  private readonly memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.memory = memory;
  }

  set(at: number, cycle: number): void {
    this.place = { at, cycle };
  }

  /** The TRB at `place`, which moves behind it; links are followed. Undefined: the guest has handed over no more. 'endless': nothing but links. */
  next(place: RingPlace): Trb | 'endless' | undefined {
    for (let links = 0; links <= MAX_LINKS; links++) {
      const trb = readTrb(this.memory, place.at);
      if ((trb.control & CYCLE) !== place.cycle) return undefined;
      if (trbType(trb) !== T_LINK) {
        place.at += TRB_BYTES;
        return trb;
      }
      place.at = trbAddress(trb) - (trb.low & 0xf);
      if (trb.control & TOGGLE) place.cycle ^= 1;
    }
    return 'endless';
  }

  save(): StateValue {
    return { at: this.place.at, cycle: this.place.cycle };
  }

  restore(state: StateReader): void {
    this.set(state.number('at', 0), state.number('cycle', 0, 1));
  }
}
