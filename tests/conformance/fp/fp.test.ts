import { afterAll, describe, expect, it } from 'vitest';
import { caseCount, disagreements, dispose, unavailable } from './harness.ts';
import { SIMD, simdCase } from './ssecases.ts';
import { TRANSCENDENTAL, X87, x87Case } from './x87cases.ts';

const reason = unavailable();
if (reason) console.log(`floating point is not compared with the host processor: ${reason}`);

// Each case compares every register, the control and status words, tags, MXCSR, memory, EFLAGS and the trap taken, for special and random
// operands, all rounding modes and precisions, masked and unmasked exceptions. 11,000 cases pair all special values.
describe.skipIf(reason)('the interpreter agrees with the host processor', () => {
  afterAll(dispose);
  it.each(X87)('x87 $name', (instruction) => {
    expect(disagreements(instruction, x87Case, caseCount(instruction.operands === 2 ? 3000 : 1500))).toEqual([]);
  });
  it.each(TRANSCENDENTAL)('x87 $name, to 1 ulp', (instruction) => {
    expect(disagreements(instruction, x87Case, caseCount(4000))).toEqual([]);
  });
  it.each(SIMD)('$name', (instruction) => {
    expect(disagreements(instruction, simdCase, caseCount(instruction.kind === 'f32' || instruction.kind === 'f64' ? 1500 : 300))).toEqual(
      [],
    );
  });
});
