import type { CodeBits, HotRegion } from './statistics.ts';

/** Most places remembered; the colder half is forgotten beyond. */
const MAX_PLACES = 32_768;
/** Bytes of code that a place stands for when nothing better is known. */
const PLACE_BYTES = 64;
/** Places handed out. */
const HOTTEST = 256;

interface Place {
  /** Linear address, 48 bits and so exact; negative addresses stand for the upper canonical half. */
  linear: number;
  bits: CodeBits;
  tier: HotRegion['tier'];
  instructions: number;
  samples: number;
}

/**
 * Where a processor spends its instructions: the place where each slice of guest code ends gets what was executed since the last one.
 * Slices end at taken branches, so a place is the head of a loop or a function.
 */
export class RipSampler {
  private readonly places = new Map<string, Place>();

  sample(linear: number, bits: CodeBits, instructions: number, tier: HotRegion['tier'] = 'interpreter'): void {
    // The three modes of one address are three places, each in two tiers.
    const key = `${linear} ${bits} ${tier}`;
    const known = this.places.get(key);
    if (known) {
      known.instructions += instructions;
      known.samples++;
      return;
    }
    if (this.places.size >= MAX_PLACES) this.forgetColdest();
    this.places.set(key, { linear, bits, tier, instructions, samples: 1 });
  }

  hottest(): HotRegion[] {
    return [...this.places.values()]
      .sort((a, b) => b.instructions - a.instructions)
      .slice(0, HOTTEST)
      .map(({ linear, bits, tier, instructions, samples }) => ({
        address: `0x${BigInt.asUintN(64, BigInt(linear)).toString(16)}`,
        bits,
        instructions,
        entries: samples,
        bytes: PLACE_BYTES,
        sampled: true,
        tier,
      }));
  }

  private forgetColdest(): void {
    const kept = [...this.places.entries()].sort(([, a], [, b]) => b.instructions - a.instructions).slice(0, MAX_PLACES / 2);
    this.places.clear();
    for (const [key, place] of kept) this.places.set(key, place);
  }
}
