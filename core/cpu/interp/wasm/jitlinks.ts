/**
 * Links between compiled regions (jitoffsets.ts): made by the dispatcher, followed by region code without it. They say what begins at a byte of
 * the memory, and region code looks its way there up in the TLB, so that no remapping and no process switch undoes them.
 */
import { JIT_LINKS_BASE, JIT_LINKS_SIZE } from '../../../memory/layout';
import { LINK_COUNT, LINK_TABLE_SIZE } from './jitoffsets';

// @ts-ignore: decorator
@inline
function linkAt(host: u32, long: u32, user: u32): usize {
  return JIT_LINKS_BASE + <usize>(long * 2 + user) * LINK_TABLE_SIZE + (<usize>((host ^ (host >>> 12)) & (LINK_COUNT - 1)) << 3);
}

/** Code at byte `host` is function `index` of the table. */
// @ts-ignore: decorator
@inline
export function jitLink(host: u32, long: u32, user: u32, index: u32): void {
  const at = linkAt(host, long, user);
  store<u32>(at, host);
  store<u32>(at, index, 4);
}

/** Function of the region at byte `host`, -1 when no link leads there. */
// @ts-ignore: decorator
@inline
export function linkedRegion(host: u32, long: u32, user: u32): i32 {
  const at = linkAt(host, long, user);
  return load<u32>(at) == host ? load<i32>(at, 4) : -1;
}

/** The region at byte `host` goes. */
export function jitUnlink(host: u32, long: u32): void {
  for (let user: u32 = 0; user < 2; user++) {
    const at = linkAt(host, long, user);
    if (load<u32>(at) == host) store<u32>(at, 0);
  }
}

/** First use of the memory. */
export function clearLinks(): void {
  memory.fill(JIT_LINKS_BASE, 0, JIT_LINKS_SIZE);
}
