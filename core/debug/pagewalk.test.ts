import { describe, expect, it } from 'vitest';
import { type PagingState, translateLinear } from './pagewalk.ts';

const PG = 0x8000_0000n;
const PAE = 0x20n;
const PSE = 0x10n;
const LMA = 0x400n;
const LA57 = 0x1000n;

/** Physical memory as a table of entries; everything else is not there. */
const walk = (state: Partial<PagingState>, linear: bigint, entries: { [address: number]: bigint }) =>
  translateLinear({ cr0: PG, cr3: 0x1000n, cr4: 0n, efer: 0n, ...state }, linear, (address) => entries[Number(address)]);

describe('page walks of a debugger', () => {
  it('without paging give the address, 32 bits of it', () => {
    expect(walk({ cr0: 1n }, 0x1_2345_6789n, {})).toBe(0x2345_6789n);
  });

  it('go through two levels of 32-bit tables, and stop at 4 MiB pages', () => {
    const entries = { [0x1000 + 3 * 4]: 0x2001n, [0x2000 + 5 * 4]: 0xabcd_e001n, [0x1000 + 4 * 4]: 0x0080_0081n };
    expect(walk({}, 0x00c0_5123n, entries)).toBe(0xabcd_e123n);
    expect(walk({}, 0x00c0_6123n, entries)).toBeUndefined();
    expect(walk({ cr4: PSE }, 0x0101_2345n, entries)).toBe(0x0081_2345n);
    // Without PSE the bit means nothing.
    expect(walk({}, 0x0100_0000n, { ...entries, 8388608: 0x7001n })).toBe(0x7000n);
  });

  it('give the upper address bits of PSE-36', () => {
    expect(walk({ cr4: PSE }, 0x1234n, { 4096: 0x0040_6081n })).toBe(0x3_0040_1234n);
  });

  it('go through PAE tables, and ignore execute-disable and other upper bits', () => {
    const entries = { [0x1000 + 8]: 0x2001n, [0x2000 + 16]: 0x3001n, [0x3000 + 24]: 0x8000_0001_2345_6001n, 8192: 0x4000_00e1n };
    expect(walk({ cr4: PAE }, 0x4040_3abcn, entries)).toBe(0x1_2345_6abcn);
    expect(walk({ cr4: PAE }, 0x4012_3456n, entries)).toBe(0x4012_3456n);
    expect(walk({ cr4: PAE }, 0x8000_0000n, entries)).toBeUndefined();
  });

  it('go through four and five levels, with 1 GiB and 2 MiB pages', () => {
    const entries = {
      [0x1000 + 511 * 8]: 0x2001n,
      [0x2000 + 510 * 8]: 0x3001n,
      12288: 0x4001n,
      [0x4000 + 8]: 0x5001n,
      [0x3000 + 8]: 0x0060_0081n,
      [0x2000 + 509 * 8]: 0xc000_0081n,
    };
    const state = { cr4: PAE, efer: LMA };
    expect(walk(state, 0xffff_ffff_8000_1007n, entries)).toBe(0x5007n);
    expect(walk(state, 0xffff_ffff_8021_2345n, entries)).toBe(0x61_2345n);
    expect(walk(state, 0xffff_ffff_4123_4567n, entries)).toBe(0xc123_4567n);
    expect(walk({ cr4: PAE | LA57, efer: LMA, cr3: 0x9000n }, 0xffff_ffff_8000_1007n, { ...entries, [0x9000 + 511 * 8]: 0x1001n })).toBe(
      0x5007n,
    );
  });

  it('know that an address that is not canonical is mapped nowhere', () => {
    const entries = { 4096: 0x81n };
    expect(walk({ cr4: PAE, efer: LMA }, 0x0001_0000_0000_0000n, entries)).toBeUndefined();
  });

  it('end where a table is not memory', () => {
    expect(walk({}, 0n, { 4096: 0xf000_0001n })).toBeUndefined();
  });
});
