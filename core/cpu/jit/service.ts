import { compileRegion } from './compile.ts';
import type { CodePage } from './codepages.ts';
import type { CodeMode } from './decode.ts';
import type { RegionPart } from './region.ts';

/** A region to compile. */
export interface CompileJob {
  id: number;
  /** The page of the entry, and those beside it that are known. */
  pages: CodePage[];
  entry: number;
  mode: CodeMode;
  /** Runs at CPL 3. */
  user: boolean;
  /** Low word of SY_FEATURES. */
  features: number;
  /** Slot of RegionCounters that the region is to count into; 0 for none. */
  counters: number;
  /** Offsets that calls and indirect branches of an earlier compilation went to. */
  hints: number[];
  /** Targets that the region does not have between two reports of them, a power of two. */
  missPeriod: number;
}

export interface CompileResult {
  id: number;
  /** Absent when the first instruction can't be translated. */
  region?: { module: WebAssembly.Module; fallbacks: number[]; parts: RegionPart[]; table: Int32Array | undefined; wasmBytes: number };
  ms: number;
}

/** Where regions are compiled: in place, or on another thread. */
export interface CompileService {
  request(job: CompileJob): void;
  /** Finished jobs, each once. */
  collect(): CompileResult[];
  dispose(): void;
}

/** Compiles one job. `now` gives milliseconds. */
export function runJob(job: CompileJob, now: () => number): CompileResult {
  const start = now();
  const compiled = compileRegion(job.pages, job.entry, job.mode, job.user, job.features, job);
  if (!compiled) return { id: job.id, ms: now() - start };
  const module = new WebAssembly.Module(compiled.wasm);
  const { fallbacks, parts, table } = compiled;
  return { id: job.id, region: { module, fallbacks, parts, table, wasmBytes: compiled.wasm.length }, ms: now() - start };
}

/** Compiles at once on the calling thread: for tests, and where there is no other thread. */
export class SyncCompileService implements CompileService {
  private done: CompileResult[] = [];
  private readonly now: () => number;

  constructor(now: () => number = () => 0) {
    this.now = now;
  }

  request(job: CompileJob): void {
    this.done.push(runJob(job, this.now));
  }
  collect(): CompileResult[] {
    return this.done.splice(0);
  }
  dispose(): void {}
}
