import { beforeEach, describe, expect, it } from 'vitest';
import type { Accelerator, CpuExit } from '../cpu/accelerator.ts';
import { Mailbox } from '../memory/mailbox.ts';
import { createVmMemory } from '../memory/vmmemory.ts';
import { HostMachineClock } from './machineclock.ts';
import { RunLoop } from './runloop.ts';

/** Nanoseconds of the pretended host. */
let host: number;
let clock: HostMachineClock;
let mailbox: Mailbox;
let loop: RunLoop;
/** What the guest does in each slice; the loop stops when there is no more. */
let slices: ((budget: number) => CpuExit)[];
let log: string[];
let instructions: number;
let exitRequests: number;
let interruptsEnabled: boolean;
const memory = createVmMemory(1 << 20);

beforeEach(() => {
  host = 5e9;
  slices = [];
  log = [];
  instructions = 0;
  exitRequests = 0;
  interruptsEnabled = true;
  clock = new HostMachineClock(
    () => host,
    () => 0,
  );
  mailbox = new Mailbox(memory);
  mailbox.take();
  const accelerator = {
    run: (budget: number): CpuExit => {
      const slice = slices.shift();
      if (slice) return slice(budget);
      loop.stop();
      return 'budget';
    },
    requestExit: () => exitRequests++,
    get instructions() {
      return instructions;
    },
    get interruptsEnabled() {
      return interruptsEnabled;
    },
  } as unknown as Accelerator;
  loop = new RunLoop({
    accelerator,
    clock,
    mailbox,
    drain: () => log.push('drain'),
    afterSlice: () => log.push('after'),
    onShutdown: () => log.push('shutdown'),
    onHalted: () => log.push('halted'),
  });
});

/** A slice that takes `ns` of host time and `count` instructions. */
const slice =
  (ns: number, count = 100, exit: CpuExit = 'budget') =>
  (): CpuExit => {
    host += ns;
    instructions += count;
    return exit;
  };

/** A slice that first does something else. */
const then =
  (action: (budget: number) => void, last: () => CpuExit) =>
  (budget: number): CpuExit => {
    action(budget);
    return last();
  };

describe('the run loop', () => {
  it('starts paused, with machine time at rest', () => {
    host += 1e9;
    expect([loop.paused, clock.now()]).toEqual([true, 0]);
    loop.resume();
    host += 5;
    expect(clock.now()).toBe(5);
  });

  it('fires due timers between slices, in order', () => {
    const fired: string[] = [];
    clock.createTimer(() => fired.push('late')).arm(3000);
    clock.createTimer(() => fired.push('early')).arm(1000);
    slices = [slice(500), then(() => expect(fired).toEqual([]), slice(2000)), then(() => expect(fired).toEqual(['early']), slice(1000))];
    loop.resume();
    loop.run();
    expect(fired).toEqual(['early', 'late']);
    expect(log).toEqual(['after', 'after', 'after', 'after']);
  });

  it('gives the guest less to do before a deadline, and asks it back when an earlier one comes up', () => {
    const budgets: number[] = [];
    const timer = clock.createTimer(() => {});
    const note = (budget: number) => budgets.push(budget);
    slices = [
      then(note, slice(1e6, 100_000)),
      then(
        (budget) => {
          note(budget);
          timer.arm(clock.now() + 10_000_000);
        },
        slice(1e6, 100_000),
      ),
      then(() => {
        const before = exitRequests;
        timer.arm(clock.now() + 100);
        expect(exitRequests).toBe(before + 1);
      }, slice(50)),
      then(note, slice(100)),
    ];
    loop.resume();
    loop.run();
    expect(budgets).toHaveLength(3);
    expect(budgets[1]!).toBeGreaterThan(budgets[0]!);
    expect(budgets[2]!).toBe(500);
  });

  it('reports a shutdown, and a halt that nothing can end', () => {
    slices = [
      slice(1, 10, 'shutdown'),
      then(
        () => {
          interruptsEnabled = false;
          mailbox.ring();
        },
        slice(1, 10, 'halt'),
      ),
    ];
    loop.resume();
    loop.run();
    expect(log).toEqual(['after', 'shutdown', 'after', 'halted', 'drain', 'after']);
  });

  it('sleeps a halt away until the next timer, but not when someone rang meanwhile', () => {
    let fired = 0;
    clock.createTimer(() => fired++).arm(40_000_000);
    const start = performance.now();
    slices = [
      slice(1, 10, 'halt'),
      () => {
        mailbox.ring();
        host += 50_000_000;
        return 'halt';
      },
    ];
    loop.resume();
    // The pretended clock stands still in the sleep, so it ends by the real one.
    loop.run();
    expect(performance.now() - start).toBeGreaterThan(35);
    expect([fired, log.filter((entry) => entry === 'drain').length]).toEqual([1, 1]);
    expect(log).not.toContain('halted');
  });

  it('runs no guest code while paused and goes on where time stopped', () => {
    let seen = -1;
    slices = [
      () => {
        loop.pause();
        // Someone resumes it: the loop drains the mailbox first.
        mailbox.ring();
        return slice(100)();
      },
      () => {
        seen = clock.now();
        return 'budget';
      },
    ];
    loop.resume();
    const drained = () => {
      host += 1e9;
      loop.resume();
    };
    (loop as unknown as { options: { drain(): void } }).options.drain = drained;
    loop.run();
    expect(seen).toBe(0);
    expect(loop.paused).toBe(false);
  });

  it('a timer that pauses the machine keeps the guest from running', () => {
    clock.createTimer(() => loop.pause()).arm(100);
    slices = [
      slice(200),
      then(() => {
        log.push('ran');
        loop.stop();
      }, slice(1)),
    ];
    const options = (loop as unknown as { options: { drain(): void; afterSlice(): void } }).options;
    let after = 0;
    options.afterSlice = () => {
      if (++after === 2) {
        loop.stop();
        mailbox.ring();
      }
    };
    loop.resume();
    loop.run();
    expect(log).not.toContain('ran');
    expect(loop.paused).toBe(true);
  });
});

describe('machine time', () => {
  it('does not pass while paused, however often it is told', () => {
    clock.resume();
    host += 100;
    clock.pause();
    host += 1000;
    clock.pause();
    host += 1000;
    expect(clock.now()).toBe(100);
    clock.resume();
    clock.resume();
    host += 7.9;
    expect(clock.now()).toBe(107);
  });
});
