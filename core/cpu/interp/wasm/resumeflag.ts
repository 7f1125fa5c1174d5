/**
 * EFLAGS.RF after the return from a fault handler (SDM volume 3 section 17.3.1.1): it lasts until the next instruction completes. While no
 * breakpoint is enabled only few instructions can tell whether it is still set, so it may go before all others.
 */
import { HANDLER_JIT } from './generated/tables';
import { REC_HANDLER, REC_OPCODE } from './record';

/** Opcodes below 0x100 that neither store flags, nor repeat, nor enter handlers or tasks: bit n of word n / 32. */
const ONE_BYTE: usize = memory.data<u32>([
  // 00..3f: arithmetic, segment pushes; 40..5f: INC, DEC, PUSH, POP; 60..6b: PUSHA, POPA, MOVSXD, PUSH, IMUL.
  0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_0d0b,
  // 80..8d, 90..99: arithmetic, TEST, XCHG, MOV, LEA; a0..a3, a8, a9: MOV, TEST; b0..c7: MOV, shifts, RET.
  0x03ff_3fff, 0xffff_030f,
  // c0..c3, c6, c7; d0..d3, e8, e9, eb: shifts, CALL, JMP; f6, f7, fe: TEST, NOT, NEG, MUL, DIV, INC, DEC.
  0x000f_00cf, 0x40c0_0b00,
]);

/** The instruction of `rec`, or the compiled region that begins there, cannot tell that RF is gone. */
export function ignoresResume(rec: usize): bool {
  const handler = load<u16>(rec, REC_HANDLER);
  // A region never begins with an instruction that could.
  if (handler <= <u16>HANDLER_JIT) return handler == <u16>HANDLER_JIT;
  const opcode = <u32>load<u16>(rec, REC_OPCODE);
  if (opcode < 0x100) return ((load<u32>(ONE_BYTE + ((opcode >> 5) << 2)) >> (opcode & 31)) & 1) != 0;
  // 0F 10..17, 28..2f, 40..4f, 54..7f, 90..9f, b6, b7, be, bf: moves of vectors, CMOVcc, SETcc, MOVZX, MOVSX.
  const second = opcode - 0x100;
  if (second < 0x80) return (second >= 0x10 && second < 0x18) || (second >= 0x28 && second < 0x30) || (second >= 0x40 && second < 0x50) || second >= 0x54;
  return second < 0xa0 ? second >= 0x80 : second < 0x100 && (second & 0xf6) == 0xb6;
}
