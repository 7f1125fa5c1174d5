import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ContractClient } from '../../../core/contract/client.ts';
import { seededRandom } from '../../../core/cpu/seededrandom.ts';
import { openContract } from './contract.ts';
import { differences, emptyLibrary, observe } from './librarymodel.ts';
import { randomOperation, writeSome } from './libraryoperations.ts';
import { startServer } from './server.ts';

/** What a refusal may be: anything else is a fault of ours. */
const refusals = new Set(['in-use', 'invalid-state', 'invalid-argument', 'unsupported', 'already-exists', 'resource-limit']);

export interface LibraryRun {
  done: number;
  refused: number;
  /** Of the operations during which the server was killed: how many were found done and how many not. */
  killed: { done: number; undone: number };
}

/**
 * Does `steps` random operations to a library of its own under a real server, and compares all of it with what it should be after each. In every `killEvery`th one the
 * server is killed at a random moment and started again: then the operation is done or not done, never half. Rejects with everything done so far.
 */
export async function runLibrary(seed: number, steps: number, killEvery: number): Promise<LibraryRun> {
  const next = seededRandom(seed);
  const choose = (below: number) => (next() >>> 0) % below;
  const home = mkdtempSync(path.join(tmpdir(), 'hypervue-library-'));
  let server = await startServer(home);
  let contract: ContractClient & { end(): void } = await openContract(server);
  const counts: LibraryRun = { done: 0, refused: 0, killed: { done: 0, undone: 0 } };
  const told: string[] = [];
  /** How long operations of a kind take, milliseconds: a kill comes within that. */
  const times = new Map<string, number>();
  let library = emptyLibrary();
  /** A kill may leave clusters that nothing refers to. */
  let leaks = false;
  try {
    for (let step = 0; step < steps; step++) {
      if (choose(2) === 0) await writeSome(contract, library, choose);
      const operation = randomOperation(library, choose, step);
      const kind = operation.name.replace(/\bn\d+\S*/g, 'n');
      const begun = performance.now();
      if (killEvery > 0 && step % killEvery === killEvery - 1) {
        const running = operation.run(contract).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, (choose(1000) / 1000) * (times.get(kind) ?? 100)));
        const ended = new Promise((resolve) => server.process.once('exit', resolve));
        server.process.kill('SIGKILL');
        await ended;
        contract.end();
        await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 1000))]);
        server = await startServer(home);
        contract = await openContract(server);
        leaks = true;
        told.push(`${operation.name}: killed`);
        const is = await observe(contract, home, leaks);
        const wasDone = differences(operation.after, is);
        const wasNot = differences(library, is);
        if (wasDone.length && wasNot.length) throw new Error(`half done: ${wasDone.join('; ')}; or, against before: ${wasNot.join('; ')}`);
        if (wasDone.length) counts.killed.undone++;
        else {
          counts.killed.done++;
          library = operation.after;
        }
        continue;
      }
      const failure = await operation.run(contract).then(
        () => null,
        (error: { kind?: string; message?: string }) => error,
      );
      times.set(kind, performance.now() - begun);
      told.push(`${operation.name}${failure ? `: ${failure.kind} ${failure.message}` : ''}`);
      if (failure && !refusals.has(failure.kind ?? '')) throw new Error(`failed with ${failure.kind}: ${failure.message}`);
      if (failure) counts.refused++;
      else {
        counts.done++;
        library = operation.after;
      }
      const wrong = differences(library, await observe(contract, home, leaks));
      if (wrong.length) throw new Error(wrong.join('; '));
    }
    return counts;
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}\n${told.slice(-25).join('\n')}\n${server.output().slice(-2000)}`, {
      cause: error,
    });
  } finally {
    contract.end();
    await server.stop();
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
