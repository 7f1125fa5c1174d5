import { writeFile } from 'node:fs/promises';
import { formatProfile } from '../cpu/profile.ts';
import type { GuestProfile } from '../cpu/statistics.ts';
import { loadSymbols } from './symbols.ts';

export interface ReportOptions {
  top: number;
  /** System.map or ELF file. */
  symbols?: string | undefined;
  json: boolean;
}

/** The report as text or JSON, with symbols where there are some. */
export async function profileReport(profile: GuestProfile, { top, symbols, json }: ReportOptions): Promise<string> {
  const table = symbols === undefined ? undefined : await loadSymbols(symbols);
  if (!json) return formatProfile(profile, { top, ...(table ? { symbol: (address) => table.at(address) } : {}) });
  const hottest = profile.statistics.hottest.slice(0, top).map((region) => {
    const symbol = table?.at(BigInt(region.address));
    return symbol === undefined ? region : { ...region, symbol };
  });
  return `${JSON.stringify({ ...profile, statistics: { ...profile.statistics, hottest } }, undefined, 2)}\n`;
}

/** To a file, or to standard error, where it does not mix with the guest's serial line; a file that ends in .json gets JSON. */
export async function writeProfile(file: string | true, profile: GuestProfile, options: Omit<ReportOptions, 'json'>): Promise<void> {
  const text = await profileReport(profile, { ...options, json: typeof file === 'string' && file.endsWith('.json') });
  if (file === true) process.stderr.write(text);
  else await writeFile(file, text);
}
