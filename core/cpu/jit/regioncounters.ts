/**
 * Counters of single regions, for a profile that asks for them. A region compiled while somebody counts adds to a slot of its own in the shared memory
 * (JIT_COUNTERS_BASE); one compiled otherwise has not one instruction for it.
 */
import { JIT_COUNTERS_BASE, JIT_COUNTERS_SIZE } from '../../memory/layout.ts';

/** u64 each, from the start of a slot. */
export const RC_ENTRIES = 0;
/** Guest instructions, without those before a fault in the block that faulted. */
export const RC_INSTRUCTIONS = 8;
/** Went straight on to another region. */
export const RC_LINKED = 16;
/** Left because the slice is over or something wants attention. */
export const RC_SLICE = 24;
/** Left before an instruction that is not compiled. */
export const RC_STEP = 32;
export const RC_FAULTS = 40;
/** Left where the interpreter, called for one instruction, went. */
export const RC_INTERPRETER = 48;
/** Not a count: linear address of byte 0 of the entry's page at the last entry. */
export const RC_PAGE = 56;
const SLOT = 64;

/** Why control left a region. */
export interface RegionExits {
  linked: number;
  /** To the dispatcher: no link led on. */
  unlinked: number;
  slice: number;
  step: number;
  faults: number;
  interpreter: number;
}

export interface RegionCount {
  entries: number;
  instructions: number;
  exits: RegionExits;
}

export class RegionCounters {
  private readonly view: DataView;
  private readonly free: number[] = [];
  private top = JIT_COUNTERS_BASE;

  constructor(memory: WebAssembly.Memory) {
    this.view = new DataView(memory.buffer);
  }

  /** Address of a slot of zeros; 0 when there is none left. */
  take(): number {
    const full = this.top + SLOT > JIT_COUNTERS_BASE + JIT_COUNTERS_SIZE;
    const slot = this.free.pop() ?? (full ? 0 : this.top);
    if (slot === this.top) this.top += SLOT;
    if (slot) for (let at = 0; at < SLOT; at += 8) this.view.setBigUint64(slot + at, 0n, true);
    return slot;
  }

  release(slot: number): void {
    if (slot) this.free.push(slot);
  }

  read(slot: number): RegionCount {
    const count = (field: number) => Number(this.view.getBigUint64(slot + field, true));
    const entries = count(RC_ENTRIES);
    const exits = {
      linked: count(RC_LINKED),
      unlinked: 0,
      slice: count(RC_SLICE),
      step: count(RC_STEP),
      faults: count(RC_FAULTS),
      interpreter: count(RC_INTERPRETER),
    };
    const named = Object.values(exits).reduce((sum, each) => sum + each, 0);
    return { entries, instructions: count(RC_INSTRUCTIONS), exits: { ...exits, unlinked: Math.max(0, entries - named) } };
  }

  page(slot: number): bigint {
    return this.view.getBigUint64(slot + RC_PAGE, true);
  }
}

/** Both together. */
export function addCounts(a: RegionCount, b: RegionCount): RegionCount {
  const exits = { ...a.exits };
  for (const cause of Object.keys(exits) as (keyof RegionExits)[]) exits[cause] += b.exits[cause];
  return { entries: a.entries + b.entries, instructions: a.instructions + b.instructions, exits };
}
