/** Functions the interpreter calls on its JavaScript host (core/cpu/interp/interpreter.ts). Values and addresses as in CpuBus. */

/**
 * Throws out of WebAssembly back to Interpreter.run, which calls the exported deliverFault(). The exception to deliver is in
 * S_FAULT_*. Never returns; callers still need a dummy return value after it.
 */
// @ts-ignore: decorator
@external('env', 'raise')
export declare function raise(): void;

// @ts-ignore: decorator
@external('env', 'portRead')
export declare function portRead(port: u32, size: u32): u32;
// @ts-ignore: decorator
@external('env', 'portWrite')
export declare function portWrite(port: u32, value: u32, size: u32): void;
/** At most `count` elements from a port to byte `host` of the shared memory, inside one page; how many the device moved, which may be none. */
// @ts-ignore: decorator
@external('env', 'portReadMany')
export declare function portReadMany(port: u32, size: u32, host: u32, count: u32): i32;
// @ts-ignore: decorator
@external('env', 'portWriteMany')
export declare function portWriteMany(port: u32, size: u32, host: u32, count: u32): i32;

/** `gpa` as a double: physical addresses beyond 32 bits stay exact. */
// @ts-ignore: decorator
@external('env', 'mmioRead')
export declare function mmioRead(gpa: f64, size: u32): u32;
// @ts-ignore: decorator
@external('env', 'mmioWrite')
export declare function mmioWrite(gpa: f64, value: u32, size: u32): void;

/** Vector 0..255 of the interrupt now in service, or -1. */
// @ts-ignore: decorator
@external('env', 'acknowledgeInterrupt')
export declare function acknowledgeInterrupt(): i32;
// @ts-ignore: decorator
@external('env', 'apicBaseChanged')
export declare function apicBaseChanged(value: f64): void;
/** MSRs of the board (paravirt.ts). */
// @ts-ignore: decorator
@external('env', 'msrRead')
export declare function msrRead(msr: u32): u64;
/** 0: the value is not allowed. */
// @ts-ignore: decorator
@external('env', 'msrWrite')
export declare function msrWrite(msr: u32, value: u64): u32;
/** The time stamp counter was set, to this value now. */
// @ts-ignore: decorator
@external('env', 'tscWritten')
export declare function tscWritten(value: u64): void;
// @ts-ignore: decorator
@external('env', 'readTsc')
export declare function readTsc(): f64;
/** 32 random bits. */
// @ts-ignore: decorator
@external('env', 'randomWord')
export declare function randomWord(): u32;

/** The code at byte `host` of the shared memory is worth compiling; `mode` as Run.mode, `user` 1 at CPL 3. */
// @ts-ignore: decorator
@external('env', 'jitHot')
export declare function jitHot(host: u32, mode: u32, user: u32): void;
/** The region with its memory at `pool` misses targets of calls and indirect branches. */
// @ts-ignore: decorator
@external('env', 'jitMiss')
export declare function jitMiss(pool: u32): void;
/** SJ_READY is set: regions compiled elsewhere want to be installed. */
// @ts-ignore: decorator
@external('env', 'jitCollect')
export declare function jitCollect(): void;
/** `size` bytes at byte `host` of a page with compiled regions were written. */
// @ts-ignore: decorator
@external('env', 'jitWritten')
export declare function jitWritten(host: u32, size: u32): void;
