/** MMX, SSE and SSE2 instructions in the notation of encode.ts: 64-bit mode gives them eight more registers and 64-bit general operands. */
import { ARITHMETIC_ROWS, hex, ROOT_ROWS } from './rows.ts';

const ONE_BY_ONE = `
MOVUPS load|np 0f 10|V,W16|int
MOVUPS store|np 0f 11|V,W16|int
MOVUPD load|66 0f 10|V,W16|int
MOVUPD store|66 0f 11|V,W16|int
MOVSS load|f3 0f 10|V,W4|int
MOVSS store|f3 0f 11|V,W4|int
MOVSD load|f2 0f 10|V,W8|int
MOVSD store|f2 0f 11|V,W8|int
MOVLPS load|np 0f 12|V,W8|int
MOVLPS store|np 0f 13|V,M8|int
MOVLPD load|66 0f 12|V,M8|int
MOVLPD store|66 0f 13|V,M8|int
MOVHPS load|np 0f 16|V,W8|int
MOVHPS store|np 0f 17|V,M8|int
MOVHPD load|66 0f 16|V,M8|int
MOVHPD store|66 0f 17|V,M8|int
MOVAPS load|np 0f 28|V,W16a|int
MOVAPS store|np 0f 29|V,W16a|int
MOVAPD load|66 0f 28|V,W16a|int
MOVAPD store|66 0f 29|V,W16a|int
MOVNTPS|np 0f 2b|V,M16a|int
MOVNTPD|66 0f 2b|V,M16a|int
MOVNTDQ|66 0f e7|V,M16a|int
MOVNTQ|np 0f e7|P,M8|int
MOVNTI|np 0f c3|G,M8|int gy
MOVMSKPS|np 0f 50|G,U|int gy
MOVMSKPD|66 0f 50|G,U|int gy
PMOVMSKB mm|np 0f d7|G,N|int gy
PMOVMSKB|66 0f d7|G,U|int gy
MOVD mm|np 0f 6e|P,E8|int gy
MOVD|66 0f 6e|V,E8|int gy
MOVD from mm|np 0f 7e|P,E8|int gy
MOVD from|66 0f 7e|V,E8|int gy
MOVQ mm|np 0f 6f|P,Q8|int
MOVQ mm store|np 0f 7f|P,Q8|int
MOVDQA|66 0f 6f|V,W16a|int
MOVDQA store|66 0f 7f|V,W16a|int
MOVDQU|f3 0f 6f|V,W16|int
MOVDQU store|f3 0f 7f|V,W16|int
MOVQ|f3 0f 7e|V,W8|int
MOVQ store|66 0f d6|V,W8|int
MOVQ2DQ|f3 0f d6|V,N|int
MOVDQ2Q|f2 0f d6|P,U|int
MASKMOVQ|np 0f f7|P,N|int
MASKMOVDQU|66 0f f7|V,U|int
PINSRW mm|np 0f c4|P,E2,I|int
PINSRW|66 0f c4|V,E2,I|int
PEXTRW mm|np 0f c5|G,N,I|int gy
PEXTRW|66 0f c5|G,U,I|int gy
SHUFPS|np 0f c6|V,W16a,I|int
SHUFPD|66 0f c6|V,W16a,I|int
PSHUFW|np 0f 70|P,Q8,I|int
PSHUFD|66 0f 70|V,W16a,I|int
PSHUFHW|f3 0f 70|V,W16a,I|int
PSHUFLW|f2 0f 70|V,W16a,I|int
PSRLDQ|66 0f 73/3|U,I|int
PSLLDQ|66 0f 73/7|U,I|int
RCPPS|np 0f 53|V,W16a|f32 relative
RSQRTPS|np 0f 52|V,W16a|f32 relative
RCPSS|f3 0f 53|V,W4|f32 relative
RSQRTSS|f3 0f 52|V,W4|f32 relative
UCOMISS|np 0f 2e|V,W4|f32
UCOMISD|66 0f 2e|V,W8|f64
COMISS|np 0f 2f|V,W4|f32
COMISD|66 0f 2f|V,W8|f64
CMPPS|np 0f c2|V,W16a,I|f32
CMPPD|66 0f c2|V,W16a,I|f64
CMPSS|f3 0f c2|V,W4,I|f32
CMPSD|f2 0f c2|V,W8,I|f64
CVTPS2PD|np 0f 5a|V,W8|f32
CVTPD2PS|66 0f 5a|V,W16a|f64
CVTSS2SD|f3 0f 5a|V,W4|f32
CVTSD2SS|f2 0f 5a|V,W8|f64
CVTDQ2PS|np 0f 5b|V,W16a|f32
CVTPS2DQ|66 0f 5b|V,W16a|f32
CVTTPS2DQ|f3 0f 5b|V,W16a|f32
CVTTPD2DQ|66 0f e6|V,W16a|f64
CVTPD2DQ|f2 0f e6|V,W16a|f64
CVTDQ2PD|f3 0f e6|V,W8|f32
CVTPI2PS|np 0f 2a|V,Q8|f32
CVTPI2PD|66 0f 2a|V,Q8|f64
CVTSI2SS|f3 0f 2a|V,E8|f32 gy
CVTSI2SD|f2 0f 2a|V,E8|f64 gy
CVTTPS2PI|np 0f 2c|P,W8|f32
CVTTPD2PI|66 0f 2c|P,W16a|f64
CVTTSS2SI|f3 0f 2c|G,W4|f32 gy
CVTTSD2SI|f2 0f 2c|G,W8|f64 gy
CVTPS2PI|np 0f 2d|P,W8|f32
CVTPD2PI|66 0f 2d|P,W16a|f64
CVTSS2SI|f3 0f 2d|G,W4|f32 gy
CVTSD2SI|f2 0f 2d|G,W8|f64 gy
`;

function families(): string {
  let text = '';
  for (const [name, op] of [...ARITHMETIC_ROWS, ...ROOT_ROWS]) {
    text += `${name}PS|np 0f ${hex(op)}|V,W16a|f32\n${name}PD|66 0f ${hex(op)}|V,W16a|f64\n`;
    text += `${name}SS|f3 0f ${hex(op)}|V,W4|f32\n${name}SD|f2 0f ${hex(op)}|V,W8|f64\n`;
  }
  for (const op of [0x14, 0x15, 0x54, 0x55, 0x56, 0x57])
    text += `PS ${hex(op)}|np 0f ${hex(op)}|V,W16a|int\nPD ${hex(op)}|66 0f ${hex(op)}|V,W16a|int\n`;
  for (let op = 0x60; op <= 0xfe; op++) {
    const other = (op > 0x6d && op < 0x74) || (op > 0x76 && op < 0xd1) || [0xd6, 0xd7, 0xe6, 0xe7, 0xf0, 0xf7].includes(op);
    if (other) continue;
    text += `P ${hex(op)}|66 0f ${hex(op)}|V,W16a|int\n`;
    if (op !== 0x6c && op !== 0x6d) text += `P mm ${hex(op)}|np 0f ${hex(op)}|P,Q${op >= 0x60 && op <= 0x62 ? 4 : 8}|int\n`;
  }
  for (const op of [0x71, 0x72, 0x73])
    for (const reg of [2, 4, 6])
      if (op !== 0x73 || reg !== 4)
        text += `Pshift ${hex(op)}/${reg}|66 0f ${hex(op)}/${reg}|U,I|int\nPshift mm ${hex(op)}/${reg}|np 0f ${hex(op)}/${reg}|N,I|int\n`;
  return text;
}

export const BASE_LINES = `${ONE_BY_ONE}${families()}`;
