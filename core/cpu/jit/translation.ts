import type { Insn } from './decode.ts';
import type { Emitter } from './emitter.ts';

/** Emits what one guest instruction does. */
export type Translation = (e: Emitter, insn: Insn) => void;
