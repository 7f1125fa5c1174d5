/**
 * CPUID of the CPU models (SDM volume 2, CPUID). Which features are announced is SY_FEATURES's business (core/cpu/models.ts); this file knows
 * where each one shows.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import {
  FEAT_ADX, FEAT_AES, FEAT_AVX, FEAT_AVX2, FEAT_BMI1, FEAT_BMI2, FEAT_CX16, FEAT_ERMS, FEAT_F16C, FEAT_FMA, FEAT_FSGSBASE, FEAT_INVPCID,
  FEAT_LAHF64, FEAT_LM, FEAT_LZCNT, FEAT_MOVBE, FEAT_NX, FEAT_PCID, FEAT_PCLMUL, FEAT_PDPE1GB, FEAT_POPCNT, FEAT_PREFETCHW, FEAT_RDPID,
  FEAT_RDRAND, FEAT_RDSEED, FEAT_RDTSCP, FEAT_SMAP, FEAT_SMEP, FEAT_SSE3, FEAT_SSE41, FEAT_SSE42, FEAT_SSSE3, FEAT_SYSCALL, FEAT_UMIP, FEAT_XSAVE,
  FEAT_XSAVEOPT,
} from './features';
import { hasFeature, physBits } from './model';
import { paravirtLeaf, paravirtual, TSC_KHZ } from './paravirt';
import { gpr32, setGpr32 } from './state';
import { S_CODE_MODE, S_CR4, S_MSR_APIC_BASE, S_XCR0 } from './stateoffsets';
import { CR4_OSXSAVE } from './sysstate';

/**
 * Family 6, model 28, stepping 10: an in-order Atom, which came with and without long mode. Kernels know that these do not speculate, and
 * leave out the costly workarounds for processors that do; neither does this one. Also EDX at reset.
 */
export const CPU_SIGNATURE: u32 = 0x000106ca;

const FPU: u32 = 1 << 0;
const VME: u32 = 1 << 1;
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
  FPU | VME | DE | PSE | TSC | MSR | PAE | MCE | CX8 | SEP | MTRR | PGE | MCA | CMOV | PAT | PSE36 | CLFSH | MMX | FXSR | SSE | SSE2;
const HYPERVISOR_ECX: u32 = 0x80000000;
/** Leaf 1 ECX: the APIC timer has a deadline mode. */
const TSC_DEADLINE_ECX: u32 = 1 << 24;
/** Leaf 1 ECX: the operating system has set CR4.OSXSAVE. */
const OSXSAVE_ECX: u32 = 1 << 27;

/** XCR0: x87, SSE, AVX state. */
const XCR0_AVX: u64 = 4;
/** XSAVE area: legacy region and header, then 256 bytes of YMM upper halves (SDM volume 1 section 13.4). */
const XSAVE_LEGACY: u32 = 576;
const XSAVE_AVX: u32 = 256;

const MAX_BASIC: u32 = 2;
/** Processors with long mode. */
const MAX_BASIC_64: u32 = 0x16;
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

/** Bit `bit` when the model has the feature. */
// @ts-ignore: decorator
@inline
function feature(n: i32, bit: u32): u32 {
  return hasFeature(n) ? (<u32>1) << bit : 0;
}

/** Leaf 1 ECX. */
function features1c(): u32 {
  return (
    HYPERVISOR_ECX |
    (paravirtual() ? TSC_DEADLINE_ECX : 0) |
    feature(FEAT_SSE3, 0) |
    feature(FEAT_PCLMUL, 1) |
    feature(FEAT_SSSE3, 9) |
    feature(FEAT_FMA, 12) |
    feature(FEAT_CX16, 13) |
    feature(FEAT_PCID, 17) |
    feature(FEAT_SSE41, 19) |
    feature(FEAT_SSE42, 20) |
    feature(FEAT_MOVBE, 22) |
    feature(FEAT_POPCNT, 23) |
    feature(FEAT_AES, 25) |
    feature(FEAT_XSAVE, 26) |
    (load<u64>(CPU_STATE_BASE + S_CR4) & CR4_OSXSAVE ? OSXSAVE_ECX : 0) |
    feature(FEAT_AVX, 28) |
    feature(FEAT_F16C, 29) |
    feature(FEAT_RDRAND, 30)
  );
}

/** Leaf 7, subleaf 0. */
function leaf7(): void {
  const ebx =
    feature(FEAT_FSGSBASE, 0) |
    // IA32_TSC_ADJUST.
    feature(FEAT_LM, 1) |
    feature(FEAT_BMI1, 3) |
    feature(FEAT_AVX2, 5) |
    feature(FEAT_SMEP, 7) |
    feature(FEAT_BMI2, 8) |
    feature(FEAT_ERMS, 9) |
    feature(FEAT_INVPCID, 10) |
    feature(FEAT_RDSEED, 18) |
    feature(FEAT_ADX, 19) |
    feature(FEAT_SMAP, 20);
  result(0, ebx, feature(FEAT_UMIP, 2) | feature(FEAT_RDPID, 22), 0);
}

/** Leaf 80000001h. SYSCALL shows in 64-bit mode only, as on Intel processors. */
function extendedFeatures(): void {
  const ecx = feature(FEAT_LAHF64, 0) | feature(FEAT_LZCNT, 5) | feature(FEAT_PREFETCHW, 8);
  const edx =
    feature(FEAT_NX, 20) |
    feature(FEAT_PDPE1GB, 26) |
    feature(FEAT_RDTSCP, 27) |
    feature(FEAT_LM, 29) |
    (load<u32>(CPU_STATE_BASE + S_CODE_MODE) == 2 ? feature(FEAT_SYSCALL, 11) : 0);
  result(0, 0, ecx, edx);
}

/** Deterministic cache parameters: type and level, ways, sets; lines of 64 bytes, one thread, one core. */
function cache(type: u32, ways: u32, sets: u32, edx: u32): void {
  result(type | 0x100, ((ways - 1) << 22) | 63, sets - 1, edx);
}

/** Leaf 4: the same caches as leaf 2 tells. */
function leaf4(index: u32): void {
  if (index == 0) cache(0x21, 8, 64, 0);
  else if (index == 1) cache(0x22, 8, 64, 0);
  else if (index == 2) cache(0x43, 8, 2048, 0);
  else result(0, 0, 0, 0);
}

/** Leaf Dh: the XSAVE area, subleaf `index`. */
function leafD(index: u32): void {
  const avx = hasFeature(FEAT_AVX);
  if (!hasFeature(FEAT_XSAVE) || index > 2) result(0, 0, 0, 0);
  else if (index == 0) {
    const now = load<u64>(CPU_STATE_BASE + S_XCR0) & XCR0_AVX ? XSAVE_AVX : 0;
    result(avx ? 7 : 3, XSAVE_LEGACY + now, XSAVE_LEGACY + (avx ? XSAVE_AVX : 0), 0);
  } else if (index == 1) result(feature(FEAT_XSAVEOPT, 0), 0, 0, 0);
  else if (avx) result(XSAVE_AVX, XSAVE_LEGACY, 0, 0);
  else result(0, 0, 0, 0);
}

export function cpuid(): void {
  let leaf = gpr32(0);
  const long = hasFeature(FEAT_LM);
  const maxBasic = long ? MAX_BASIC_64 : MAX_BASIC;
  // Intel processors answer leaves above the last basic one as that one.
  if (leaf > maxBasic && leaf < 0x40000000) leaf = maxBasic;
  if ((leaf >= 0x40000100 && leaf < 0x80000000) || leaf > MAX_EXTENDED) leaf = maxBasic;
  if (leaf >= 0x40000000 && leaf < 0x80000000 && paravirtual()) {
    paravirtLeaf(leaf);
    return;
  }
  switch (leaf) {
    case 0:
      // "GenuineIntel"
      result(maxBasic, text(0x47, 0x65, 0x6e, 0x75), text(0x6e, 0x74, 0x65, 0x6c), text(0x69, 0x6e, 0x65, 0x49));
      break;
    case 1: {
      const apic = load<u64>(CPU_STATE_BASE + S_MSR_APIC_BASE) & APIC_GLOBAL_ENABLE ? APIC : 0;
      // EBX: CLFLUSH line of 8 quadwords, one logical processor, APIC id 0.
      result(CPU_SIGNATURE, 0x00010800, features1c(), FEATURES_EDX | apic);
      break;
    }
    case 2:
      // Cache and TLB descriptors: one 4 KiB and one 4 MiB TLB line, 32 KiB caches, 1 MiB level 2 (SDM table 3-12).
      result(0x02b3b001, 0x000000f0, 0, 0x2c04307c);
      break;
    case 4:
      leaf4(gpr32(1));
      break;
    case 6:
      // ARAT: the APIC timer runs whatever the processor does.
      result(4, 0, 0, 0);
      break;
    case 7:
      if (gpr32(1)) result(0, 0, 0, 0);
      else leaf7();
      break;
    case 0xd:
      leafD(gpr32(1));
      break;
    case 0x15:
      // Crystal of the time stamp counter and the APIC timer: 1 GHz, times one.
      result(1, 1, TSC_KHZ * 1000, 0);
      break;
    case 0x16:
      // Base and highest frequency, bus, in MHz.
      result(TSC_KHZ / 1000, TSC_KHZ / 1000, 100, 0);
      break;
    case 0x40000000:
      // Hypervisor leaf: highest leaf and a signature nobody attaches an interface to.
      result(MAX_HYPERVISOR, text(0x48, 0x79, 0x70, 0x65), text(0x72, 0x76, 0x75, 0x65), text(0x48, 0x79, 0x70, 0x65));
      break;
    case 0x80000000:
      result(MAX_EXTENDED, 0, 0, 0);
      break;
    case 0x80000001:
      extendedFeatures();
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
    case 0x80000007:
      // Invariant TSC.
      result(0, 0, 0, long || paravirtual() ? 0x100 : 0);
      break;
    case 0x80000008:
      result(physBits() | ((long ? 48 : 32) << 8), 0, 0, 0);
      break;
    default:
      result(0, 0, 0, 0);
      break;
  }
}
