import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_NO_MEDIUM, BLOCK_OK, type BlockStatus } from '../backend/asyncblock.ts';
import { type Accelerator, type CpuExit, END_AFTER_MIN } from '../cpu/accelerator.ts';
import { FakeBlockDevice } from '../devices/testing/fakeblock.ts';
import { Mailbox } from '../memory/mailbox.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { InputSchedule, type TimedInput } from './inputschedule.ts';
import { InstructionClock, LATENCY_NS, NS_PER_INSTRUCTION } from './instructionclock.ts';
import { RunLoop } from './runloop.ts';
import { TimedDrive } from './timeddrive.ts';

const START = Date.UTC(2026, 0, 1);
const memory = createVmMemory(1 << 20);

/** A processor that does nothing but count, and runs callbacks in the middle of its slices. */
class CountingCpu {
  instructions = 0;
  interruptsEnabled = true;
  intr: number[] = [];
  halted = false;
  exitRequested = false;
  /** What guest code does at an instruction: at most once each. */
  readonly script = new Map<number, () => void>();
  private end = 0;

  run(budget: number, exact: boolean): CpuExit {
    expect(exact).toBe(true);
    this.end = this.instructions + budget;
    this.exitRequested = false;
    while (this.instructions < this.end) {
      if (this.halted) return 'halt';
      const [next] = [...this.script.keys()].sort((a, b) => a - b);
      if (next === undefined || next >= this.end) {
        this.instructions = this.end;
        break;
      }
      this.instructions = next;
      const action = this.script.get(next)!;
      this.script.delete(next);
      action();
      this.instructions++;
      if (this.exitRequested) break;
    }
    return 'budget';
  }

  endAfter(count: number): void {
    expect(count).toBeGreaterThanOrEqual(END_AFTER_MIN);
    this.end = Math.min(this.end, this.instructions + count);
  }

  requestExit(): void {
    this.exitRequested = true;
  }
}

let cpu: CountingCpu;
let clock: InstructionClock;
let mailbox: Mailbox;
let loop: RunLoop;
let drained: () => void;

function make(host?: () => number): void {
  cpu = new CountingCpu();
  clock = new InstructionClock({ startMs: START, ...(host ? { host } : {}) });
  clock.attach(cpu as unknown as Accelerator);
  mailbox = new Mailbox(memory);
  mailbox.take();
  drained = () => {};
  loop = new RunLoop({
    accelerator: cpu as unknown as Accelerator,
    clock,
    mailbox,
    drain: () => drained(),
    afterSlice: () => {},
    onShutdown: () => {},
  });
  loop.resume();
}

/** Runs to this machine time. */
function runTo(ns: number): void {
  clock.createTimer(() => loop.stop()).arm(ns);
  loop.run();
}

beforeEach(() => make());

describe('the clock of instructions', () => {
  it('counts ten nanoseconds an instruction, on a fixed date', () => {
    runTo(3_000_000);
    expect(cpu.instructions).toBe(300_000);
    expect(clock.now()).toBe(3_000_000);
    expect(clock.wallTime()).toBe(START + 3);
  });

  it('fires timers at exactly their instruction, the rest of one counting whole', () => {
    const at: number[] = [];
    for (const ns of [70_005, 1_234_560, 9_999_999]) clock.createTimer(() => at.push(cpu.instructions)).arm(ns);
    runTo(20_000_000);
    expect(at).toEqual([7_001, 123_456, 1_000_000]);
  });

  it('a timer that a device arms in the middle of guest code is exact too, and never sooner than the latency', () => {
    const at: number[] = [];
    const soon = clock.createTimer(() => at.push(cpu.instructions));
    const later = clock.createTimer(() => at.push(cpu.instructions));
    cpu.script.set(1000, () => soon.arm(clock.now() + 10));
    cpu.script.set(50_000, () => later.arm(clock.now() + 777_770));
    runTo(5_000_000);
    expect(at).toEqual([1000 + END_AFTER_MIN, 50_000 + 77_777]);
  });

  it('what devices do to the processor in the middle of guest code comes a fixed number of instructions later', () => {
    const seen: string[] = [];
    const raise = clock.deferred(() => seen.push(`raised at ${cpu.instructions}`));
    cpu.script.set(5000, () => raise.request());
    cpu.script.set(20_000, () => raise.request());
    cpu.script.set(20_100, () => raise.cancel());
    cpu.script.set(30_000, () => raise.request());
    cpu.script.set(30_400, () => raise.request());
    const timer = clock.createTimer(() => raise.request());
    timer.arm(600_000);
    runTo(2_000_000);
    // Between slices it is at once.
    expect(seen).toEqual([`raised at ${5000 + END_AFTER_MIN}`, `raised at ${30_000 + END_AFTER_MIN}`, 'raised at 60000']);
  });

  it('is the same whatever interrupts the slices from outside', () => {
    const run = (disturb: boolean): string => {
      make();
      const seen: string[] = [];
      const timer = clock.createTimer(() => {
        seen.push(`${cpu.instructions}`);
        timer.arm(clock.now() + 333_330);
      });
      timer.arm(100);
      const raise = clock.deferred(() => seen.push(`r${cpu.instructions}`));
      for (let i = 1; i < 40; i++) {
        cpu.script.set(i * 9_973, () => raise.request());
        if (disturb) cpu.script.set(i * 7_001, () => cpu.requestExit());
        if (disturb) cpu.script.set(i * 9_973 + 300, () => cpu.requestExit());
      }
      runTo(5_000_000);
      return seen.join(' ');
    };
    expect(run(true)).toBe(run(false));
  });

  it('jumps over the time that the guest sleeps', () => {
    let woken = 0;
    const alarm = clock.createTimer((now) => {
      woken = now;
      cpu.halted = false;
    });
    cpu.script.set(1000, () => {
      alarm.arm(clock.now() + 60e9);
      cpu.halted = true;
    });
    const start = performance.now();
    runTo(61e9);
    expect(woken).toBe(60e9 + 10_000);
    expect(performance.now() - start).toBeLessThan(5000);
    expect(cpu.instructions).toBeLessThan(100_001_000);
  });

  it('when paced, sleeps as long as the guest, but never to catch up', () => {
    let host = 0;
    make(() => host);
    const waits: (number | undefined)[] = [];
    const idle = () => clock.idle((ms) => waits.push(ms));
    const timer = clock.createTimer(() => {});
    timer.arm(8_000_000);
    // The host is where the guest is: waits; the timer comes only when it was waited for.
    idle();
    expect([waits, clock.now()]).toEqual([[8], 0]);
    host = 8_000_000;
    idle();
    expect([waits.length, clock.now()]).toEqual([1, 8_000_000]);
    // The guest was slower than the host: no waiting until it is level.
    timer.arm(10_000_000);
    host = 20_000_000;
    idle();
    expect([waits.length, clock.now()]).toEqual([1, 10_000_000]);
    // Pauses do not count.
    timer.arm(21_000_000);
    loop.pause();
    host += 5e9;
    loop.resume();
    idle();
    expect([waits, clock.now()]).toEqual([[8, 1], 10_000_000]);
  });
});

describe('a drive that takes its time', () => {
  /** Reads at instruction 1000 and 40000; gives the instructions at which the answers came. */
  function read(hostIsSlow: boolean): [number, BlockStatus][] {
    make();
    const disk = new FakeBlockDevice(new Uint8Array(8192).fill(7));
    const seen: [number, BlockStatus][] = [];
    let waits = 0;
    const drive = new TimedDrive(disk, clock, () => {
      if (++waits % 3 === 0) disk.run();
      return true;
    });
    const target = new Uint8Array(4096);
    const request = () => {
      drive.read(0, [target], (status) => {
        expect(target[4095]).toBe(7);
        seen.push([cpu.instructions, status]);
      });
      expect(seen.length).toBeLessThan(2);
      if (!hostIsSlow) disk.run();
    };
    cpu.script.set(1000, request);
    cpu.script.set(40_000, request);
    runTo(2_000_000);
    expect(waits > 0).toBe(hostIsSlow);
    return seen;
  }

  it('answers at the same instruction, however long the host needs', () => {
    const quick = read(false);
    expect(quick).toHaveLength(2);
    expect(quick[0]![0]).toBeGreaterThan(1000 + END_AFTER_MIN);
    expect(quick[0]![1]).toBe(BLOCK_OK);
    expect(read(true)).toEqual(quick);
  });

  it('without a medium says so later, and a machine that stops does not wait', () => {
    const seen: BlockStatus[] = [];
    new TimedDrive(new FakeBlockDevice(undefined), clock, () => true).read(0, [], (status) => seen.push(status));
    expect(seen).toEqual([]);
    runTo(1_000_000);
    expect(seen).toEqual([BLOCK_NO_MEDIUM]);
    make();
    new TimedDrive(new FakeBlockDevice(new Uint8Array(512)), clock, () => false).flush((status) => seen.push(status));
    runTo(1_000_000);
    expect(seen).toEqual([BLOCK_NO_MEDIUM]);
  });
});

describe('recorded input', () => {
  it('comes again at the same instructions, and nothing else does', () => {
    const applied: string[] = [];
    const record: TimedInput<string>[] = [];
    const inputs = new InputSchedule<string>(clock, (text) => applied.push(`${text} at ${cpu.instructions}`));
    inputs.onApplied = (timed) => record.push(timed);
    const queue = ['a', 'b', 'c'];
    drained = () => inputs.submit(queue.shift()!);
    for (const at of [10_007, 10_100, 77_777])
      cpu.script.set(at, () => {
        mailbox.ring();
        cpu.requestExit();
      });
    runTo(2_000_000);
    expect(applied).toHaveLength(3);
    expect(record.map(({ input }) => input)).toEqual(['a', 'b', 'c']);

    const first = [...applied];
    make();
    const again: string[] = [];
    const replay = new InputSchedule<string>(clock, (text) => again.push(`${text} at ${cpu.instructions}`));
    replay.replay(JSON.parse(JSON.stringify(record)));
    replay.submit('someone types');
    cpu.script.set(50_000, () => cpu.requestExit());
    runTo(2_000_000);
    expect(again).toEqual(first);
  });

  it('takes at least the latency, and an idle machine takes it at once', () => {
    const at: number[] = [];
    const inputs = new InputSchedule<string>(clock, () => at.push(clock.now()));
    cpu.halted = true;
    inputs.submit('x');
    runTo(1_000_000);
    expect(at[0]! - LATENCY_NS).toBeGreaterThanOrEqual(0);
    expect(at[0]! - LATENCY_NS).toBeLessThanOrEqual(NS_PER_INSTRUCTION);
  });
});
