/** Where the interpreter is: WebAssembly globals of the run loop (branch.ts, decode.ts, index.ts and the generated switch). */
export class Run {
  /** Record being executed; 0 between instructions, when S_RIP is exact. */
  static rec: usize = 0;
  /** First record of the straight run that `rec` is in, for counting: the records between are one instruction each. */
  static start: usize = 0;
  /** EIP of byte 0 of the code page being executed, modulo 2^32: EIP of an instruction = pageEip + its offset in the page. */
  static pageEip: u32 = 0;
  /** Instructions left in this slice; goes to zero or below. */
  static countdown: i32 = 0;
  /** Value of the instruction counter when `countdown` reaches 0. */
  static countEnd: u64 = 0;
  /** Instructions of the slice kept back for its end, where each is checked (EXACT_SLACK); 0 when they are due, or need not be exact. */
  static slack: i32 = 0;
  /** At the exact end of a slice: one instruction at a time. */
  static tail: bool = false;
  /** MODE_*: what records are decoded for. Run() keeps it equal to the processor's. */
  static mode: u32 = 0;
  /** One instruction at a time: a taken branch returns to run(). */
  static step: bool = false;
  /** A compiled region is running: SJ_LEFT stands for `countdown`. */
  static region: bool = false;
  /** The interpreter executes one instruction for a compiled region. */
  static inside: bool = false;
  /** Instructions of the budget beyond `countdown`. */
  static later: i32 = 0;
  /** Instructions up to the next look at what is hot, beyond `countdown`. */
  static untilSample: i32 = 0;
  /** A region stopped before an instruction that the interpreter has to execute. */
  static mustStep: bool = false;
  /** A region stopped before an instruction whose page fault is noted. */
  static faulted: bool = false;
  /** Base and limit of the 32-bit code segment that ran last. */
  static codeBase: u32 = 0;
  static codeLimit: u32 = 0;
  /** Record of the instruction that writes S_RIP itself and has not ended (begin64()); 0: none. */
  static begun: usize = 0;
  /** A repeated instruction stopped before its last element. */
  static repeats: bool = false;
  /** Counts dropped regions: the one that runs may be among them. */
  static regionsDropped: u32 = 0;
}

/**
 * Instructions that may pass between two looks at `countdown`, with room: a run of records has 48 (RUN_MAX in decode.ts). Compiled code
 * that goes farther must look whether `countdown` has room for it before it starts.
 */
export const EXACT_SLACK: i32 = 64;

/** Run.mode: 16-bit code segment. */
export const MODE_16: u32 = 0;
/** 32-bit code segment. */
export const MODE_32: u32 = 1;
/** 32-bit code, a 32-bit stack, and DS, ES, SS span the whole linear space; always together with MODE_32. */
export const MODE_FLAT: u32 = 2;
/** 64-bit code: the value, not a bit. */
export const MODE_64: u32 = 2;
