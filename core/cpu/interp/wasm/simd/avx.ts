/** Entry of VEX-encoded vector instructions, by map (SDM volume 2, appendix A). The instruction table has sorted out what does not exist. */
import { OP_0F38, OP_0F3A, REC_OPCODE } from '../record';
import { avx38 } from './avx38';
import { avx3a } from './avx3a';
import { avxFloat } from './avxfloat';
import { avxInteger } from './avxint';
import { avxMove } from './avxmove';
import { prefixClass } from './operand';
import { checkAvx } from './vex';

export function avxExec(rec: usize): void {
  checkAvx();
  const op: u32 = load<u8>(rec, REC_OPCODE);
  const map = <i32>load<u16>(rec, REC_OPCODE) & 0x300;
  if (map == OP_0F38) {
    avx38(rec, op);
    return;
  }
  if (map == OP_0F3A) {
    avx3a(rec, op);
    return;
  }
  const p = prefixClass(rec);
  if (!avxMove(rec, op, p) && !avxFloat(rec, op, p)) avxInteger(rec, op, p);
}
