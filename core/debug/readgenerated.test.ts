import { describe, expect, it } from 'vitest';
import { TestCpu } from '../cpu/interp/testing/testcpu.ts';
import type { DebugRequest, DebugTarget } from './debugrequest.ts';
import { GuestDebugger } from './guestdebugger.ts';
import { readGenerated } from './readgenerated.ts';

const START = 0x10000;

/** mov ecx,1000; inc eax; dec ecx; jnz; jmp to the start. */
function looping(): TestCpu {
  const t = new TestCpu({ recompiler: { piece: 2000, threshold: 2 } });
  t.flat(START, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
  t.put(START, 0xb9, 0xe8, 0x03, 0, 0, 0x40, 0x49, 0x75, 0xfc, 0xeb, 0xf5);
  for (let i = 0; i < 20; i++) t.cpu.run(100_000);
  return t;
}

describe('generated code of a running machine', () => {
  it('is found by an address in it, and not elsewhere', async () => {
    const t = looping();
    const guest = new GuestDebugger({
      accelerator: t.cpu,
      memory: t.guest,
      pause: () => {},
      resume: () => {},
      profile: () => ({ ports: [], mmio: [], seconds: 0, haltedSeconds: 0 }),
      onStop: () => {},
    });
    const target = { request: async (request: DebugRequest) => guest.handle(request) } as unknown as DebugTarget;
    const text = (await readGenerated(target, BigInt(START + 6))).join('\n');
    expect(text).toMatch(/^region 0x1000\d, 32-bit, privilege 0: \d+ instructions/);
    expect(text).toMatch(/^;; 00010006 {2}dec {4}ecx$/m);
    expect(text).not.toContain('offset=0x14');
    expect(await readGenerated(target, 0x20000n)).toEqual([]);
    expect(await readGenerated(target, 0xffff_ffffn)).toEqual([]);
  });
});
