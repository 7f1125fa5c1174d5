import type { Result } from '../../../core/contract/methods.ts';

type Profile = Result<'vm.profile'>;
type Place = Profile['statistics']['hottest'][number];

let asked = 0;

const place = (address: string, share: number, code: string[], unlinked = 0): Place => ({
  address,
  bits: 64,
  instructions: share * 1_000_000 * asked,
  entries: Math.round(share * 4000 * asked),
  bytes: 96,
  sampled: false,
  exits: { linked: Math.round(share * 3900 * asked), unlinked: unlinked * asked, slice: 100 * asked, step: 0, faults: 0, interpreter: 0 },
  tier: 'compiled',
  code,
});

/** A profile that grows every time somebody asks. */
export function mockProfile(): Profile {
  asked++;
  return {
    statistics: {
      accelerator: 'recompiler',
      instructions: asked * 100_000_000,
      interpretedInstructions: asked * 3_000_000,
      regions: { compiled: 1400 + asked * 3, alive: 1100, evicted: 0, invalidated: 300 },
      compile: { modules: 1400 + asked * 3, totalMs: 80 + asked, maxMs: 40, offThreadMs: 900 + asked * 20 },
      generatedBytes: 9_000_000,
      generatedBytesAlive: 5_400_000,
      exits: { budget: asked * 50 },
      tlb: { readMisses: asked * 900, writeMisses: asked * 700, fetchMisses: asked * 50, flushes: asked * 20 },
      faults: { '14': asked * 120 },
      interrupts: asked * 500,
      nmis: 0,
      codePagesDropped: 12,
      hottest: [
        place('0xffffffff8104f3a0', 31, [
          'ffffffff8104f3a0  48 8b 06                 mov    rax,QWORD PTR [rsi]',
          'ffffffff8104f3a3  48 89 07                 mov    QWORD PTR [rdi],rax',
          'ffffffff8104f3a6  48 83 c6 08              add    rsi,0x8',
        ]),
        place(
          '0x401a20',
          22,
          ['00401a20  01 c8                    add    eax,ecx', '00401a22  0f af c1                 imul   eax,ecx'],
          7000,
        ),
      ],
    },
    ports: [],
    mmio: [],
    seconds: asked * 2,
    haltedSeconds: asked * 0.2,
  };
}
