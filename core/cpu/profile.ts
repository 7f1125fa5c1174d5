import type { AcceleratorStatistics } from './statistics.ts';

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

/** What one hot region is called and looks like, where somebody knows. */
export interface RegionDetail {
  symbol?: string | undefined;
  /** Disassembled lines. */
  code?: readonly string[] | undefined;
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US');
const percent = (part: number, all: number) => (all > 0 ? `${((part * 100) / all).toFixed(1)} %` : '-');

/** The text of a profile; `detail` names and disassembles regions. */
export function formatProfile(
  statistics: AcceleratorStatistics,
  options: { top?: number; detail?: (address: bigint, bits: 16 | 32 | 64) => RegionDetail } = {},
): string {
  const { instructions, interpretedInstructions, regions, compile, tlb } = statistics;
  const lines = [
    `accelerator      ${statistics.accelerator}`,
    `instructions     ${whole(instructions)}`,
    `  interpreted    ${whole(interpretedInstructions)} (${percent(interpretedInstructions, instructions)})`,
  ];
  if (regions.compiled || compile.modules)
    lines.push(
      `regions          ${whole(regions.compiled)} compiled, ${whole(regions.alive)} alive, ${whole(regions.evicted)} evicted, ${whole(regions.invalidated)} invalidated`,
      `compiling        ${whole(compile.modules)} modules, ${compile.totalMs.toFixed(1)} ms here and ${compile.offThreadMs.toFixed(1)} ms on other threads, longest ${compile.maxMs.toFixed(1)} ms`,
      `generated code   ${whole(statistics.generatedBytes)} bytes, ${whole(statistics.generatedBytesAlive)} alive`,
    );
  lines.push(
    `interrupts       ${whole(statistics.interrupts)}, NMIs ${whole(statistics.nmis)}`,
    `TLB misses       ${whole(tlb.readMisses)} read, ${whole(tlb.writeMisses)} write, ${whole(tlb.fetchMisses)} fetch; ${whole(tlb.flushes)} flushes`,
    `code dropped     ${whole(statistics.codePagesDropped)} pages`,
  );
  const counted = (title: string, counts: { [key: string]: number }, name = (key: string) => key) => {
    const entries = Object.entries(counts)
      .filter(([, count]) => count > 0)
      .sort(([, a], [, b]) => b - a);
    if (entries.length) lines.push('', title, ...entries.map(([key, count]) => `  ${whole(count).padStart(15)}  ${name(key)}`));
  };
  counted('exits by cause', statistics.exits);
  counted('exceptions', statistics.faults, (vector) => VECTOR_NAMES[vector] ?? `vector ${vector}`);
  const { hottest } = statistics;
  if (hottest.length) {
    const sampled = hottest.some((region) => region.sampled);
    lines.push(
      '',
      sampled ? 'hottest places (sampled at the ends of slices)' : 'hottest regions',
      '       share     instructions    entries  address',
    );
    const total = Math.max(
      instructions,
      hottest.reduce((sum, region) => sum + region.instructions, 0),
    );
    for (const region of hottest.slice(0, options.top ?? 20)) {
      const detail = options.detail?.(BigInt(region.address), region.bits) ?? {};
      lines.push(
        `  ${percent(region.instructions, total).padStart(10)} ${whole(region.instructions).padStart(16)} ${whole(region.entries).padStart(10)}  ${region.address} (${region.bits}-bit, ${region.tier})${
          detail.symbol ? ` ${detail.symbol}` : ''
        }`,
        ...(detail.code ?? []).map((line) => `      ${line}`),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
