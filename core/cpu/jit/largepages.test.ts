/**
 * Large pages under hot code (SDM volume 3, 4.3 to 4.5, 4.8 and 4.10): replaced by small ones and back while code runs and data lies in them, accessed and
 * dirty bits of each level, and what is reserved in each.
 */
import { describe, expect, it } from 'vitest';
import type { CpuState } from '../cpustate.ts';
import { TestCpu } from '../interp/testing/testcpu.ts';
import { HLT, inBothTiers, le32 } from './testing/tiers.ts';

const CODE = 0x20000;
const TABLE = 0x30000;
const DESCRIPTOR = 0x38000;
const ROUNDS = 240;
/** Which of two mappings each round has. */
const PATTERN = Array.from({ length: ROUNDS }, (_, i) => (i < 160 ? (i >> 5) & 1 : (i >> 1) & 1));
const ONES = PATTERN.filter(Boolean).length;

interface Mode {
  name: string;
  long: boolean;
  /** Linear address of what is mapped in two ways, and of the entry that says how. */
  window: number;
  entry: number;
  /** The two values of that entry, without global bits. */
  values: [number, number];
  /** Where the window begins in each. */
  physical: [number, number];
  cr4: bigint;
  prepare: (t: TestCpu) => void;
}

/** A table of 4 KiB pages at D000h: `width` bytes an entry, one after the other from `from`. */
function table(t: TestCpu, width: number, from: number, flags: number): void {
  for (let i = 0; i < 4096 / width; i++) {
    t.guest.write32(0xd000 + i * width, (from + i * 4096) | flags);
    if (width === 8) t.guest.write32(0xd004 + i * width, 0);
  }
}

function protectedMode(t: TestCpu, cr4: bigint): void {
  t.flat(CODE);
  t.patch((s) => {
    s.model = 'x86-64-v3';
    s.cr3 = 0x9000n;
    s.cr4 = cr4;
    s.cr0 = 0x80000011n;
  });
}

const MODES: Mode[] = [
  {
    name: '2 MiB, 4 levels',
    long: true,
    window: 0x600000,
    entry: 0xb018,
    values: [0x200083, 0xd003],
    physical: [0x200000, 0x100000],
    cr4: 0x620n,
    prepare: (t) => {
      t.long(CODE, [0, 0, 0, 0, 0x7000]);
      table(t, 8, 0x100000, 3);
    },
  },
  {
    name: '1 GiB, 4 levels',
    long: true,
    window: 0x40100000,
    entry: 0xa008,
    values: [0x83, 0xe003],
    physical: [0x100000, 0x300000],
    cr4: 0x620n,
    prepare: (t) => {
      t.long(CODE, [0, 0, 0, 0, 0x7000]);
      t.guest.write32(0xe000, 0x200083);
    },
  },
  {
    name: '4 MiB',
    long: false,
    window: 0x500000,
    entry: 0x9004,
    values: [0x83, 0xd003],
    physical: [0x100000, 0x200000],
    cr4: 0x10n,
    prepare: (t) => {
      protectedMode(t, 0x10n);
      t.guest.write32(0x9000, 0x83);
      table(t, 4, 0x100000, 3);
    },
  },
  {
    name: '2 MiB, PAE',
    long: false,
    window: 0x600000,
    entry: 0xa018,
    values: [0x200083, 0xd003],
    physical: [0x200000, 0x100000],
    cr4: 0x20n,
    prepare: (t) => {
      t.guest.write32(0x9000, 0xa001);
      t.guest.write32(0xa000, 0x83);
      t.guest.write32(0xa008, 0x200083);
      protectedMode(t, 0x20n);
      table(t, 8, 0x100000, 3);
    },
  },
];

/** An operand at an address: modrm.reg and the rest. */
const at = (mode: Mode, reg: number, address: number): number[] =>
  mode.long ? [0x04 | (reg << 3), 0x25, ...le32(address)] : [0x05 | (reg << 3), ...le32(address)];
const invlpg = (mode: Mode, address: number): number[] => [0x0f, 0x01, ...at(mode, 7, address)];
const RELOAD = [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8];
const TOGGLE_PGE = [0x0f, 0x20, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0];
const PGE = 0x80n;
const PCIDE = 0x20000n;
/** Functions at these offsets of the window, in different pages of 4 KiB; data 700h behind each. */
const PLACES = [0x100, 0x5100];

interface Way {
  name: string;
  long?: boolean;
  cr4?: bigint;
  global?: boolean;
  pcid?: number;
  code: (mode: Mode) => number[];
}
/** Of a page that was large, one address of it is enough; pages that were small each want theirs. */
const WAYS: Way[] = [
  {
    name: 'INVLPG of each page',
    code: (m) => PLACES.flatMap((place) => [...invlpg(m, m.window + place), ...invlpg(m, m.window + place + 0x700)]),
  },
  { name: 'CR3', code: () => RELOAD },
  { name: 'CR4.PGE, global pages', cr4: PGE, global: true, code: () => TOGGLE_PGE },
  { name: 'INVLPG, global pages', cr4: PGE, global: true, code: (m) => PLACES.flatMap((place) => invlpg(m, m.window + place)) },
  { name: 'CR3, with a PCID', long: true, cr4: PCIDE, pcid: 5, code: () => RELOAD },
  {
    name: 'INVPCID of the context',
    long: true,
    cr4: PCIDE,
    pcid: 5,
    code: (m) => [0xb8, ...le32(1), 0x66, 0x0f, 0x38, 0x82, ...at(m, 0, DESCRIPTOR)],
  },
  {
    name: 'INVPCID of everything, global pages',
    long: true,
    cr4: PGE,
    global: true,
    code: (m) => [0xb8, ...le32(2), 0x66, 0x0f, 0x38, 0x82, ...at(m, 0, DESCRIPTOR + 16)],
  },
];
const CASES = MODES.flatMap((mode) => WAYS.filter((way) => mode.long || !way.long).map((way) => [mode.name, way.name, mode, way] as const));

describe('a large page becomes small ones and is large again', () => {
  it.each(CASES)('%s: %s', (_mode, _way, mode, way) => {
    const { state, t } = inBothTiers((cpu) => {
      mode.prepare(cpu);
      cpu.patch((s) => {
        s.cr4 = mode.cr4 | (way.cr4 ?? 0n);
        s.cr3 |= BigInt(way.pcid ?? 0);
      });
      cpu.guest.write32(DESCRIPTOR, 5);
      mode.physical.forEach((from, which) => {
        for (const place of PLACES) {
          cpu.put(from + place, 0xff, 0xc6 + which, 0xff, 0xc6 + which, 0xc3); // inc esi or edi, twice; ret
          cpu.guest.write32(from + place + 0x700, which ? 0x1000 : 1);
        }
      });
      const global = way.global ? 0x100 : 0;
      // Of the tables only the entry of 4 KiB pages has a global bit: those of table().
      if (global)
        for (let i = 0; i < (mode.cr4 === 0x10n ? 1024 : 512); i++) {
          const entry = 0xd000 + i * (mode.cr4 === 0x10n ? 4 : 8);
          if (cpu.guest.read32(entry)) cpu.guest.write32(entry, cpu.guest.read32(entry) | global);
        }
      if (global && mode.entry === 0xa008) cpu.guest.write32(0xe000, 0x200083 | global);
      for (const [i, which] of PATTERN.entries())
        cpu.guest.write32(TABLE + 8 * (ROUNDS - i), mode.values[which]! | (mode.values[which]! & 0x80 ? global : 0));
      // mov ecx,ROUNDS; each: mov eax,[ecx*8+TABLE]; mov [entry],eax; …
      const body = [0x8b, 0x04, 0xcd, ...le32(TABLE), 0x89, ...at(mode, 0, mode.entry), ...way.code(mode)];
      for (const place of PLACES) {
        body.push(0xe8, ...le32(mode.window + place - (CODE + 5 + body.length + 5)));
        body.push(0x03, ...at(mode, 5, mode.window + place + 0x700)); // add ebp,[…]
        body.push(0xff, ...at(mode, 0, mode.window + place + 0x710)); // inc dword […]
      }
      cpu.put(CODE, 0xb9, ...le32(ROUNDS), ...body, 0xff, 0xc9, 0x0f, 0x85, ...le32(-(body.length + 8)), HLT);
    });
    expect(TestCpu.vectorOf(state)).toBe(-1);
    expect([state.gpr[6], state.gpr[7]]).toEqual([BigInt(4 * (ROUNDS - ONES)), BigInt(4 * ONES)]);
    expect(state.gpr[5]).toBe(BigInt(2 * (ROUNDS - ONES + 0x1000 * ONES)));
    for (const place of PLACES) expect(mode.physical.map((from) => t.guest.read32(from + place + 0x710))).toEqual([ROUNDS - ONES, ONES]);
  });

  it('INVLPG of any address of a large page drops all of it', () => {
    for (const mode of MODES) {
      const end = mode.name.startsWith('1 GiB') ? 0x7ffff000 : 0x7ff123;
      const { state } = inBothTiers((t) => {
        mode.prepare(t);
        mode.physical.forEach((from, which) => {
          for (const place of PLACES) t.guest.write32(from + place, which ? 0x1000 : 1);
        });
        const read = PLACES.flatMap((place) => [0x03, ...at(mode, 5, mode.window + place)]);
        const set = (value: number): number[] => [0xc7, ...at(mode, 0, mode.entry), ...le32(value)];
        // Large, read, small, INVLPG, read; CR3 anew.
        const body = [...set(mode.values[0]), ...RELOAD, ...read, ...set(mode.values[1]), ...invlpg(mode, end), ...read];
        t.put(CODE, 0xb9, ...le32(ROUNDS), ...body, 0xff, 0xc9, 0x0f, 0x85, ...le32(-(body.length + 8)), HLT);
      });
      expect([mode.name, state.gpr[5]]).toEqual([mode.name, BigInt(2 * 0x1001 * ROUNDS)]);
    }
  });
});

const ACCESSES = { read: [0x8b, 0x02], write: [0x89, 0x02], 'read-modify-write': [0x01, 0x02], fetch: [0xff, 0xd2] };
type Access = keyof typeof ACCESSES;

/** A loop that reads, writes or calls (EDX), which is the last round only `address`, else in a page of its own. */
function lastRound(mode: Mode, access: Access, address: number, prepare: (t: TestCpu) => void) {
  return inBothTiers((t) => {
    mode.prepare(t);
    for (let i = 1; i <= 64; i++) {
      t.guest.write32(TABLE + 8 * i, i === 1 ? address % 2 ** 32 : 0x40000);
      t.guest.write32(TABLE + 8 * i + 4, i === 1 ? Math.floor(address / 2 ** 32) : 0);
    }
    t.guest.write32(mode.entry, mode.values[0]);
    for (const from of [0x40000, ...mode.physical]) t.put(from, 0xc3);
    prepare(t);
    const body = [...(mode.long ? [0x48] : []), 0x8b, 0x14, 0xcd, ...le32(TABLE), ...ACCESSES[access]];
    t.put(CODE, 0xb9, ...le32(64), ...body, 0xff, 0xc9, 0x0f, 0x85, ...le32(-(body.length + 8)), HLT);
  });
}

describe('accessed and dirty bits', () => {
  const A = 0x20;
  const D = 0x40;
  it.each(MODES.flatMap((mode) => (Object.keys(ACCESSES) as Access[]).map((access) => [mode.name, access, mode] as const)))(
    '%s: %s',
    (_name, access, mode) => {
      const dirty = access === 'read' || access === 'fetch' ? 0 : D;
      for (const which of [0, 1] as const) {
        const { t, vector } = lastRound(mode, access, mode.window, (cpu) => cpu.guest.write32(mode.entry, mode.values[which]));
        expect(vector).toBe(-1);
        // The entry maps the page itself, or a table whose first entry does; of 4 MiB the window begins a quarter behind.
        const leaf = which === 0 ? mode.entry : (mode.values[1] & ~0xfff) + (mode.name === '4 MiB' ? 0x400 : 0);
        const bits = (place: number): number => t.guest.read32(place) & (A | D);
        expect(bits(leaf)).toBe(A | dirty);
        if (which === 1) expect(bits(mode.entry)).toBe(A);
        if (mode.long) expect([bits(0x9000), bits(0xa000)]).toEqual([A, A]);
        // PDPTEs of PAE have none.
        if (mode.name === '2 MiB, PAE') expect(bits(0x9000)).toBe(0);
      }
    },
  );
});

describe('reserved bits: #PF with RSVD', () => {
  /** Entries on the way to the window: name, place, value. */
  const way = (mode: Mode, which: 0 | 1): [string, number, number][] => {
    const upper: [string, number, number][] = mode.long
      ? [['PML4E', 0x9000, 0xa003], ...(mode.entry === 0xa008 ? [] : ([['PDPTE', 0xa000, 0xb003]] as [string, number, number][]))]
      : [];
    upper.push([which ? 'table' : 'large page', mode.entry, mode.values[which]]);
    if (which) upper.push(['page', mode.values[1] & ~0xfff, mode.entry === 0xa008 ? 0x200083 : mode.physical[1] | 3]);
    return upper;
  };
  /** Bits that are reserved in the entry: MAXPHYADDR is 40. Bit 63 while EFER.NXE is clear. */
  function reserved(mode: Mode, name: string, value: number): number[] {
    const large = (value & 0x80) !== 0;
    if (mode.name === '4 MiB') return large ? [21] : [];
    const bits = [40, 51, ...(mode.long ? [] : [52, 62])];
    if (name === 'PML4E') bits.push(7);
    if (large) bits.push(13, ...(value === 0x83 && mode.entry === 0xa008 ? [29] : [20]));
    return bits;
  }
  const cases = MODES.flatMap((mode) =>
    ([0, 1] as const).flatMap((which) =>
      way(mode, which).flatMap(([name, place, value]) =>
        reserved(mode, name, value).map((bit) => [mode.name, name, bit, mode, which, place, value] as const),
      ),
    ),
  );
  const error = (t: TestCpu, { gpr }: CpuState): number => t.guest.read32(Number(gpr[4]));

  it.each(cases)('%s: %s, bit %i', (_name, _entry, bit, mode, which, place, value) => {
    const shared = place === 0x9000 || place === 0xa000;
    for (const access of ['read', 'write', 'fetch'] as const) {
      // An entry that all of memory depends on is spoilt in a copy, which maps another address.
      const window = shared ? 3 * (place === 0x9000 ? 2 ** 39 : 2 ** 30) : mode.window;
      const target = shared ? place + 8 * 3 : place;
      const { state, vector, t } = lastRound(mode, access, window, (cpu) => {
        cpu.guest.write32(mode.entry, mode.values[which]);
        cpu.guest.write32(target, value);
        if (bit < 32) cpu.guest.write32(target, (value | (1 << bit)) >>> 0);
        else cpu.guest.write32(target + 4, 2 ** (bit - 32));
      });
      expect(vector).toBe(14);
      expect(state.cr2).toBe(BigInt(window));
      // EFER.NXE, which TestCpu.long() sets, tells fetches.
      expect(error(t, state)).toBe(9 | (access === 'write' ? 2 : 0) | (access === 'fetch' && mode.long ? 16 : 0));
    }
  });

  it('bit 63 is reserved until EFER.NXE is set, and then stops fetches alone', () => {
    for (const mode of MODES.filter(({ name }) => name !== '4 MiB'))
      for (const which of [0, 1] as const)
        for (const nxe of [false, true])
          for (const access of ['read', 'fetch'] as const) {
            const { vector, state, t } = lastRound(mode, access, mode.window, (cpu) => {
              cpu.guest.write32(mode.entry, mode.values[which]);
              cpu.guest.write32(mode.entry + 4, 0x80000000);
              cpu.patch((s) => {
                s.efer = nxe ? s.efer | 0x800n : s.efer & ~0x800n;
              });
            });
            const told = [mode.name, which, nxe, access, vector];
            if (nxe && access === 'read') expect(told).toEqual([mode.name, which, nxe, access, -1]);
            else {
              expect(told).toEqual([mode.name, which, nxe, access, 14]);
              expect(error(t, state)).toBe(nxe ? 0x11 : 9);
            }
          }
  });

  it('of a page of 4 MiB, bits 20 to 13 are those of an address beyond 4 GiB, up to the width that CPUID tells', () => {
    const mode = MODES[2]!;
    for (const [model, bits] of [
      ['i686', 36],
      ['x86-64-v3', 40],
    ] as const)
      for (let bit = 13; bit <= 21; bit++) {
        const { vector, state } = lastRound(mode, 'read', mode.window, (t) => {
          t.patch((s) => {
            s.model = model;
          });
          t.guest.write32(mode.entry, 0x83 | (1 << bit));
        });
        // TestCpu's devices answer there.
        expect([model, bit, vector]).toEqual([model, bit, bit + 19 < bits ? -1 : 14]);
        if (vector === -1) expect(state.gpr[0]).toBe(1n);
      }
  });
});
