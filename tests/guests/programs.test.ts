import { expect, test } from 'vitest';
import { BARE_PROGRAMS, native, ours } from '../bench/support/bareruns.ts';

/** Compiled C without a system: what the host's own processor calculates, both of ours do, in both widths. Enough rounds for the recompiler to take part. */
const PERCENT = 3;

test.each([32, 64] as const)(
  'the benchmark programs give the same results as on the host, %i bits',
  async (width) => {
    const sums = async (results: ReturnType<typeof ours>) => [...(await results)].map(([name, { checksum }]) => `${name} ${checksum}`);
    const expected = await sums(native(width, BARE_PROGRAMS, PERCENT));
    expect(expected).toHaveLength(BARE_PROGRAMS.split(',').length);
    expect(await sums(ours('interp', width, BARE_PROGRAMS, PERCENT))).toEqual(expected);
    expect(await sums(ours('jit', width, BARE_PROGRAMS, PERCENT))).toEqual(expected);
  },
  300_000,
);
