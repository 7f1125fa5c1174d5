import { type CompiledModule, type CompiledRegion, compileModule, type RegionRequest } from './compile.ts';

/** A region to compile. */
export interface CompileJob extends RegionRequest {
  id: number;
}

/** What came of one job; without `region` when the first instruction can't be translated. */
export interface CompiledJob {
  id: number;
  region?: Omit<CompiledRegion, 'marks'>;
}

/** One module, and the jobs that it was made for. */
export interface CompileResult {
  /** Absent when there is nothing in it. */
  module?: WebAssembly.Module;
  wasmBytes: number;
  /** Of the pool that its regions need together. */
  units: number;
  jobs: CompiledJob[];
  ms: number;
}

/** Milliseconds from one tick of the code cache to the next (CodeCache.tick): whoever compiles sets SJ_READY as often. */
export const TICK_MS = 10_000;

/** Where regions are compiled: in place, or on another thread. */
export interface CompileService {
  request(job: CompileJob): void;
  /** What was asked for is wanted more than most: nothing is to be gathered any longer. */
  hurry(): void;
  /** Finished modules, each once. */
  collect(): CompileResult[];
  /** Modules were thrown away to make room: what is left of them should go too. */
  evicted(): void;
  dispose(): void;
}

/**
 * Regions of one module. V8 spends tens of kilobytes on every module and instance; but a module goes as a whole, and while its first region waits for the
 * last to be made, the guest is interpreted.
 */
export const MAX_BATCH = 32;

/** Compiles jobs, at most MAX_BATCH, into one module. `now` gives milliseconds. */
export function runJobs(jobs: readonly CompileJob[], now: () => number): CompileResult {
  const start = now();
  const compiled = compileModule(jobs);
  const module = compiled && new WebAssembly.Module(compiled.wasm);
  return resultOf(jobs, compiled, module, now() - start);
}

/**
 * The same for regions that are compiled again, and take the place of ones that V8 has optimised: there they go on until these are, too. Meanwhile the
 * thread is free for others.
 */
export async function runJobsAgain(jobs: readonly CompileJob[], now: () => number): Promise<CompileResult> {
  const start = now();
  const compiled = compileModule(jobs, true);
  const ms = now() - start;
  return resultOf(jobs, compiled, compiled && (await WebAssembly.compile(compiled.wasm)), ms);
}

/**
 * What `run` makes of jobs. Where it fails, which no code of a guest should bring about, each is tried without the others; one that fails alone is refused,
 * and so the interpreter's. `told` gets the error of each.
 */
export async function runApart(
  jobs: readonly CompileJob[],
  run: (jobs: readonly CompileJob[]) => CompileResult | Promise<CompileResult>,
  told: (error: unknown) => void,
): Promise<CompileResult[]> {
  try {
    return [await run(jobs)];
  } catch (error) {
    if (jobs.length > 1) return (await Promise.all(jobs.map((job) => runApart([job], run, told)))).flat();
    told(error);
    return [{ wasmBytes: 0, units: 0, jobs: jobs.map(({ id }) => ({ id })), ms: 0 }];
  }
}

function resultOf(
  jobs: readonly CompileJob[],
  compiled: CompiledModule | undefined,
  module: WebAssembly.Module | undefined,
  ms: number,
): CompileResult {
  return {
    ...(module ? { module } : {}),
    wasmBytes: compiled?.wasm.length ?? 0,
    units: compiled?.units ?? 0,
    jobs: jobs.map(({ id }, i) => {
      const region = compiled?.regions[i];
      if (!region) return { id };
      const { fallbacks, parts, table, pool, units, number } = region;
      return { id, region: { fallbacks, parts, table, pool, units, number } };
    }),
    ms,
  };
}

/** Compiles on the calling thread, when what was asked for is collected: for tests, and where there is no other thread. */
export class SyncCompileService implements CompileService {
  private waiting: CompileJob[] = [];
  private readonly now: () => number;

  constructor(now: () => number = () => 0) {
    this.now = now;
  }

  request(job: CompileJob): void {
    this.waiting.push(job);
  }
  collect(): CompileResult[] {
    const results: CompileResult[] = [];
    while (this.waiting.length) results.push(runJobs(this.waiting.splice(0, MAX_BATCH), this.now));
    return results;
  }
  hurry(): void {}
  evicted(): void {}
  dispose(): void {}
}
