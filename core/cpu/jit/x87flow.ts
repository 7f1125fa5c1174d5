/**
 * Where the top of the x87 stack is, and which registers are in use, at every instruction of a region, as far as that follows from the code. A
 * register is named by its distance from the top at the region's entry, 0..7. What an instruction needs of a register that nobody in the region
 * has pushed or popped before becomes a demand on the state at the entry, which the region checks before its first x87 instruction.
 */
import type { Insn } from './decode.ts';
import type { Region } from './region.ts';
import { type Effect, isX87, x87Effect } from './x87effects.ts';

/** Bits are registers. One in neither mask is as it was at the entry. */
export interface StackState {
  /** The register that is ST(0). */
  readonly top: number;
  readonly valid: number;
  readonly empty: number;
}

/** At the entry. */
export const START: StackState = { top: 0, valid: 0, empty: 0 };

/** ST(i) bits to register bits. */
const rotate = (bits: number, top: number): number => ((bits << top) | (bits >> (8 - top))) & 0xff;

export class StackFlow {
  demandValid = 0;
  demandEmpty = 0;
  /** Registers that the region's own instructions read or write; and write. */
  used = 0;
  changed = 0;
  /** State at the start of each block that can be reached. */
  readonly at: (StackState | undefined)[];

  constructor(region: Region) {
    this.at = region.blocks.map(() => undefined);
    const work = [0];
    this.at[0] = START;
    for (let block = work.pop(); block !== undefined; block = work.pop()) {
      const b = region.blocks[block]!;
      let state = this.at[block]!;
      for (const insn of b.insns) state = this.after(insn, state);
      for (const side of ['targetBlock', 'fallBlock'] as const) {
        const next = b[side];
        if (next < 0) continue;
        const known = this.at[next];
        if (!known) {
          this.at[next] = state;
          work.push(next);
        } else if (!this.same(known, state)) b[side] = -1;
      }
    }
  }

  /** Registers in use in `state`, as far as the demands tell. */
  private inUse(state: StackState): number {
    return state.valid | (this.demandValid & ~state.empty);
  }
  private unused(state: StackState): number {
    return state.empty | (this.demandEmpty & ~state.valid);
  }
  private same(a: StackState, b: StackState): boolean {
    return a.top === b.top && this.inUse(a) === this.inUse(b) && this.unused(a) === this.unused(b);
  }

  /** Whether the registers are as the instruction needs them; otherwise the interpreter must execute it. */
  holds(effect: Effect, state: StackState): boolean {
    const valid = rotate(effect.valid, state.top);
    const room = effect.room ? rotate(0x80, state.top) : 0;
    const open = ~(this.inUse(state) | this.unused(state));
    this.demandValid |= valid & open;
    this.demandEmpty |= room & open & ~this.demandValid;
    return (valid & ~this.inUse(state)) === 0 && (room & ~this.unused(state)) === 0;
  }

  /** The state after an instruction, if it raises no fault. */
  after(insn: Insn, state: StackState): StackState {
    const effect = isX87(insn) ? x87Effect(insn) : undefined;
    if (!effect) return state;
    this.holds(effect, state);
    const writes = rotate(effect.writes, state.top);
    const pops = effect.turns ? 0 : effect.move === 2 ? 3 : effect.move === 1 ? 1 : 0;
    const frees = rotate(effect.frees | pops, state.top);
    // What changes must have been known.
    this.demandValid |= (writes | frees) & ~(this.inUse(state) | this.unused(state));
    if (effect.own) {
      this.used |= writes | rotate(effect.valid, state.top);
      this.changed |= writes;
    }
    return {
      top: (state.top + effect.move) & 7,
      valid: (state.valid | writes) & ~frees,
      empty: (state.empty & ~writes) | frees,
    };
  }

  /** Registers whose tags differ from those at the entry. */
  changedTags(state: StackState): number {
    return (state.valid & this.demandEmpty) | (state.empty & this.demandValid);
  }
}

/** Undefined when the region has no x87 instructions. May cut edges of the region where states differ: they become exits. */
export function x87Flow(region: Region): StackFlow | undefined {
  return region.blocks.some((block) => block.insns.some(isX87)) ? new StackFlow(region) : undefined;
}
