/**
 * Machine-thread side of the recompiler: which places are hot, what is compiled, where it is installed, when it is thrown away. The code it
 * manages is found by place in memory (byte of the shared memory), code mode and privilege, never by linear address, so no remapping touches it.
 */
import { CPU_STATE_BASE, GUEST_RAM_BASE } from '../../memory/layout.ts';
import { SJ_PIECE, SJ_READY, SJ_THRESHOLD } from '../interp/wasm/jitoffsets.ts';
import { S_FEATURES } from '../interp/wasm/stateoffsets.ts';
import type { RegionSource } from './codelisting.ts';
import { CodeCache, MAX_REGIONS, type RegionModule } from './codecache.ts';
import type { CodePage } from './codepages.ts';
import type { CodeMode } from './decode.ts';
import { CodeWatch, PAGE, type PagePart } from './codewatch.ts';
import { POOL_UNIT } from './dispatchemitter.ts';
import { MISS_COUNT, MISS_TARGET_COUNT, MISS_TARGETS } from './dispatchtable.ts';
import { type Helpers, HELPERS, type WasmFunction, X87_HELPERS } from './helpers.ts';
import { PageCopies } from './pagecopies.ts';
import type { HotRegion } from '../statistics.ts';
import { addCounts, RegionCounters, type RegionExits } from './regioncounters.ts';
import { CompileLoad } from './compileload.ts';
import { type CompiledJob, type CompileResult, type CompileService, TICK_MS } from './service.ts';

/** Run.mode values that are compiled (runstate.ts). */
const MODE_16 = 0;
const MODE_64 = 2;
const MODE_FLAT = 3;

const bitsOf = (mode: number): CodeMode => (mode === MODE_64 ? 64 : mode === MODE_FLAT ? 32 : 16);
/** Pages beside the hot one, as distances in linear space, that its regions may take in. */
const BESIDE = [1, -1];

/** Times that a region is compiled again to take in what it calls. */
const MAX_AGAIN = 6;
/**
 * Most ms between two reports of targets that a region does not have, for it to be compiled again. It costs V8 some twelve, and spares ten nanoseconds for each of the `missPeriod` ways there:
 * what reports every 50 ms has it back after four seconds, what runs seldom never would.
 */
const MISSES_WITHIN_MS = 50;
/** Pages that one is made from, and how far the others may be from the entry's. */
const MAX_PAGES = 10;
const MAX_DISTANCE = 1 << 17;

export interface Tuning {
  /** Instructions between two samples. */
  piece: number;
  /** What makes a place hot: a sample counts for 512, an exit from compiled code to it for four, another arrival for one (interp/wasm/jitheat.ts). */
  threshold: number;
  /** Places have to be hotter while many are compiled (compileload.ts); needs `now`. */
  adaptive: boolean;
  /** Targets that a region does not have between two reports of them, a power of two. */
  missPeriod: number;
  /** Jumps to where control never came, as far as the interpreter knows, leave a region. */
  reachedOnly: boolean;
  /** Milliseconds, for statistics. */
  now: () => number;
}
export const DEFAULT_TUNING: Tuning = {
  piece: 8000,
  threshold: 5120,
  adaptive: false,
  missPeriod: 16384,
  reachedOnly: false,
  now: () => 0,
};

interface Region {
  key: number;
  /** Byte of the shared memory where it begins. */
  host: number;
  mode: number;
  user: number;
  /** Function in the table. */
  index: number;
  /** What it was made from; `delta`: pages from the entry's page in linear space. */
  parts: (PagePart & { delta: number })[];
  module: RegionModule<Region>;
  /** Its memory in the pool; 0 when it needs none. */
  pool: number;
  /** What it was given to take in, and how often it was compiled again for that. */
  hints: number[];
  again: number;
  /** When it last reported targets that it does not have, ms; when it was installed before. */
  missedAt: number;
  /** Slot of RegionCounters; 0 while nobody counts. */
  counters: number;
}

interface Job {
  key: number;
  host: number;
  mode: number;
  user: number;
  /** What the compiler was given, the entry's page first, and the numbers of these pages. */
  copies: CodePage[];
  pages: number[];
  hints: number[];
  again: number;
  counters: number;
}

export interface RecompilerCounts {
  compiled: number;
  alive: number;
  evicted: number;
  invalidated: number;
  modules: number;
  totalMs: number;
  maxMs: number;
  offThreadMs: number;
  wasmBytes: number;
  wasmBytesAlive: number;
}

/** Times that a place is found hot while it is being compiled (each four samples, interp/wasm/jitheat.ts) until others are no longer gathered for its module. */
const IMPATIENT = 2;

/** Fewer regions that nobody uses are not worth collecting. */
const WORTHWHILE = 32;

/** Regions handed out by `hottest`. */
const HOTTEST = 256;

function together(a: HotRegion | undefined, b: HotRegion): HotRegion {
  if (!a?.exits || !b.exits) return b;
  return { ...b, ...addCounts({ ...a, exits: a.exits }, { ...b, exits: b.exits }) };
}

export class Recompiler {
  private readonly memory: WebAssembly.Memory;
  private readonly copies: PageCopies;
  private readonly words: Int32Array;
  private readonly helpers: Helpers;
  private readonly imports: Record<string, WasmFunction>;
  private readonly table: WebAssembly.Table;
  private readonly service: CompileService;
  private readonly now: () => number;
  private readonly counters: RegionCounters;
  private counting = false;
  /** Of regions that are gone, by key. */
  private readonly retired = new Map<number, HotRegion>();
  private readonly regions = new Map<number, Region>();
  private readonly watch: CodeWatch<Region>;
  private readonly cache: CodeCache<Region>;
  private readonly jobs = new Map<number, Job>();
  /** Keys of what is being compiled, and how often each was found hot again since. */
  private readonly pending = new Map<number, number>();
  private nextJob = 1;
  private ticked: number;
  /** Regions that have memory in the pool, by its address. */
  private readonly byPool = new Map<number, Region>();
  private readonly missPeriod: number;
  private readonly reachedOnly: boolean;
  private readonly threshold: number;
  private readonly load: CompileLoad | undefined;
  readonly counts: RecompilerCounts = {
    compiled: 0,
    alive: 0,
    evicted: 0,
    invalidated: 0,
    modules: 0,
    totalMs: 0,
    maxMs: 0,
    offThreadMs: 0,
    wasmBytes: 0,
    wasmBytesAlive: 0,
  };

  constructor(memory: WebAssembly.Memory, helpers: Helpers, table: WebAssembly.Table, service: CompileService, tuning: Tuning) {
    this.memory = memory;
    this.copies = new PageCopies(new Uint8Array(memory.buffer));
    this.words = new Int32Array(memory.buffer);
    this.helpers = helpers;
    this.imports = Object.fromEntries([...HELPERS, ...X87_HELPERS].map((name) => [name, helpers[name]]));
    this.table = table;
    this.service = service;
    this.counters = new RegionCounters(memory);
    this.watch = new CodeWatch(helpers);
    this.cache = new CodeCache(memory);
    this.now = tuning.now;
    this.ticked = this.now();
    this.missPeriod = tuning.missPeriod;
    this.reachedOnly = tuning.reachedOnly;
    this.threshold = tuning.threshold;
    this.load = tuning.adaptive ? new CompileLoad(tuning.now) : undefined;
    this.words[(CPU_STATE_BASE + SJ_PIECE) >> 2] = tuning.piece;
    this.words[(CPU_STATE_BASE + SJ_THRESHOLD) >> 2] = tuning.threshold;
  }

  /** The place is hot (import jitHot). */
  hot(host: number, mode: number, user: number): void {
    if (mode !== MODE_64 && mode !== MODE_FLAT && mode !== MODE_16) return;
    const key = (host * 4 + mode) * 2 + user;
    if (this.regions.has(key)) return;
    const waited = this.pending.get(key);
    if (waited !== undefined) {
      this.pending.set(key, waited + 1);
      if (waited + 1 === IMPATIENT) this.service.hurry();
      return;
    }
    if (this.watch.refuses(Math.floor(host / PAGE), key)) return;
    this.compile({ key, host, mode, user }, BESIDE, [], 0);
    this.load?.request();
    this.collect();
  }

  /** Calls and indirect branches of the region with its memory at `pool` often went to places that it does not have (import jitMiss). */
  missed(pool: number): void {
    const region = this.byPool.get(pool);
    if (!region || region.again >= MAX_AGAIN || this.pending.has(region.key)) return;
    const now = this.now();
    const seldom = now - region.missedAt > MISSES_WITHIN_MS;
    region.missedAt = now;
    if (seldom) return;
    const word = (at: number): number => this.words[(pool + at) >> 2]!;
    const count = Math.min(MISS_TARGET_COUNT, word(MISS_COUNT));
    const targets = new Set(Array.from({ length: count }, (_, i) => word(MISS_TARGETS + i * 4)));
    const fresh = [...targets].filter((offset) => !region.hints.includes(offset) && Math.abs(offset >> 12) <= MAX_DISTANCE);
    if (!fresh.length) return;
    const hints = [...region.hints, ...fresh];
    const deltas = new Set([...hints.map((offset) => offset >> 12), ...BESIDE]);
    deltas.delete(0);
    this.compile(region, deltas, hints, region.again + 1);
    // Nothing is installed while a region runs.
    Atomics.store(this.words, (CPU_STATE_BASE + SJ_READY) >> 2, 1);
  }

  /** Has a region compiled, from its own page and those at these distances that are known. */
  private compile(place: Pick<Region, 'key' | 'host' | 'mode' | 'user'>, deltas: Iterable<number>, hints: number[], again: number): void {
    const { host } = place;
    const number = Math.floor(host / PAGE);
    const pages: CodePage[] = [this.copies.take(0, number * PAGE, this.reachedOf(number * PAGE, place.mode))];
    for (const delta of deltas) {
      const beside = this.helpers.jitPageBeside(host, delta) >>> 0;
      if (beside && pages.length < MAX_PAGES) pages.push(this.copies.take(delta, beside, this.reachedOf(beside, place.mode)));
    }
    this.request(place, pages, hints, again);
  }

  private request(place: Pick<Region, 'key' | 'host' | 'mode' | 'user'>, pages: CodePage[], hints: number[], again: number): void {
    const { key, host, mode, user } = place;
    const id = this.nextJob++;
    const numbers = pages.map((page) => page.host / PAGE);
    for (const each of numbers) this.watch.expect(each);
    this.pending.set(key, 0);
    const counters = this.counting ? this.counters.take() : 0;
    this.jobs.set(id, { key, host, mode, user, copies: pages, pages: numbers, hints, again, counters });
    this.service.request({
      id,
      pages,
      entry: host % PAGE,
      mode: bitsOf(mode),
      user: user === 1,
      features: this.words[(CPU_STATE_BASE + S_FEATURES) >> 2]!,
      counters,
      hints,
      missPeriod: this.missPeriod,
    });
  }

  /** Installs what is finished (import jitCollect). */
  collect(): void {
    Atomics.store(this.words, (CPU_STATE_BASE + SJ_READY) >> 2, 0);
    for (const result of this.service.collect()) this.finished(result);
    if (this.load) this.words[(CPU_STATE_BASE + SJ_THRESHOLD) >> 2] = Math.round(this.threshold * this.load.factor());
    if (this.now() - this.ticked >= TICK_MS) this.tick();
  }

  /** Throws away what was not used for a minute: most of what a boot compiles never runs again, and takes memory. */
  private tick(): void {
    this.ticked = this.now();
    const cold = this.cache.tick();
    if (cold.reduce((sum, { regions }) => sum + regions.size, 0) >= WORTHWHILE) this.evict(cold);
  }

  /** `size` bytes at `host` were written (import jitWritten). */
  written(host: number, size: number): void {
    for (const region of this.watch.written(host, size)) {
      this.counts.invalidated++;
      this.drop(region);
    }
  }

  /** Throws everything away. */
  clear(): void {
    for (const region of [...this.regions.values()]) this.drop(region);
    this.watch.spoil();
  }

  /** From now on every region counts for itself, or none does: those that are there are compiled anew. What was counted before is forgotten. */
  setCounting(on: boolean): void {
    if (on === this.counting) return;
    this.counting = on;
    this.retired.clear();
    for (const region of this.regions.values()) {
      if (this.pending.has(region.key)) continue;
      const pages = this.pagesOf(region);
      this.request(region, pages, region.hints, region.again);
    }
    this.collect();
  }

  /** The regions that were entered since counting began, the hottest first. */
  hottest(): HotRegion[] {
    const found = new Map(this.retired);
    for (const region of this.regions.values()) {
      const counted = this.countedRegion(region);
      if (counted) found.set(region.key, together(found.get(region.key), counted));
    }
    return [...found.values()].sort((a, b) => b.instructions - a.instructions).slice(0, HOTTEST);
  }

  /** Of all regions together; undefined while nobody counts. */
  exits(): RegionExits | undefined {
    if (!this.counting) return undefined;
    const sum: RegionExits = { linked: 0, unlinked: 0, slice: 0, step: 0, faults: 0, interpreter: 0 };
    const alive = [...this.regions.values()].map((region) => this.countedRegion(region));
    for (const counted of [...this.retired.values(), ...alive])
      for (const cause of Object.keys(sum) as (keyof RegionExits)[]) sum[cause] += counted?.exits?.[cause] ?? 0;
    return sum;
  }

  /** Keeps what a region counted that goes. */
  private retire(region: Region): void {
    const counted = this.counting && this.countedRegion(region);
    this.counters.release(region.counters);
    region.counters = 0;
    if (!counted) return;
    this.retired.set(region.key, together(this.retired.get(region.key), counted));
    if (this.retired.size < 2 * MAX_REGIONS) return;
    for (const [key] of [...this.retired].sort(([, a], [, b]) => a.instructions - b.instructions).slice(0, MAX_REGIONS))
      this.retired.delete(key);
  }

  private countedRegion({ counters, host, mode, parts }: Region): HotRegion | undefined {
    if (!counters) return undefined;
    const { entries, instructions, exits } = this.counters.read(counters);
    if (!entries) return undefined;
    return {
      address: `0x${(this.counters.page(counters) + BigInt(host % PAGE)).toString(16)}`,
      ...(host >= GUEST_RAM_BASE ? { physical: host - GUEST_RAM_BASE } : {}),
      bits: bitsOf(mode),
      instructions,
      entries,
      bytes: parts.reduce((sum, { low, high }) => sum + high - low, 0),
      sampled: false,
      exits,
      tier: 'compiled',
    };
  }

  /** Copies of the pages that a region was made from, the entry's first. */
  private pagesOf({ parts, mode }: Region): CodePage[] {
    return [...parts]
      .sort((a, b) => Math.abs(a.delta) - Math.abs(b.delta))
      .map(({ delta, page }) => this.copies.apart(delta, page * PAGE, this.reachedOf(page * PAGE, mode)));
  }

  /** What the regions were made of that hold the byte `host` (of where control went: what is known now), each with the distance of that byte's page from the entry's. */
  sourcesAt(host: number): { source: RegionSource; delta: number }[] {
    const number = Math.floor(host / PAGE);
    const at = host % PAGE;
    return [...this.watch.regionsOf(number)].flatMap((region) => {
      const part = region.parts.find(({ page, low, high }) => page === number && low <= at && high > at);
      if (!part) return [];
      const source: RegionSource = {
        pages: this.pagesOf(region),
        entry: region.host % PAGE,
        mode: bitsOf(region.mode),
        user: region.user === 1,
        features: this.words[(CPU_STATE_BASE + S_FEATURES) >> 2]!,
        hints: region.hints,
      };
      return [{ source, delta: part.delta }];
    });
  }

  dispose(): void {
    this.words[(CPU_STATE_BASE + SJ_PIECE) >> 2] = 0;
    this.service.dispose();
  }

  /** Where the memory has what is known of where control went in the page at `host`, until this is asked again; 0: nothing is known. */
  private reachedOf(host: number, mode: number): number {
    return this.reachedOnly ? this.helpers.jitReached(host, mode) >>> 0 : 0;
  }

  /** A module and the jobs that it was made for. */
  private finished(result: CompileResult): void {
    const start = this.now();
    this.counts.offThreadMs += result.ms;
    const jobs = result.jobs.flatMap(({ id, region: made }) => {
      const job = this.jobs.get(id);
      return job ? [{ id, job, made, parts: this.partsOf(job, made) }] : [];
    });
    const fresh = jobs.filter(({ made, parts }) => made && !parts.some((part) => this.watch.stale(part)));
    const place = result.module && fresh.length ? this.place(result) : undefined;
    if (result.module && place) {
      new WebAssembly.Instance(result.module, {
        h: this.imports,
        e: {
          m: this.memory,
          t: this.table,
          p: new WebAssembly.Global({ value: 'i32' }, place.pool),
          i: new WebAssembly.Global({ value: 'i32' }, place.first),
        },
      });
      const alive = new Set(fresh.map(({ made }) => made!.number));
      for (let number = 0; number < place.size; number++) if (!alive.has(number)) this.table.set(place.first + number, null);
      for (const { job, made, parts } of fresh) this.install(job, made!, parts, place);
      this.counts.modules++;
      this.counts.wasmBytes += result.wasmBytes;
      this.counts.wasmBytesAlive = this.cache.wasmBytes;
    }
    for (const { id, job, made } of jobs) {
      this.jobs.delete(id);
      this.pending.delete(job.key);
      this.copies.give(job.copies);
      if (!made) this.watch.refuse(job.pages[0]!, job.key);
      this.counters.release(job.counters);
      for (const number of job.pages) this.watch.expected(number);
    }
    const ms = this.now() - start;
    this.counts.totalMs += ms;
    this.counts.maxMs = Math.max(this.counts.maxMs, ms, result.ms);
  }

  private partsOf(job: Job, made: CompiledJob['region']): Region['parts'] {
    return made?.parts.map(({ page, low, high }) => ({ page: job.pages[page]!, delta: job.copies[page]!.delta, low, high })) ?? [];
  }

  private install(job: Job, made: NonNullable<CompiledJob['region']>, parts: Region['parts'], module: RegionModule<Region>): void {
    const { key, host, mode, user, hints, again, counters } = job;
    const pool = made.units ? module.pool + made.pool * POOL_UNIT : 0;
    if (made.table) this.words.set(made.table, pool >> 2);
    const records = pool + (made.table ? made.table.length * 4 : 0);
    made.fallbacks.forEach((at, i) => {
      this.helpers.jitDecode(records + i * POOL_UNIT, at, mode);
    });
    // The one that it takes the place of.
    const old = this.regions.get(key);
    if (old) this.drop(old);
    const index = module.first + made.number;
    const region: Region = { key, host, mode, user, index, parts, module, pool, hints, again, missedAt: this.now(), counters };
    this.regions.set(key, region);
    module.regions.add(region);
    if (pool) this.byPool.set(pool, region);
    this.watch.add(region);
    this.helpers.jitInstall(host, mode, user, region.index);
    this.counts.compiled++;
    this.counts.alive++;
    job.counters = 0;
  }

  /** Room for a module, for which the coldest ones may have to go. */
  private place({ jobs, wasmBytes, units }: CompileResult): RegionModule<Region> | undefined {
    const size = jobs.filter(({ region }) => region).length;
    for (;;) {
      const place = this.cache.take(size, wasmBytes, units);
      if (place || !this.cache.modules.size) return place;
      this.evict(this.cache.coldest());
    }
  }

  private evict(modules: RegionModule<Region>[]): void {
    for (const module of modules)
      for (const region of [...module.regions]) {
        this.counts.evicted++;
        this.drop(region);
      }
    this.service.evicted();
  }

  private drop(region: Region): void {
    const { module } = region;
    this.helpers.jitUninstall(region.host, region.mode, region.user, region.index);
    this.regions.delete(region.key);
    this.watch.remove(region);
    this.table.set(region.index, null);
    this.retire(region);
    if (region.pool) this.byPool.delete(region.pool);
    module.regions.delete(region);
    if (!module.regions.size) this.cache.release(module);
    this.counts.alive--;
    this.counts.wasmBytesAlive = this.cache.wasmBytes;
  }
}
