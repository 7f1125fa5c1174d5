import { expect, test } from 'vitest';
import { runLibrary } from './support/libraryrun.ts';

/** The whole of the manager against a model of it, with the same operations in every run; many more, of other seeds, in tests/long. */

test('after each of many operations on machines, snapshots, volumes and trash, everything holds what it should', async () => {
  const { done, refused, killed } = await runLibrary(20261122, 60, 10);
  console.log(`library: ${done} operations done, ${refused} refused, ${killed.done + killed.undone} killed (${killed.done} of them done)`);
  expect(done).toBeGreaterThan(30);
});
