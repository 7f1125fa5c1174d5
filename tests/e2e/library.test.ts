import { expect, test } from 'vitest';
import { runLibrary } from './support/libraryrun.ts';

/** The whole of the manager against a model of it, with the same operations in every run; many more, of other seeds and with the server killed in between, in tests/long. */

test('after each of many operations on machines, snapshots, volumes and trash, everything holds what it should', async () => {
  const { done, refused } = await runLibrary(20261122, 60, 0);
  console.log(`library: ${done} operations done, ${refused} refused`);
  expect(done).toBeGreaterThan(30);
});
