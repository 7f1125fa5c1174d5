import { describe, expect, it } from 'vitest';
import { AccessCounter } from './accesscounter.ts';
import { formatProfile, profileBetween } from './profile.ts';
import { emptyStatistics, type GuestProfile, type HotRegion } from './statistics.ts';

const place = (address: string, instructions: number, tier: HotRegion['tier'] = 'interpreter'): HotRegion => ({
  address,
  bits: 32,
  instructions,
  entries: 2,
  bytes: 64,
  sampled: tier === 'interpreter',
  tier,
});

function profile(): GuestProfile {
  return {
    statistics: {
      ...emptyStatistics('recompiler'),
      instructions: 1_000_000,
      interpretedInstructions: 250_000,
      regions: { compiled: 12, alive: 10, evicted: 1, invalidated: 1 },
      compile: { modules: 3, totalMs: 12.5, maxMs: 7, offThreadMs: 30 },
      exits: { budget: 5, halt: 50, shutdown: 0 },
      faults: { '14': 77, '13': 3 },
      tlb: { readMisses: 1, writeMisses: 2, fetchMisses: 3, flushes: 4 },
      hottest: [place('0xc0100000', 600_000, 'compiled'), place('0xc0200000', 100_000)],
    },
    ports: [{ address: 0x3f8, reads: 1, writes: 9 }],
    mmio: [],
    seconds: 3,
    haltedSeconds: 1,
  };
}

describe('the text of a profile', () => {
  it('tells shares, causes, and names', () => {
    const text = formatProfile(profile(), { symbol: (address) => (address === 0xc0100000n ? 'memcpy' : undefined) });
    expect(text).toMatch(/interpreted +250,000 \(25\.0 %\)/);
    expect(text).toMatch(/halted 1\.00 s \(33\.3 %\)/);
    expect(text).toMatch(/12 compiled, 10 alive, 1 evicted, 1 invalidated/);
    expect(text).toMatch(/ 50 +halt\n +5 +budget\n/);
    expect(text).not.toContain('shutdown');
    expect(text).toMatch(/77 +#PF page fault/);
    expect(text).toMatch(/03f8 +1 +9/);
    expect(text).toMatch(/60\.0 % +600,000 +2 +0xc0100000 memcpy \(32-bit, compiled\)/);
    expect(formatProfile(profile(), { top: 1 })).not.toContain('0xc0200000');
  });
});

describe('the profile between two others', () => {
  it('has what came in between, and of living things what there is', () => {
    const after = profile();
    after.statistics.instructions = 1_500_000;
    after.statistics.faults = { '14': 80, '13': 3 };
    after.statistics.hottest = [place('0xc0100000', 600_000, 'compiled'), place('0xc0200000', 400_000), place('0xc0300000', 50)];
    after.ports = [
      { address: 0x3f8, reads: 1, writes: 20 },
      { address: 0x20, reads: 0, writes: 1 },
    ];
    after.seconds = 4;
    const between = profileBetween(profile(), after);
    expect(between.statistics.instructions).toBe(500_000);
    expect(between.statistics.faults).toEqual({ '14': 3, '13': 0 });
    expect(between.statistics.regions).toEqual({ compiled: 0, alive: 10, evicted: 0, invalidated: 0 });
    expect(between.statistics.hottest.map(({ address, instructions }) => [address, instructions])).toEqual([
      ['0xc0200000', 300_000],
      ['0xc0300000', 50],
    ]);
    expect(between.ports).toEqual([
      { address: 0x3f8, reads: 0, writes: 11 },
      { address: 0x20, reads: 0, writes: 1 },
    ]);
    expect([between.seconds, between.haltedSeconds]).toEqual([1, 0]);
  });
});

describe('counting accesses', () => {
  it('names the busiest first and stays bounded when a guest touches everything', () => {
    const counter = new AccessCounter();
    for (let i = 0; i < 3; i++) counter.read(0x60);
    counter.write(0x80);
    for (let port = 0; port < 65536; port++) counter.write(port);
    expect(counter.busiest()[0]).toEqual({ address: 0x60, reads: 3, writes: 1 });
    expect(counter.busiest().length).toBeLessThanOrEqual(64);
  });
});
