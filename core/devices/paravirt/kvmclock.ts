/**
 * The clock that KVM offers its guests: two structures in guest memory, of wall time at the start and of how to get from the time stamp counter
 * to nanoseconds since the start. A guest that uses it neither calibrates its counter nor reads slow timers.
 * Spec: Linux Documentation/virt/kvm/x86/msr.rst; CPUID bits in cpuid.rst (interp/wasm/paravirt.ts).
 */
import type { Device } from '../../bus/device.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import type { DeviceState } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Clock } from '../../util/clock.ts';
import { TSC_PER_NS, type Tsc } from '../timer/tsc.ts';

/** MSR_KVM_WALL_CLOCK and MSR_KVM_SYSTEM_TIME, and their numbers of old. */
export const MSR_KVM_WALL_CLOCK_NEW = 0x4b564d00;
export const MSR_KVM_SYSTEM_TIME_NEW = 0x4b564d01;
export const MSR_KVM_WALL_CLOCK = 0x11;
export const MSR_KVM_SYSTEM_TIME = 0x12;

/** Bit 0 of the system time MSR: the structure is kept up to date. */
const ENABLED = 1n;

// struct pvclock_wall_clock: u32 version, u32 seconds, u32 nanoseconds.
// struct pvclock_vcpu_time_info: u32 version, u32 pad, u64 tsc_timestamp, u64 system_time, u32 tsc_to_system_mul, s8 tsc_shift, u8 flags, u8 pad[2].
const TIME_INFO_BYTES = 32;
/** ns = ((tsc << TSC_SHIFT) * TSC_MUL) >> 32. */
const TSC_SHIFT = 1;
const TSC_MUL = 2 ** (32 - TSC_SHIFT) / TSC_PER_NS;
/** PVCLOCK_TSC_STABLE_BIT: all processors read the same. */
const TSC_STABLE = 1;

export interface KvmClockOptions {
  id: string;
  memory: GuestMemory;
  clock: Clock;
  tsc: Tsc;
}

export class KvmClock implements Device {
  readonly id: string;
  private readonly options: KvmClockOptions;
  private wallClock = 0n;
  private systemTime = 0n;
  /** Added to machine time, so that it goes on where it was after a restore. */
  private base = 0;

  constructor(options: KvmClockOptions) {
    this.id = options.id;
    this.options = options;
    options.tsc.onWritten(() => this.publish());
  }

  reset(): void {
    this.wallClock = this.systemTime = 0n;
  }

  /** Undefined: no MSR of this device. */
  readMsr(msr: number): bigint | undefined {
    if (msr === MSR_KVM_SYSTEM_TIME || msr === MSR_KVM_SYSTEM_TIME_NEW) return this.systemTime;
    if (msr === MSR_KVM_WALL_CLOCK || msr === MSR_KVM_WALL_CLOCK_NEW) return this.wallClock;
    return undefined;
  }

  /** False: no MSR of this device. */
  writeMsr(msr: number, value: bigint): boolean {
    if (msr === MSR_KVM_SYSTEM_TIME || msr === MSR_KVM_SYSTEM_TIME_NEW) {
      this.systemTime = value;
      this.publish();
      return true;
    }
    if (msr === MSR_KVM_WALL_CLOCK || msr === MSR_KVM_WALL_CLOCK_NEW) {
      this.wallClock = value;
      this.writeWallClock();
      return true;
    }
    return false;
  }

  /** Wall time at which the system time was 0; written once for each write of the MSR. */
  private writeWallClock(): void {
    const { memory, clock } = this.options;
    const gpa = Number(this.wallClock);
    const ns = clock.wallTime() * 1e6 - (clock.now() + this.base);
    const seconds = Math.floor(ns / 1e9);
    const version = nextVersion(memory, gpa);
    memory.write32(gpa + 4, seconds >>> 0);
    memory.write32(gpa + 8, Math.max(0, Math.floor(ns - seconds * 1e9)) >>> 0);
    memory.write32(gpa, version);
  }

  private publish(): void {
    if (!(this.systemTime & ENABLED)) return;
    const { memory, clock, tsc } = this.options;
    const now = clock.now();
    const gpa = Number(this.systemTime & ~ENABLED);
    const info = new DataView(new ArrayBuffer(TIME_INFO_BYTES));
    info.setUint32(0, nextVersion(memory, gpa), true);
    info.setBigUint64(8, tsc.at(now), true);
    info.setBigUint64(16, BigInt.asUintN(64, BigInt(Math.floor(now + this.base))), true);
    info.setUint32(24, TSC_MUL, true);
    info.setInt8(28, TSC_SHIFT);
    info.setUint8(29, TSC_STABLE);
    // Guest code does not run meanwhile, so no reader sees an odd version.
    memory.write(gpa, new Uint8Array(info.buffer));
  }

  save(): DeviceState {
    return {
      version: 1,
      wallClock: this.wallClock,
      systemTime: this.systemTime,
      now: Math.floor(this.options.clock.now() + this.base),
    };
  }

  restore(state: DeviceState): void {
    const reader = StateReader.open(state, this.id, 1);
    this.wallClock = reader.u64('wallClock');
    this.systemTime = reader.u64('systemTime');
    this.base = reader.number('now', 0, Number.MAX_SAFE_INTEGER) - Math.floor(this.options.clock.now());
    if (!this.published) this.publish();
  }

  /** The structure in guest memory gives the right time already: nothing about the machine's time changed. */
  private get published(): boolean {
    if (!(this.systemTime & ENABLED)) return true;
    const { memory, clock, tsc } = this.options;
    const bytes = new Uint8Array(TIME_INFO_BYTES);
    memory.read(Number(this.systemTime & ~ENABLED), bytes);
    const info = new DataView(bytes.buffer);
    const now = clock.now();
    const shown = info.getBigUint64(16, true) + (tsc.at(now) - info.getBigUint64(8, true)) / BigInt(TSC_PER_NS);
    const off = shown - BigInt(Math.floor(now + this.base));
    return info.getUint32(24, true) === TSC_MUL && info.getInt8(28) === TSC_SHIFT && off >= -1n && off <= 1n;
  }
}

/** Even, and another than the structure has: a reader that began before sees that it has to start again. */
function nextVersion(memory: GuestMemory, gpa: number): number {
  return ((memory.read32(gpa) & ~1) + 2) >>> 0;
}
