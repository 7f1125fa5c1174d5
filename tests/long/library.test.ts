import { expect, test } from 'vitest';
import { runLibrary } from '../e2e/support/libraryrun.ts';

/** HYPERVUE_SEED and HYPERVUE_RUNS choose others; the seed of a failure is in its message. */
const first = Number(process.env.HYPERVUE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const runs = Number(process.env.HYPERVUE_RUNS ?? 8);

test(`${runs} random lives of a library, with the server killed in every fifth operation`, async () => {
  const sum = { done: 0, refused: 0, killedDone: 0, killedUndone: 0 };
  for (let seed = first; seed < first + runs; seed++) {
    const { done, refused, killed } = await runLibrary(seed, 200, 5);
    sum.done += done;
    sum.refused += refused;
    sum.killedDone += killed.done;
    sum.killedUndone += killed.undone;
  }
  console.log(`library, seeds from ${first}: ${JSON.stringify(sum)}`);
  // Kills have to come at moments that matter.
  expect(sum.killedDone).toBeGreaterThan(0);
  expect(sum.killedUndone).toBeGreaterThan(0);
});
