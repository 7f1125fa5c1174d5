/**
 * A source of 32-bit numbers that gives the same sequence for the same seed: Marsaglia's xorshift (Journal of Statistical Software 8/14,
 * 2003). For machines that must run the same way twice; others take their numbers from the host.
 */
export function seededRandom(seed: number): () => number {
  const numbers = new SeededNumbers(seed);
  return () => numbers.next();
}

/** The same with its place in the sequence, so that a machine that is restored goes on from there. */
export class SeededNumbers {
  private state: number;

  constructor(seed: number) {
    // Zero is the one state that it never leaves.
    this.state = seed >>> 0 || 1;
  }

  /** Another source made with this seed gives the same numbers from here on. */
  get position(): number {
    return this.state >>> 0;
  }

  set position(seed: number) {
    this.state = seed >>> 0 || 1;
  }

  next(): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return this.state >>> 0;
  }
}
