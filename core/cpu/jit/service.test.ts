import { describe, expect, it } from 'vitest';
import { type CompileJob, runJobs, runJobsAgain } from './service.ts';

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
