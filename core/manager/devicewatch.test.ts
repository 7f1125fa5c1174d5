import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DeviceWatch } from './devicewatch.ts';

let there = 'sda';
let looks = 0;
let told = 0;
let watch: DeviceWatch;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  there = 'sda';
  looks = told = 0;
  watch = new DeviceWatch(
    async () => {
      looks++;
      return there;
    },
    () => {
      told++;
    },
    { everyMs: 2000, lastingMs: 10_000 },
  );
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

test('a change is told once, while somebody looks', async () => {
  watch.looked();
  await vi.advanceTimersByTimeAsync(3000);
  expect(told).toBe(0);
  there = 'sda sdb';
  await vi.advanceTimersByTimeAsync(2000);
  expect(told).toBe(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(told).toBe(1);
});

test('nobody looks for long: nothing is read and nothing told; the next who asks begins anew', async () => {
  watch.looked();
  await vi.advanceTimersByTimeAsync(60_000);
  const before = looks;
  there = 'sdc';
  await vi.advanceTimersByTimeAsync(60_000);
  expect(looks).toBe(before);
  expect(looks).toBeLessThan(9);
  watch.looked();
  await vi.advanceTimersByTimeAsync(3000);
  expect(told).toBe(0);
  there = 'sdd';
  await vi.advanceTimersByTimeAsync(2000);
  expect(told).toBe(1);
});

test('asking again does not look twice as often', async () => {
  for (let i = 0; i < 20; i++) {
    watch.looked();
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(looks).toBeLessThanOrEqual(2);
});

test('closed, it does nothing', async () => {
  watch.looked();
  watch.close();
  watch.looked();
  there = 'sdb';
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told).toBe(0);
});
