import { describe, expect, it } from 'vitest';
import { type CompileJob, runApart, runJobs, runJobsAgain } from './service.ts';

/** LEA EAX, [RAX+5]; RET. */
const CODE = [0x8d, 0x40, 5, 0xc3];

function job(id: number, code: readonly number[]): CompileJob {
  const bytes = new Uint8Array(4096);
  bytes.set(code);
  return { id, pages: [{ delta: 0, host: 0x1000000, bytes }], entry: 0, mode: 64, user: false, features: 0, hints: [0] };
}

describe('what compiles regions again', () => {
  // UD2 has no translation.
  const jobs = [job(1, CODE), job(2, [0x0f, 0x0b])];

  it('makes the same of them, in a module with hints for the optimising compiler', async () => {
    const first = runJobs(jobs, () => 0);
    const again = await runJobsAgain(jobs, () => 0);
    expect(again.jobs).toEqual(first.jobs);
    expect(again.units).toBe(first.units);
    expect(again.module).toBeInstanceOf(WebAssembly.Module);
    // The section's header, its name, the number of functions, and a byte for each.
    expect(again.wasmBytes - first.wasmBytes).toBeGreaterThan('compilationHints'.length);
    expect(again.wasmBytes - first.wasmBytes).toBeLessThan(64);
  });

  it('gives no module where there is nothing to translate', async () => {
    expect((await runJobsAgain([jobs[1]!], () => 0)).module).toBeUndefined();
  });
});

it('a region that can not be compiled costs the others nothing', async () => {
  const told: unknown[] = [];
  const broken = new Error('function #0 failed');
  const run = (jobs: readonly CompileJob[]) => {
    if (jobs.some(({ id }) => id === 2)) throw broken;
    return runJobs(jobs, () => 0);
  };
  const results = await runApart([job(1, CODE), job(2, CODE), job(3, CODE)], run, (error) => told.push(error));
  const regions = results.flatMap(({ module, jobs }) => jobs.map(({ id, region }) => [id, !!region, !!module]));
  expect(regions).toEqual([
    [1, true, true],
    [2, false, false],
    [3, true, true],
  ]);
  expect(told).toEqual([broken]);
});
