/** Entry of VEX-encoded vector instructions, by map (SDM volume 2, appendix A). The instruction table has sorted out what does not exist. */
import { raiseFault } from '../fault';
import { OP_0F38, OP_0F3A, REC_OPCODE } from '../record';
import { VEC_NM } from '../stateoffsets';
import { avx38 } from './avx38';
import { avx3a } from './avx3a';
import { avxFloat } from './avxfloat';
import { avxInteger } from './avxint';
import { avxMove } from './avxmove';
import { prefixClass, undefinedOp } from './operand';
import { checkAvx } from './vex';
import { badForm, badForm38, badForm3a } from './vexforms';

/** #NM, or #UD when it is no instruction. */
function notAvailable(rec: usize, map: i32, op: u32): void {
  if (map == OP_0F38 ? badForm38(rec, op) : map == OP_0F3A ? badForm3a(rec, op) : badForm(rec, op, prefixClass(rec))) undefinedOp();
  raiseFault(VEC_NM);
}

export function avxExec(rec: usize): void {
  const switched = checkAvx();
  const op: u32 = load<u8>(rec, REC_OPCODE);
  const map = <i32>load<u16>(rec, REC_OPCODE) & 0x300;
  if (switched) notAvailable(rec, map, op);
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
