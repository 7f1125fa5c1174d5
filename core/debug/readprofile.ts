import type { GuestProfile } from '../cpu/statistics.ts';
import { listing } from '../cpu/x86/disassemble.ts';
import type { DebugTarget } from './debugrequest.ts';

/** Bytes of code that hold a handful of instructions. */
const CODE_BYTES = 64;

/**
 * The machine's profile with the first instructions of its `top` hottest places, `lines` of them each. Code is read through the page tables
 * that are current: a place of a program that does not run just now may have none, or another program's.
 */
export async function readProfile(target: DebugTarget, { top, lines }: { top: number; lines: number }): Promise<GuestProfile> {
  const profile = await target.request<'profile'>({ op: 'profile' });
  for (const region of profile.statistics.hottest.slice(0, lines > 0 ? top : 0)) {
    const address = BigInt(region.address);
    const bytes = await target.request<'read'>({ op: 'read', space: 'linear', address, length: CODE_BYTES });
    if (bytes.length) region.code = listing(bytes, address, region.bits, lines);
  }
  return profile;
}
