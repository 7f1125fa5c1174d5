/** x87, MMX, SSE and AVX registers between a case's record and the processor's state: x87 registers by their place in the stack there, by number here. */
import * as S from '../../../core/cpu/interp/wasm/stateoffsets.ts';
import * as L from './layout.ts';

/** `bytes` and `view` are the state's. */
export function loadFloating(bytes: Uint8Array, view: DataView, record: Uint8Array, from: DataView): void {
  view.setUint16(S.S_FPU_CW, from.getUint16(L.R_FX + L.FX_CONTROL, true), true);
  const status = from.getUint16(L.R_FX + L.FX_STATUS, true);
  view.setUint16(S.S_FPU_SW, status, true);
  const top = (status >> 11) & 7;
  const used = record[L.R_FX + L.FX_TAG]!;
  let tags = 0;
  for (let i = 0; i < 8; i++) if (!(used & (1 << i))) tags |= 3 << (2 * i);
  view.setUint16(S.S_FPU_TW, tags, true);
  view.setUint16(S.S_FPU_FOP, from.getUint16(L.R_FX + L.FX_OPCODE, true), true);
  view.setBigUint64(S.S_FPU_FIP, from.getBigUint64(L.R_FX + L.FX_IP, true), true);
  view.setBigUint64(S.S_FPU_FDP, from.getBigUint64(L.R_FX + L.FX_DP, true), true);
  view.setUint16(S.S_FPU_FCS, 0, true);
  view.setUint16(S.S_FPU_FDS, 0, true);
  for (let i = 0; i < 8; i++) {
    const at = L.R_FX + L.FX_ST + i * 16;
    bytes.set(record.subarray(at, at + 10), S.S_FPU_ST + ((i + top) & 7) * 16);
  }
  view.setUint32(S.S_MXCSR, from.getUint32(L.R_FX + L.FX_MXCSR, true), true);
  for (let i = 0; i < 16; i++) {
    const at = S.S_XMM + i * S.XMM_STRIDE;
    bytes.set(record.subarray(L.R_FX + L.FX_XMM + i * 16, L.R_FX + L.FX_XMM + i * 16 + 16), at);
    bytes.set(record.subarray(L.R_YMMH + i * 16, L.R_YMMH + i * 16 + 16), at + 16);
  }
}

export function storeFloating(bytes: Uint8Array, view: DataView, result: Uint8Array, to: DataView): void {
  to.setUint16(L.R_FX + L.FX_CONTROL, view.getUint16(S.S_FPU_CW, true), true);
  const status = view.getUint16(S.S_FPU_SW, true);
  to.setUint16(L.R_FX + L.FX_STATUS, status, true);
  const top = (status >> 11) & 7;
  const tags = view.getUint16(S.S_FPU_TW, true);
  let used = 0;
  for (let i = 0; i < 8; i++) if (((tags >> (2 * i)) & 3) !== 3) used |= 1 << i;
  result[L.R_FX + L.FX_TAG] = used;
  to.setUint16(L.R_FX + L.FX_OPCODE, view.getUint16(S.S_FPU_FOP, true), true);
  to.setBigUint64(L.R_FX + L.FX_IP, view.getBigUint64(S.S_FPU_FIP, true), true);
  to.setBigUint64(L.R_FX + L.FX_DP, view.getBigUint64(S.S_FPU_FDP, true), true);
  for (let i = 0; i < 8; i++) {
    const at = S.S_FPU_ST + ((i + top) & 7) * 16;
    result.set(bytes.subarray(at, at + 10), L.R_FX + L.FX_ST + i * 16);
  }
  to.setUint32(L.R_FX + L.FX_MXCSR, view.getUint32(S.S_MXCSR, true), true);
  for (let i = 0; i < 16; i++) {
    const at = S.S_XMM + i * S.XMM_STRIDE;
    result.set(bytes.subarray(at, at + 16), L.R_FX + L.FX_XMM + i * 16);
    result.set(bytes.subarray(at + 16, at + 32), L.R_YMMH + i * 16);
  }
}
