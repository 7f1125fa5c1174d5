/** Links between compiled regions (jitoffsets.ts): made by the dispatcher, followed by region code without it. */
import { CPU_STATE_BASE, JIT_LINKS_BASE } from '../../../memory/layout';
import { LINK_COUNT, LINK_TABLE_SIZE, SJ_EPOCH } from './jitoffsets';

/** No link made so far counts any longer. */
// @ts-ignore: decorator
@inline
export function jitUnlink(): void {
  store<u32>(CPU_STATE_BASE + SJ_EPOCH, load<u32>(CPU_STATE_BASE + SJ_EPOCH) + 1);
}

/** Code at `rip` is function `index` of the table. */
// @ts-ignore: decorator
@inline
export function jitLink(rip: u64, long: u32, user: u32, index: u32): void {
  const slot = (<u32>rip ^ (<u32>rip >>> 12)) & (LINK_COUNT - 1);
  const at = JIT_LINKS_BASE + <usize>(long * 2 + user) * LINK_TABLE_SIZE + (<usize>slot << 4);
  store<u64>(at, rip);
  store<u32>(at, load<u32>(CPU_STATE_BASE + SJ_EPOCH), 8);
  store<u32>(at, index, 12);
}
