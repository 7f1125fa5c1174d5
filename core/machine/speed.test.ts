import { describe, expect, it } from 'vitest';
import type { Accelerator } from '../cpu/accelerator.ts';
import { HostMachineClock } from './machineclock.ts';
import { SpeedEstimate } from './speed.ts';

describe('the estimate of speed', () => {
  it('believes a slower measurement at once, a faster one little by little', () => {
    const speed = new SpeedEstimate();
    for (let i = 0; i < 100; i++) speed.measured(500_000, 1_000_000);
    expect(speed.value).toBeCloseTo(0.5, 2);
    speed.measured(50_000, 1_000_000);
    expect(speed.value).toBeCloseTo(0.05, 5);
    speed.measured(500_000, 1_000_000);
    expect(speed.value).toBeLessThan(0.1);
  });

  it('judges by several short slices together', () => {
    const speed = new SpeedEstimate();
    const before = speed.value;
    // 10 instructions in 15 microseconds say nothing alone.
    speed.measured(10, 15_000);
    expect(speed.value).toBe(before);
    speed.measured(10, 15_000);
    expect(speed.value).toBeCloseTo(20 / 30_000, 6);
  });
});

/**
 * A guest of changing speed (instructions a nanosecond) under the host's clock: compiled loops, interpreted code, and device accesses that take
 * microseconds each. Gives how late a timer of this period was, nanoseconds, and the slices a millisecond.
 */
function simulate(speedAt: (ns: number) => number, periodNs: number, totalNs: number): { worst: number; late: number[]; slices: number } {
  let host = 0;
  let instructions = 0;
  let stop = Number.POSITIVE_INFINITY;
  const clock = new HostMachineClock(
    () => host,
    () => 0,
  );
  const accelerator = { requestExit: () => {} } as unknown as Accelerator;
  clock.onNewEarliest = () => clock.hurry(accelerator);
  const late: number[] = [];
  let due = periodNs;
  const timer = clock.createTimer((now) => {
    late.push(now - due);
    due += periodNs;
    timer.arm(due);
  });
  timer.arm(due);
  let slices = 0;
  while (host < totalNs) {
    clock.runDue();
    const budget = clock.slice();
    let left = budget;
    stop = host + 50_000_000;
    while (left > 0 && host < stop) {
      const step = Math.min(left, 200);
      host += step / speedAt(host);
      left -= step;
    }
    instructions += budget - left;
    // Entering and leaving guest code.
    host += 1_000;
    clock.ended(budget - left);
    slices++;
  }
  expect(instructions).toBeGreaterThan(0);
  return { worst: Math.max(...late), late, slices: slices / (totalNs / 1e6) };
}

describe('slices of the host’s clock', () => {
  const PERIOD = 4_000_000;

  it('are about a millisecond for a guest of any speed', () => {
    for (const speed of [0.01, 0.1, 1, 5]) {
      const { late, slices } = simulate(() => speed, PERIOD, 2e9);
      // Once the speed is known.
      expect(Math.max(...late.slice(20))).toBeLessThan(150_000);
      expect(slices).toBeLessThan(4);
    }
  });

  it('keep timers punctual in a guest that turns fifty times slower now and then', () => {
    // 20 ms of compiled code, then 20 ms that keep asking devices.
    const { late, worst } = simulate((ns) => (Math.floor(ns / 20e6) % 2 ? 0.02 : 1), PERIOD, 4e9);
    // The one slice in which it turns slow cannot be foreseen: 1 ms of fast code is 50 ms of slow code.
    expect(worst).toBeLessThan(55_000_000);
    const sorted = [...late].sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length * 0.85)]).toBeLessThan(300_000);
  });

  it('end early when device accesses take the time', () => {
    let host = 0;
    const clock = new HostMachineClock(
      () => host,
      () => 0,
    );
    let asked = false;
    const accelerator = {
      requestExit: () => {
        asked = true;
      },
    } as unknown as Accelerator;
    for (let i = 0; i < 100; i++) {
      const budget = clock.slice();
      host += budget;
      clock.ended(budget);
    }
    // As many accesses as it has instructions would take a second.
    const start = host;
    for (let left = clock.slice(); left > 0 && !asked; left--) {
      host += 1000;
      clock.deviceCalled(accelerator);
    }
    expect(host - start).toBeLessThan(1_100_000);
    expect(host - start).toBeGreaterThan(900_000);
  });

  it('ask guest code back for a timer that a device arms within them', () => {
    let host = 0;
    let asked = 0;
    const clock = new HostMachineClock(
      () => host,
      () => 0,
    );
    const accelerator = { requestExit: () => asked++ } as unknown as Accelerator;
    clock.onNewEarliest = () => clock.hurry(accelerator);
    clock.slice();
    host += 1000;
    clock.createTimer(() => {}).arm(5_000_000);
    expect(asked).toBe(0);
    clock.createTimer(() => {}).arm(200_000);
    expect(asked).toBe(1);
  });
});
