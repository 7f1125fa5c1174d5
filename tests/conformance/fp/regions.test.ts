import { afterAll, describe, expect, it } from 'vitest';
import { caseCount, disagreements, dispose, instructionsInRegions, runInRegions, unavailable } from './harness.ts';
import { X87, x87Case } from './x87cases.ts';

// The same cases as in fp.test.ts: every class of operand, all rounding modes and precisions, masked and unmasked exceptions, stack faults.
describe.skipIf(unavailable())('x87 instructions in recompiled regions agree with the host processor', () => {
  afterAll(dispose);
  it.each(X87)('$name', (instruction) => {
    const before = instructionsInRegions();
    expect(disagreements(instruction, x87Case, caseCount(instruction.operands === 2 ? 12000 : 2000), runInRegions)).toEqual([]);
    expect(instructionsInRegions() - before).toBeGreaterThan(1000);
  });
});
