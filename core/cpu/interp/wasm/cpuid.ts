/**
 * CPUID: a family 6 processor without long mode. Only features that this interpreter implements are announced (SDM volume 2, CPUID).
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { gpr32, setGpr32 } from './state';
import { S_MSR_APIC_BASE } from './stateoffsets';
import { MAXPHYADDR } from './sysstate';

/** Family 6, model 13, stepping 8: the first family-6 model with SSE2, PAE and NX. Also EDX at reset. */
export const CPU_SIGNATURE: u32 = 0x000006d8;

const FPU: u32 = 1 << 0;
const DE: u32 = 1 << 2;
const PSE: u32 = 1 << 3;
const TSC: u32 = 1 << 4;
const MSR: u32 = 1 << 5;
const PAE: u32 = 1 << 6;
/** Machine checks: with no banks, so none ever comes. */
const MCE: u32 = 1 << 7;
const CX8: u32 = 1 << 8;
const APIC: u32 = 1 << 9;
const SEP: u32 = 1 << 11;
const MTRR: u32 = 1 << 12;
const PGE: u32 = 1 << 13;
const MCA: u32 = 1 << 14;
const CMOV: u32 = 1 << 15;
const PAT: u32 = 1 << 16;
const PSE36: u32 = 1 << 17;
const CLFSH: u32 = 1 << 19;
const MMX: u32 = 1 << 23;
const FXSR: u32 = 1 << 24;
const SSE: u32 = 1 << 25;
const SSE2: u32 = 1 << 26;
const FEATURES_EDX: u32 =
  FPU | DE | PSE | TSC | MSR | PAE | MCE | CX8 | SEP | MTRR | PGE | MCA | CMOV | PAT | PSE36 | CLFSH | MMX | FXSR | SSE | SSE2;
const HYPERVISOR_ECX: u32 = 0x80000000;
/** Leaf 80000001h. */
const NX_EDX: u32 = 1 << 20;

const MAX_BASIC: u32 = 2;
const MAX_HYPERVISOR: u32 = 0x40000000;
const MAX_EXTENDED: u32 = 0x80000008;
const APIC_GLOBAL_ENABLE: u64 = 0x800;

function result(a: u32, b: u32, c: u32, d: u32): void {
  setGpr32(0, a);
  setGpr32(3, b);
  setGpr32(1, c);
  setGpr32(2, d);
}

/** Four characters in register order. */
// @ts-ignore: decorator
@inline
function text(a: u32, b: u32, c: u32, d: u32): u32 {
  return a | (b << 8) | (c << 16) | (d << 24);
}

/** Word `n` of the 48-byte brand string. */
function brand(n: u32): u32 {
  const at = BRAND + <usize>(n << 2);
  return load<u32>(at);
}
/** "Hypervue Virtual CPU" and zeros. */
const BRAND: usize = memory.data<u8>([
  0x48, 0x79, 0x70, 0x65, 0x72, 0x76, 0x75, 0x65, 0x20, 0x56, 0x69, 0x72, 0x74, 0x75, 0x61, 0x6c, 0x20, 0x43, 0x50, 0x55, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

export function cpuid(): void {
  let leaf = gpr32(0);
  // Intel processors answer leaves above the last basic one as that one.
  if (leaf > MAX_BASIC && leaf < 0x40000000) leaf = MAX_BASIC;
  if ((leaf >= 0x40000100 && leaf < 0x80000000) || leaf > MAX_EXTENDED) leaf = MAX_BASIC;
  switch (leaf) {
    case 0:
      // "GenuineIntel"
      result(MAX_BASIC, text(0x47, 0x65, 0x6e, 0x75), text(0x6e, 0x74, 0x65, 0x6c), text(0x69, 0x6e, 0x65, 0x49));
      break;
    case 1: {
      const apic = load<u64>(CPU_STATE_BASE + S_MSR_APIC_BASE) & APIC_GLOBAL_ENABLE ? APIC : 0;
      // EBX: CLFLUSH line of 8 quadwords, one logical processor, APIC id 0.
      result(CPU_SIGNATURE, 0x00010800, HYPERVISOR_ECX, FEATURES_EDX | apic);
      break;
    }
    case 2:
      // Cache and TLB descriptors: one 4 KiB and one 4 MiB TLB line, 32 KiB caches, 1 MiB level 2 (SDM table 3-12).
      result(0x02b3b001, 0x000000f0, 0, 0x2c04307c);
      break;
    case 0x40000000:
      // Hypervisor leaf: highest leaf and a signature nobody attaches an interface to.
      result(MAX_HYPERVISOR, text(0x48, 0x79, 0x70, 0x65), text(0x72, 0x76, 0x75, 0x65), text(0x48, 0x79, 0x70, 0x65));
      break;
    case 0x80000000:
      result(MAX_EXTENDED, 0, 0, 0);
      break;
    case 0x80000001:
      result(0, 0, 0, NX_EDX);
      break;
    case 0x80000002:
      result(brand(0), brand(1), brand(2), brand(3));
      break;
    case 0x80000003:
      result(brand(4), brand(5), brand(6), brand(7));
      break;
    case 0x80000004:
      result(brand(8), brand(9), brand(10), brand(11));
      break;
    case 0x80000006:
      // Level 2 cache: 1 MiB, 8-way, 64-byte lines.
      result(0, 0, 0x04006040, 0);
      break;
    case 0x80000008:
      result(MAXPHYADDR | (32 << 8), 0, 0, 0);
      break;
    default:
      result(0, 0, 0, 0);
      break;
  }
}
