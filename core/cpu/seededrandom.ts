/**
 * A source of 32-bit numbers that gives the same sequence for the same seed: Marsaglia's xorshift (Journal of Statistical Software 8/14,
 * 2003). For machines that must run the same way twice; others take their numbers from the host.
 */
export function seededRandom(seed: number): () => number {
  // Zero is the one state that it never leaves.
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
