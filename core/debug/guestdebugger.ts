import type { Accelerator } from '../cpu/accelerator.ts';
import { codeLinear } from '../cpu/cpustate.ts';
import type { DebugSettings, DebugStop } from '../cpu/debugcontrol.ts';
import type { GuestProfile } from '../cpu/statistics.ts';
import type { GuestMemory } from '../memory/guestmemory.ts';
import { PM_READ, PM_WRITE } from '../memory/layout.ts';
import type { DebugAnswers, DebugRequest } from './debugrequest.ts';
import { translateLinear } from './pagewalk.ts';

/** Most bytes read or written by one request. */
const MAX_TRANSFER = 1 << 20;
const PAGE = 4096n;
const NO_SETTINGS: DebugSettings = { breakpoints: [], watchpoints: [] };

export interface GuestDebuggerOptions {
  accelerator: Accelerator;
  memory: GuestMemory;
  /** The machine thread's loop. */
  pause(): void;
  resume(): void;
  /** What the machine adds to a profile. */
  profile(): Omit<GuestProfile, 'statistics'>;
  /** The guest stopped at something the debugger set. */
  onStop(stop: DebugStop): void;
}

/** The debugger's hands on the machine thread: answers requests between slices of guest code. */
export class GuestDebugger {
  private readonly options: GuestDebuggerOptions;
  private settings = NO_SETTINGS;
  private attached = false;
  /** Where the guest stands because of a breakpoint: going on steps over that one. */
  private standsAt: bigint | undefined;
  private steppingOver = false;

  constructor(options: GuestDebuggerOptions) {
    this.options = options;
  }

  handle(request: DebugRequest): DebugAnswers[DebugRequest['op']] {
    const { accelerator } = this.options;
    switch (request.op) {
      case 'attach':
        this.attached = true;
        this.options.pause();
        return null;
      case 'detach':
        this.attached = false;
        this.set(NO_SETTINGS);
        this.forget();
        return null;
      case 'state':
        return accelerator.getState();
      case 'setState':
        accelerator.setState(request.state);
        return null;
      case 'read':
        return this.read(request.space, request.address, request.length);
      case 'write':
        return this.write(request.space, request.address, request.bytes);
      case 'translate':
        return this.translate(request.address) ?? null;
      case 'settings':
        this.set(request.settings);
        return null;
      case 'go':
        this.go(request.step);
        return null;
      case 'halt':
        this.options.pause();
        this.forget();
        return null;
      case 'compiled':
        return this.compiled(request.address);
      case 'countRegions':
        accelerator.countRegions?.(request.on);
        return null;
      case 'profile':
        return { statistics: accelerator.statistics(), ...this.options.profile() };
    }
  }

  /** The accelerator gave 'debug'. */
  stopped(): void {
    const stop = this.options.accelerator.takeDebugStop();
    const steppingOver = this.steppingOver;
    this.steppingOver = false;
    // A debugger that left, or the step off a breakpoint before going on: nobody is told.
    if (!stop || !this.attached || (stop.cause === 'step' && steppingOver)) return;
    this.options.pause();
    if (stop.cause === 'breakpoint') this.standsAt = stop.address;
    this.options.onStop(stop);
  }

  private compiled(address: bigint): DebugAnswers['compiled'] {
    const physical = this.translate(address);
    if (physical === undefined || !this.isMemory(physical, PM_READ)) return [];
    const page = address - (address % PAGE);
    const host = (this.options.memory.physMap.entry(Number(physical)) & ~0xfff) >>> 0;
    return (this.options.accelerator.compiledAt?.(host + Number(address % PAGE)) ?? []).map(({ source, delta }) => ({
      source,
      linear: BigInt.asUintN(64, page - BigInt(delta) * PAGE),
    }));
  }

  private set(settings: DebugSettings): void {
    this.settings = settings;
    this.options.accelerator.setDebug(settings);
  }

  private go(step: boolean): void {
    const { accelerator } = this.options;
    this.steppingOver = false;
    const pc = this.pc();
    if (step) accelerator.armStep();
    else if (this.standsAt === pc && this.settings.breakpoints.includes(pc)) {
      accelerator.armStep();
      this.steppingOver = true;
    }
    this.standsAt = undefined;
    this.options.resume();
  }

  /** Disarms what was under way. */
  private forget(): void {
    this.options.accelerator.takeDebugStop();
    this.steppingOver = false;
    this.standsAt = undefined;
  }

  private pc(): bigint {
    return codeLinear(this.options.accelerator.getState());
  }

  private translate(linear: bigint): bigint | undefined {
    return translateLinear(this.options.accelerator.getState(), linear, (address, size) => {
      if (!this.isMemory(address, PM_READ) || !this.isMemory(address + BigInt(size - 1), PM_READ)) return undefined;
      const low = BigInt(this.options.memory.read32(Number(address)));
      return size === 4 ? low : low | (BigInt(this.options.memory.read32(Number(address) + 4)) << 32n);
    });
  }

  /** Plain memory that can be read, or written: device registers are not touched, because reading some changes them. */
  private isMemory(physical: bigint, need: number): boolean {
    return physical < 0x1_0000_0000n && (this.options.memory.physMap.entry(Number(physical)) & need) !== 0;
  }

  /** Runs `each` for every piece of a range that lies in one page, until one is not there. */
  private pieces(space: 'linear' | 'physical', address: bigint, length: number, need: number, each: Piece): number {
    const total = Math.min(length, MAX_TRANSFER);
    let done = 0;
    while (done < total) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const size = Math.min(total - done, Number(PAGE - (at % PAGE)));
      const physical = space === 'physical' ? at : this.translate(at);
      if (physical === undefined || !this.isMemory(physical, need)) break;
      each(Number(physical), done, size);
      done += size;
    }
    return done;
  }

  private read(space: 'linear' | 'physical', address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(Math.max(0, length), MAX_TRANSFER));
    const done = this.pieces(space, address, bytes.length, PM_READ, (physical, at, size) =>
      this.options.memory.read(physical, bytes.subarray(at, at + size)),
    );
    return bytes.slice(0, done);
  }

  private write(space: 'linear' | 'physical', address: bigint, bytes: Uint8Array): number {
    return this.pieces(space, address, bytes.length, PM_WRITE, (physical, at, size) =>
      this.options.memory.write(physical, bytes.subarray(at, at + size)),
    );
  }
}

type Piece = (physical: number, offset: number, size: number) => void;
