/** Layout of a test record, shared with native.c. */
export const RECORD_SIZE = 1024;
export const R_LENGTH = 15;
export const R_TRAP = 16;
export const R_MXCSR = 20;
export const R_FLAGS = 24;
export const R_GPR = 32;
export const R_MEMORY = 192;
export const MEMORY_SIZE = 256;
export const R_YMM = 448;
export const R_MM = 960;
/** No trap happened. */
export const NO_TRAP = 255;

/** Address of the record's memory on the host and in the guest, and of the instruction. */
export const MEMORY = 0x208000;
export const CODE = 0x210000;
