import { afterAll, describe, expect, it } from 'vitest';
import { BASE_CASES, CASES } from './cases.ts';
import { caseCount, disagreements, dispose, unavailable } from './harness.ts';

const reason = unavailable();
if (reason) console.log(`vector instructions are not compared with the host processor: ${reason}`);

// Each case compares all general, MMX and YMM registers, EFLAGS, MXCSR, memory and the trap taken.
describe.skipIf(reason)('the interpreter agrees with the host processor', () => {
  afterAll(dispose);
  it.each(CASES)('$name, 32-bit', (c) => {
    expect(disagreements(c, 32, caseCount(c.data === 'int' ? 75 : 200))).toEqual([]);
  });
  it.each([...BASE_CASES, ...CASES])('$name, 64-bit', (c) => {
    expect(disagreements(c, 64, caseCount(c.data === 'int' ? 50 : 150))).toEqual([]);
  });
});
