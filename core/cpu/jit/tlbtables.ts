import { TLB_BASE } from '../../memory/layout.ts';

/** Offsets of the software TLB's tables (interp/wasm/tlb.ts: TLB_USER, TLB_W, TLB_X), which only AssemblyScript compiles. */
const USER_TABLES = 0x30000;
export const WRITE_TABLE = 0x10000;
export const EXECUTE_TABLE = 0x20000;

/** Base of the tables of one privilege; what SY_TLB_CUR holds while it is the current one. */
export const tlbTables = (user: boolean): number => TLB_BASE + (user ? USER_TABLES : 0);
