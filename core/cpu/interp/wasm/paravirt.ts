/**
 * What the processor tells and offers a guest that knows it is virtual: KVM's CPUID leaves (Linux Documentation/virt/kvm/x86/cpuid.rst) and the
 * model-specific registers that chips of the board answer (core/devices/paravirt, the local APIC's timer). S_PARAVIRT says whether they exist.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raiseFaultErr } from './fault';
import { msrRead, msrWrite } from './imports';
import { code64, cpl } from './seg';
import { setGpr32, setGpr64 } from './state';
import { S_PARAVIRT, VEC_GP } from './stateoffsets';

const MSR_TSC_DEADLINE: u32 = 0x6e0;
/** msr.rst: wall clock and system time, with their numbers of old. */
const MSR_KVM_WALL_CLOCK: u32 = 0x11;
const MSR_KVM_SYSTEM_TIME: u32 = 0x12;
const MSR_KVM_WALL_CLOCK_NEW: u32 = 0x4b564d00;
const MSR_KVM_SYSTEM_TIME_NEW: u32 = 0x4b564d01;

/** Errors of hypercalls, kvm_para.h. */
const KVM_ENOSYS: i64 = 1000;
const KVM_EPERM: i64 = 1;

// Features in EAX of leaf 40000001h.
const KVM_FEATURE_CLOCKSOURCE: u32 = 1 << 0;
/** Writes to port 80h need no delay. */
const KVM_FEATURE_NOP_IO_DELAY: u32 = 1 << 1;
const KVM_FEATURE_CLOCKSOURCE2: u32 = 1 << 3;
/** The time never goes backwards from one processor to another. */
const KVM_FEATURE_CLOCKSOURCE_STABLE: u32 = 1 << 24;

/** Highest hypervisor leaf. */
const MAX_LEAF: u32 = 0x40000010;
/** Time stamp counter (core/devices/timer/tsc.ts) and input clock of the APIC timer, kHz. */
export const TSC_KHZ: u32 = 1_000_000;
const APIC_KHZ: u32 = 1_000_000;

// @ts-ignore: decorator
@inline
export function paravirtual(): bool {
  return load<u32>(CPU_STATE_BASE + S_PARAVIRT) != 0;
}

function result(a: u32, b: u32, c: u32, d: u32): void {
  setGpr32(0, a);
  setGpr32(3, b);
  setGpr32(1, c);
  setGpr32(2, d);
}

/** Hypervisor leaves, when `paravirtual()`. */
export function paravirtLeaf(leaf: u32): void {
  switch (leaf) {
    case 0x40000000:
      // "KVMKVMKVM" and zeros.
      result(MAX_LEAF, 0x4b4d564b, 0x564b4d56, 0x0000004d);
      break;
    case 0x40000001:
      result(KVM_FEATURE_CLOCKSOURCE | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_CLOCKSOURCE_STABLE, 0, 0, 0);
      break;
    case MAX_LEAF:
      // What other hypervisors began and several guests read: frequencies in kHz.
      result(TSC_KHZ, APIC_KHZ, 0, 0);
      break;
    default:
      result(0, 0, 0, 0);
      break;
  }
}

/**
 * VMCALL, which guests of KVM may use whatever features it offers (Documentation/virt/kvm/x86/hypercalls.rst). No call exists here, and user code
 * may make none.
 */
export function hypercall(): void {
  const answer: i64 = cpl() != 0 ? -KVM_EPERM : -KVM_ENOSYS;
  if (code64()) setGpr64(0, <u64>answer);
  else setGpr32(0, <u32>answer);
}

/** True for MSRs that the board answers. */
export function isBoardMsr(msr: u32): bool {
  if (!paravirtual()) return false;
  return (
    msr == MSR_TSC_DEADLINE ||
    msr == MSR_KVM_WALL_CLOCK ||
    msr == MSR_KVM_SYSTEM_TIME ||
    msr == MSR_KVM_WALL_CLOCK_NEW ||
    msr == MSR_KVM_SYSTEM_TIME_NEW
  );
}

export function readBoardMsr(msr: u32): u64 {
  return msrRead(msr);
}

export function writeBoardMsr(msr: u32, v: u64): void {
  if (!msrWrite(msr, v)) raiseFaultErr(VEC_GP, 0);
}
