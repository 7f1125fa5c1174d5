import { expect, test } from 'vitest';
import { CompileLoad, MOST } from './compileload.ts';

test('a few regions change nothing; while many are compiled, places have to be hotter, up to a limit; it passes', () => {
  let now = 0;
  const load = new CompileLoad(() => now);
  const ask = (count: number, everyMs: number) => {
    for (let i = 0; i < count; i++) {
      now += everyMs;
      load.request();
    }
    return load.factor();
  };
  expect(ask(150, 0)).toBe(1);
  const gcc = ask(2000, 2);
  expect(gcc).toBe(MOST);
  now += 15_000;
  // Nobody has to ask for that.
  expect(load.factor()).toBe(1);
  expect(ask(1, 0)).toBe(1);
  // 150 a second for long are in between.
  const steady = ask(2000, 1000 / 150);
  expect(steady).toBeGreaterThan(2);
  expect(steady).toBeLessThan(3);
});
