/**
 * Raising exceptions. Every function here stores the pending exception and leaves WebAssembly through the host's throw, so that no caller
 * sees it return (notePageFault() apart); deliverFault() (interrupt.ts) then delivers it. SDM volume 3 chapter 6.
 */
import { CPU_STATE_BASE } from '../../../memory/layout';
import { raise } from './imports';
import { S_FAULT_ERROR, S_FAULT_HAS_ERROR, S_FAULT_VECTOR, VEC_PF } from './stateoffsets';
import { S_FAULT_CR2, SY_DELIVER, SY_DELIVER_EXT } from './sysstate';

export function raiseFault(vector: u32): void {
  store<u32>(CPU_STATE_BASE + S_FAULT_VECTOR, vector);
  store<u32>(CPU_STATE_BASE + S_FAULT_ERROR, 0);
  store<u32>(CPU_STATE_BASE + S_FAULT_HAS_ERROR, 0);
  raise();
  unreachable();
}

/** `error` without the EXT bit: it is added here when an event is being delivered (SDM volume 3 section 6.13). */
export function raiseFaultErr(vector: u32, error: u32): void {
  if (load<u32>(CPU_STATE_BASE + SY_DELIVER) != 0) error |= load<u32>(CPU_STATE_BASE + SY_DELIVER_EXT);
  store<u32>(CPU_STATE_BASE + S_FAULT_VECTOR, vector);
  store<u32>(CPU_STATE_BASE + S_FAULT_ERROR, error);
  store<u32>(CPU_STATE_BASE + S_FAULT_HAS_ERROR, 1);
  raise();
  unreachable();
}

/** A page fault at linear address `lin` is to be raised; `error` is the whole error code (SDM volume 3 section 4.7). */
export function notePageFault(lin: u64, error: u32): void {
  store<u64>(CPU_STATE_BASE + S_FAULT_CR2, lin);
  store<u32>(CPU_STATE_BASE + S_FAULT_VECTOR, VEC_PF);
  store<u32>(CPU_STATE_BASE + S_FAULT_ERROR, error);
  store<u32>(CPU_STATE_BASE + S_FAULT_HAS_ERROR, 1);
}

/** Raises what notePageFault() noted. */
export function raiseNoted(): void {
  raise();
  unreachable();
}
