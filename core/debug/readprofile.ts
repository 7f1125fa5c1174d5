import type { GuestProfile } from '../cpu/statistics.ts';
import { listing } from '../cpu/x86/disassemble.ts';
import type { DebugTarget } from './debugrequest.ts';
import { readGenerated } from './readgenerated.ts';

/** Bytes of code that hold a handful of instructions. */
const CODE_BYTES = 64;

export interface ProfileRequest {
  top: number;
  lines: number;
  generated?: number | undefined;
  /** From now on every compiled region counts for itself, or none does; as it is when absent. */
  count?: boolean | undefined;
}

/**
 * The machine's profile with the first instructions of its `top` hottest places, `lines` of them each. Code is read through the page tables
 * that are current where nothing else is known: a sampled place of a program that does not run just now may have none, or another program's. `generated` of the hottest places that
 * are compiled also get the WebAssembly made of them.
 */
export async function readProfile(target: DebugTarget, { top, lines, generated = 0, count }: ProfileRequest): Promise<GuestProfile> {
  if (count === true) await target.request<'countRegions'>({ op: 'countRegions', on: true });
  const profile = await target.request<'profile'>({ op: 'profile' });
  for (const region of profile.statistics.hottest.slice(0, lines > 0 ? top : 0)) {
    const address = BigInt(region.address);
    const bytes = await target.request<'read'>(
      region.physical === undefined
        ? { op: 'read', space: 'linear', address, length: CODE_BYTES }
        : { op: 'read', space: 'physical', address: BigInt(region.physical), length: CODE_BYTES },
    );
    if (bytes.length) region.code = listing(bytes, address, region.bits, lines);
  }
  for (const region of profile.statistics.hottest.filter(({ tier }) => tier === 'compiled').slice(0, generated)) {
    const text = await readGenerated(target, BigInt(region.address));
    if (text.length) region.generated = text;
  }
  if (count === false) await target.request<'countRegions'>({ op: 'countRegions', on: false });
  return profile;
}
