/** The CPU model as the interpreter asks for it. Set by the host when it makes the processor (core/cpu/models.ts). */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { FEAT_LM } from './features';
import { SY_FEATURES } from './sysstate';

/** True when the CPU model has feature FEAT_* number `n`. */
// @ts-ignore: decorator
@inline
export function hasFeature(n: i32): bool {
  return ((load<u64>(CPU_STATE_BASE + SY_FEATURES) >> n) & 1) != 0;
}

/** Physical address width, as CPUID announces it. */
// @ts-ignore: decorator
@inline
export function physBits(): u32 {
  return hasFeature(FEAT_LM) ? 40 : 36;
}

/** The bits of a physical address that lie above the address width. */
// @ts-ignore: decorator
@inline
export function physReserved(): u64 {
  return ~(((<u64>1) << physBits()) - 1);
}
