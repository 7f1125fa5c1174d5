import type { RegionExits } from './jit/regioncounters.ts';
import type { AccessCount, AcceleratorStatistics, GuestProfile, HotRegion } from './statistics.ts';

const VECTOR_NAMES: { readonly [vector: string]: string } = {
  0: '#DE divide error',
  1: '#DB debug',
  2: 'NMI',
  3: '#BP breakpoint',
  4: '#OF overflow',
  5: '#BR bound',
  6: '#UD undefined instruction',
  7: '#NM no coprocessor',
  8: '#DF double fault',
  10: '#TS invalid TSS',
  11: '#NP segment not present',
  12: '#SS stack fault',
  13: '#GP general protection',
  14: '#PF page fault',
  16: '#MF x87 error',
  17: '#AC alignment check',
  18: '#MC machine check',
  19: '#XM SIMD error',
};

const whole = (value: number) => Math.round(value).toLocaleString('en-US');
const percent = (part: number, all: number) => (all > 0 ? `${((part * 100) / all).toFixed(1)} %` : '-');

/** The text of a profile. `symbol` names addresses. */
export function formatProfile(
  profile: GuestProfile,
  options: { top?: number; symbol?: (address: bigint) => string | undefined } = {},
): string {
  const { statistics, seconds, haltedSeconds } = profile;
  const { instructions, interpretedInstructions, tlb } = statistics;
  const top = options.top ?? 20;
  const busy = Math.max(0, seconds - haltedSeconds);
  const lines = [
    `machine time     ${seconds.toFixed(2)} s, halted ${haltedSeconds.toFixed(2)} s (${percent(haltedSeconds, seconds)})`,
    `accelerator      ${statistics.accelerator}`,
    `instructions     ${whole(instructions)}${busy > 0 ? `, ${(instructions / busy / 1e6).toFixed(1)} million a second while it runs` : ''}`,
    `  interpreted    ${whole(interpretedInstructions)} (${percent(interpretedInstructions, instructions)})`,
    ...compilerLines(statistics),
    `interrupts       ${whole(statistics.interrupts)}, NMIs ${whole(statistics.nmis)}`,
    `TLB misses       ${whole(tlb.readMisses)} read, ${whole(tlb.writeMisses)} write, ${whole(tlb.fetchMisses)} fetch; ${whole(tlb.flushes)} flushes`,
    `code dropped     ${whole(statistics.codePagesDropped)} pages`,
    ...counted('exits by cause', statistics.exits),
    ...counted('exceptions', statistics.faults, (vector) => VECTOR_NAMES[vector] ?? `vector ${vector}`),
    ...accesses('ports', profile.ports, 4, top),
    ...accesses('device memory', profile.mmio, 8, top),
    ...hottest(statistics, top, options.symbol),
  ];
  return `${lines.join('\n')}\n`;
}

function compilerLines({ regions, compile, generatedBytes, generatedBytesAlive }: AcceleratorStatistics): string[] {
  if (!regions.compiled && !compile.modules) return [];
  return [
    `regions          ${whole(regions.compiled)} compiled, ${whole(regions.alive)} alive, ${whole(regions.evicted)} evicted, ${whole(regions.invalidated)} invalidated`,
    `compiling        ${whole(compile.modules)} modules, ${compile.totalMs.toFixed(1)} ms on the machine thread, ${compile.offThreadMs.toFixed(1)} ms on others, longest ${compile.maxMs.toFixed(1)} ms`,
    `generated code   ${whole(generatedBytes)} bytes, ${whole(generatedBytesAlive)} alive`,
  ];
}

function counted(title: string, counts: { [key: string]: number }, name = (key: string) => key): string[] {
  const entries = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return entries.length ? ['', title, ...entries.map(([key, count]) => `  ${whole(count).padStart(15)}  ${name(key)}`)] : [];
}

function accesses(title: string, counts: readonly AccessCount[], digits: number, top: number): string[] {
  if (!counts.length) return [];
  return [
    '',
    `${`${title}`.padEnd(16)}     reads          writes`,
    ...counts
      .slice(0, top)
      .map(
        ({ address, reads, writes }) =>
          `  ${address.toString(16).padStart(digits, '0')}${whole(reads).padStart(24 - digits)}${whole(writes).padStart(16)}`,
      ),
  ];
}

function hottest(statistics: AcceleratorStatistics, top: number, symbol?: (address: bigint) => string | undefined): string[] {
  const regions = statistics.hottest;
  if (!regions.length) return [];
  const total = Math.max(
    statistics.instructions,
    regions.reduce((sum, region) => sum + region.instructions, 0),
  );
  const lines = [
    '',
    `hottest ${regions.some(({ exits }) => exits) ? 'regions (compiled ones counted; interpreted places sampled where slices end)' : 'places (sampled where slices of guest code end)'}`,
    '       share     instructions    entries  address',
  ];
  for (const region of regions.slice(0, top)) {
    const name = symbol?.(BigInt(region.address));
    lines.push(
      `  ${percent(region.instructions, total).padStart(10)} ${whole(region.instructions).padStart(16)} ${whole(region.entries).padStart(10)}  ${region.address} ${name ? `${name} ` : ''}(${region.bits}-bit, ${region.tier})`,
      ...exitLines(region),
      ...(region.code ?? []).map((line) => `      ${line}`),
      ...(region.generated ? ['', ...region.generated.map((line) => `      ${line}`), ''] : []),
    );
  }
  return lines;
}

function exitLines({ exits, entries, instructions }: HotRegion): string[] {
  if (!exits) return [];
  const causes = [
    [exits.linked, 'by a link'],
    [exits.unlinked, 'with no link'],
    [exits.slice, 'at the end of a slice'],
    [exits.step, 'before an instruction not compiled'],
    [exits.interpreter, 'by an instruction interpreted'],
    [exits.faults, 'by a fault'],
  ] as const;
  const left = causes.filter(([count]) => count > 0).map(([count, cause]) => `${whole(count)} ${cause}`);
  return [`      ${(instructions / Math.max(1, entries)).toFixed(1)} instructions an entry; left ${left.join(', ') || 'not yet'}`];
}

/** What happened between two profiles of one machine. */
export function profileBetween(before: GuestProfile, after: GuestProfile): GuestProfile {
  const alive = { regions: { alive: after.statistics.regions.alive }, generatedBytesAlive: after.statistics.generatedBytesAlive };
  const statistics = difference(before.statistics, after.statistics) as AcceleratorStatistics;
  const key = ({ address, bits, tier }: HotRegion) => `${address} ${bits} ${tier}`;
  const earlier = new Map(before.statistics.hottest.map((region) => [key(region), region]));
  return {
    statistics: {
      ...statistics,
      regions: { ...statistics.regions, ...alive.regions },
      generatedBytesAlive: alive.generatedBytesAlive,
      compile: { ...statistics.compile, maxMs: after.statistics.compile.maxMs },
      hottest: after.statistics.hottest
        .map((region) => ({
          ...region,
          instructions: region.instructions - (earlier.get(key(region))?.instructions ?? 0),
          entries: region.entries - (earlier.get(key(region))?.entries ?? 0),
          ...(region.exits ? { exits: difference(earlier.get(key(region))?.exits, region.exits) as RegionExits } : {}),
        }))
        .filter(({ instructions }) => instructions > 0)
        .sort((a, b) => b.instructions - a.instructions),
    },
    ports: accessesBetween(before.ports, after.ports),
    mmio: accessesBetween(before.mmio, after.mmio),
    seconds: after.seconds - before.seconds,
    haltedSeconds: after.haltedSeconds - before.haltedSeconds,
  };
}

/** Numbers are subtracted, at any depth; everything else is that of `after`. */
function difference(before: unknown, after: unknown): unknown {
  if (typeof after === 'number') return after - (typeof before === 'number' ? before : 0);
  if (typeof after !== 'object' || after === null || Array.isArray(after)) return after;
  const old = (typeof before === 'object' && before !== null ? before : {}) as { [name: string]: unknown };
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, difference(old[name], value)]));
}

function accessesBetween(before: readonly AccessCount[], after: readonly AccessCount[]): AccessCount[] {
  const old = new Map(before.map((count) => [count.address, count]));
  return after
    .map(({ address, reads, writes }) => ({
      address,
      reads: reads - (old.get(address)?.reads ?? 0),
      writes: writes - (old.get(address)?.writes ?? 0),
    }))
    .filter(({ reads, writes }) => reads + writes > 0)
    .sort((a, b) => b.reads + b.writes - a.reads - a.writes);
}
