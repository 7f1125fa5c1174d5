/** Entry points of the floating-point unit for the rest of the processor. */
import { CPU_STATE_BASE } from '../../../../memory/layout';
import { S_FPU_ST, S_MXCSR, S_XMM } from '../stateoffsets';
import { fpuInit } from './x87stack';

export { ferrPending } from './x87stack';
export { x87Exec } from './x87exec';

/** Power-on state: x87 as after FNINIT with zero registers, MXCSR 1F80h, XMM zero (SDM volume 3, table 9-1). INIT leaves all of it alone. */
export function fpuReset(): void {
  fpuInit();
  memory.fill(CPU_STATE_BASE + S_FPU_ST, 0, 128);
  memory.fill(CPU_STATE_BASE + S_XMM, 0, 512);
  store<u32>(CPU_STATE_BASE + S_MXCSR, 0x1f80);
}
