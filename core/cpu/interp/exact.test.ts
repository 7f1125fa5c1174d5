import { describe, expect, it } from 'vitest';
import { MAILBOX_BASE } from '../../memory/layout.ts';
import { END_AFTER_MIN } from '../accelerator.ts';
import { TestCpu } from './testing/testcpu.ts';

const HLT = 0xf4;
const le32 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >>> 24) & 0xff];

/**
 * A loop over a bit of everything that is counted specially: a sled longer than a run of records, string instructions up and down, page crossings,
 * a fault in each round, calls. `long`: in 64-bit mode.
 */
function mixture(long: boolean): TestCpu {
  const t = new TestCpu();
  if (long) t.long(0x10000);
  else t.flat(0x10000, [0, 0, 0, 0, 0x8000, 0, 0, 0]);
  const code = [
    ...[0xbe, ...le32(0x20000), 0xbf, ...le32(0x30ff1), 0xb9, ...le32(0x703)], // mov esi; mov edi; mov ecx
    ...[0xf3, 0xa5], // rep movsd
    ...[0xb9, ...le32(77), 0xfd, 0xf3, 0xa4, 0xfc], // mov ecx; std; rep movsb; cld
    ...[0xb8, ...le32(0x01010101), 0xb9, ...le32(0x345), 0xf3, 0xab], // mov eax; mov ecx; rep stosd
    ...[0xbf, ...le32(0x20000), 0xb9, ...le32(0x200), 0xf2, 0xae], // mov edi; mov ecx; repne scasb
    ...[0xb9, ...le32(13), 0xba, ...le32(0x80), 0xbf, ...le32(0x40000), 0xf3, 0x6c], // mov ecx; mov edx; mov edi; rep insb
    ...[0x0f, 0x0b], // ud2, which the handler skips
    ...[0xe8, ...le32(0)], // call next
    0x58, // pop eax
    ...new Array(150).fill([0xff, 0xc3]).flat(), // inc ebx
    ...(long ? [0xff, 0x04, 0x25, ...le32(0x50000)] : [0xff, 0x05, ...le32(0x50000)]), // inc dword [0x50000]
  ];
  t.put(0x10000, ...code, 0xe9, ...le32(-(code.length + 5)));
  // Handler of #UD: add [esp], 2; iret.
  if (long) t.put(0x3000 + 6 * 16, 0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf);
  else t.put(0x3000 + 6 * 16, 0x83, 0x04, 0x24, 0x02, 0xcf);
  for (let i = 0; i < 0x2000; i++) t.ram[0x20000 + i] = i * 7;
  return t;
}

describe.each([
  ['32', false],
  ['64', true],
])('an exact run of %s-bit code', (_bits, long) => {
  it('ends at exactly its budget, wherever that is', () => {
    const t = mixture(long);
    for (let budget = 1; budget < 1500; budget = Math.ceil(budget * 1.07)) {
      const before = t.cpu.instructions;
      expect(t.cpu.run(budget, true)).toBe('budget');
      expect(t.cpu.instructions - before).toBe(budget);
    }
    expect(t.guest.read32(0x50000)).toBeGreaterThan(2);
  });

  it('leaves the same state however it is cut into pieces', () => {
    const whole = mixture(long);
    const pieces = mixture(long);
    const odd = mixture(long);
    whole.cpu.run(40_000, true);
    for (let i = 0; i < 40; i++) pieces.cpu.run(1000, true);
    for (let left = 40_000, piece = 1; left > 0; left -= piece) {
      piece = Math.min(left, (piece * 31 + 7) % 211 || 1);
      odd.cpu.run(piece, true);
    }
    expect(whole.guest.read32(0x50000)).toBeGreaterThan(10);
    for (const other of [pieces, odd]) {
      expect(other.cpu.getState()).toEqual(whole.cpu.getState());
      expect(Buffer.compare(other.ram, whole.ram)).toBe(0);
    }
  });

  it('counts and stops the same when other threads ask it to return all the time', () => {
    const calm = mixture(long);
    const disturbed = mixture(long);
    calm.cpu.run(40_000, true);
    const words = new Int32Array(disturbed.memory.buffer, MAILBOX_BASE, 2);
    let asked = 0;
    // The port is read in the middle of a repeated instruction.
    disturbed.portValue = () => {
      words[1] = 1;
      asked++;
      return 0;
    };
    while (disturbed.cpu.instructions < 40_000) {
      disturbed.cpu.run(40_000 - disturbed.cpu.instructions, true);
      words[1] = 0;
    }
    expect(asked).toBeGreaterThan(100);
    expect(disturbed.cpu.getState()).toEqual(calm.cpu.getState());
    expect(Buffer.compare(disturbed.ram, calm.ram)).toBe(0);
  });

  it('ends exactly where a device says in the middle of it', () => {
    for (const slice of [2000, 4000, 100_000]) {
      const t = mixture(long);
      let at = 0;
      t.portValue = () => {
        if (!at) {
          at = t.cpu.instructions;
          t.cpu.endAfter(END_AFTER_MIN + 11);
        }
        return 0;
      };
      const before = t.cpu.instructions;
      expect(t.cpu.run(slice, true)).toBe('budget');
      expect(at).toBeGreaterThan(0);
      expect(t.cpu.instructions).toBe(Math.min(before + slice, at + END_AFTER_MIN + 11));
    }
  });
});

it('a repetition over four thousand million elements counts on', () => {
  const t = new TestCpu();
  // Cut by its budget long before it leaves memory.
  t.long(0x10000, [0, 0x1_0000_1000, 0, 0, 0x8000, 0, 0, 0x100000]);
  t.put(0x10000, 0xf3, 0xaa, HLT); // rep stosb
  for (let i = 0; i < 40; i++) {
    const before = t.cpu.instructions;
    t.cpu.run(100, true);
    expect(t.cpu.instructions - before).toBe(100);
  }
  expect(t.cpu.getState().gpr[1]).toBeLessThan(0x1_0000_0000n);
});

describe('an exact run', () => {
  it('goes on counting in a guest that does nothing but fault', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x0f, 0x0b);
    // Its handler faults too: an endless nest on a stack that wraps.
    t.put(0x3000 + 6 * 16, 0x0f, 0x0b);
    const before = t.cpu.instructions;
    t.cpu.run(1000, true);
    expect(t.cpu.instructions - before).toBe(1000);
  });

  it('stops at a halt', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.put(0x10000, 0x40, 0x40, HLT);
    expect(t.cpu.run(1000, true)).toBe('halt');
    expect(t.cpu.instructions).toBe(3);
  });

  it('a sled without a branch does not overrun a slice that need not be exact by more than a run', () => {
    const t = new TestCpu();
    t.flat(0x10000);
    t.ram.fill(0x90, 0x10000, 0x20000);
    t.put(0x20000, 0xe9, ...le32(0x10000 - 0x20005));
    const before = t.cpu.instructions;
    t.cpu.run(10_000);
    expect(t.cpu.instructions - before).toBeGreaterThanOrEqual(10_000);
    expect(t.cpu.instructions - before).toBeLessThan(10_064);
  });
});
