/** AVX, AVX2, FMA and F16C instructions in the notation of encode.ts. */
import { ARITHMETIC_ROWS, hex } from './rows.ts';

const ONE_BY_ONE = `
VMOVUPS load|vnp 0f 10 wig Lig|V,W|int ud
VMOVUPS store|vnp 0f 11 wig Lig|V,W|int ud
VMOVUPD load|v66 0f 10 wig Lig|V,W|int ud
VMOVUPD store|v66 0f 11 wig Lig|V,W|int ud
VMOVSS load|vf3 0f 10 wig Lig|V,M4|int ud
VMOVSS|vf3 0f 10 wig Lig|V,H,U|int
VMOVSS store|vf3 0f 11 wig Lig|V,M4|int ud
VMOVSS back|vf3 0f 11 wig Lig|V,H,U|int
VMOVSD load|vf2 0f 10 wig Lig|V,M8|int ud
VMOVSD|vf2 0f 10 wig Lig|V,H,U|int
VMOVSD store|vf2 0f 11 wig Lig|V,M8|int ud
VMOVSD back|vf2 0f 11 wig Lig|V,H,U|int
VMOVLPS load|vnp 0f 12 wig L0|V,H,W8|int ud
VMOVLPS store|vnp 0f 13 wig L0|V,M8|int ud
VMOVLPD load|v66 0f 12 wig L0|V,H,M8|int ud
VMOVLPD store|v66 0f 13 wig L0|V,M8|int ud
VMOVHPS load|vnp 0f 16 wig L0|V,H,W8|int ud
VMOVHPS store|vnp 0f 17 wig L0|V,M8|int ud
VMOVHPD load|v66 0f 16 wig L0|V,H,M8|int ud
VMOVHPD store|v66 0f 17 wig L0|V,M8|int ud
VMOVSLDUP|vf3 0f 12 wig Lig|V,W|int ud
VMOVSHDUP|vf3 0f 16 wig Lig|V,W|int ud
VMOVDDUP 128|vf2 0f 12 wig L0|V,W8|int
VMOVDDUP 256|vf2 0f 12 wig L1|V,W|int
VMOVAPS load|vnp 0f 28 wig Lig|V,Wa|int ud
VMOVAPS store|vnp 0f 29 wig Lig|V,Wa|int ud
VMOVAPD load|v66 0f 28 wig Lig|V,Wa|int ud
VMOVAPD store|v66 0f 29 wig Lig|V,Wa|int ud
VMOVNTPS|vnp 0f 2b wig Lig|V,Ma|int ud
VMOVNTPD|v66 0f 2b wig Lig|V,Ma|int ud
VMOVNTDQ|v66 0f e7 wig Lig|V,Ma|int ud
VMOVNTDQA|v66 0f38 2a wig Lig|V,Ma|int ud
VMOVMSKPS|vnp 0f 50 wig Lig|G,U|int ud
VMOVMSKPD|v66 0f 50 wig Lig|G,U|int ud
VPMOVMSKB|v66 0f d7 wig Lig|G,U|int ud
VMOVD to|v66 0f 6e w0 L0|V,E8|int gy ud
VMOVD from|v66 0f 7e w0 L0|V,E8|int gy ud
VMOVQ load|vf3 0f 7e wig L0|V,W8|int ud
VMOVQ store|v66 0f d6 wig L0|V,W8|int ud
VMOVDQA load|v66 0f 6f wig Lig|V,Wa|int ud
VMOVDQA store|v66 0f 7f wig Lig|V,Wa|int ud
VMOVDQU load|vf3 0f 6f wig Lig|V,W|int ud
VMOVDQU store|vf3 0f 7f wig Lig|V,W|int ud
VLDDQU|vf2 0f f0 wig Lig|V,M|int ud
VMASKMOVDQU|v66 0f f7 wig L0|V,U|int ud
VZEROUPPER|vnp 0f 77 wig L0||int bare
VZEROALL|vnp 0f 77 wig L1||int bare
VLDMXCSR|vnp 0f ae/2 wig L0|M4|int ud
VSTMXCSR|vnp 0f ae/3 wig L0|M4|int ud
VPINSRB|v66 0f3a 20 w0 L0|V,H,E1,I|int
VPINSRW|v66 0f c4 w0 L0|V,H,E2,I|int ud
VPINSRD|v66 0f3a 22 w0 L0|V,H,E8,I|int gy
VPEXTRB|v66 0f3a 14 w0 L0|V,E1,I|int
VPEXTRW|v66 0f c5 w0 L0|G,U,I|int ud
VPEXTRW sse4|v66 0f3a 15 w0 L0|V,E2,I|int
VPEXTRD|v66 0f3a 16 w0 L0|V,E8,I|int gy
VEXTRACTPS|v66 0f3a 17 wig L0|V,E4,I|int ud
VINSERTPS|v66 0f3a 21 wig L0|V,H,W4,I|int ud
VSHUFPS|vnp 0f c6 wig Lig|V,H,W,I|int
VSHUFPD|v66 0f c6 wig Lig|V,H,W,I|int
VPSHUFD|v66 0f 70 wig Lig|V,W,I|int ud
VPSHUFHW|vf3 0f 70 wig Lig|V,W,I|int ud
VPSHUFLW|vf2 0f 70 wig Lig|V,W,I|int ud
VPSRLDQ|v66 0f 73/3 wig Lig|H,U,I|int
VPSLLDQ|v66 0f 73/7 wig Lig|H,U,I|int
VRCPPS|vnp 0f 53 wig Lig|V,W|f32 relative ud
VRSQRTPS|vnp 0f 52 wig Lig|V,W|f32 relative ud
VRCPSS|vf3 0f 53 wig Lig|V,H,W4|f32 relative
VRSQRTSS|vf3 0f 52 wig Lig|V,H,W4|f32 relative
VSQRTPS|vnp 0f 51 wig Lig|V,W|f32 ud
VSQRTPD|v66 0f 51 wig Lig|V,W|f64 ud
VSQRTSS|vf3 0f 51 wig Lig|V,H,W4|f32
VSQRTSD|vf2 0f 51 wig Lig|V,H,W8|f64
VUCOMISS|vnp 0f 2e wig Lig|V,W4|f32 ud
VUCOMISD|v66 0f 2e wig Lig|V,W8|f64 ud
VCOMISS|vnp 0f 2f wig Lig|V,W4|f32 ud
VCOMISD|v66 0f 2f wig Lig|V,W8|f64 ud
VCMPPS|vnp 0f c2 wig Lig|V,H,W,I|f32
VCMPPD|v66 0f c2 wig Lig|V,H,W,I|f64
VCMPSS|vf3 0f c2 wig Lig|V,H,W4,I|f32
VCMPSD|vf2 0f c2 wig Lig|V,H,W8,I|f64
VHADDPD|v66 0f 7c wig Lig|V,H,W|f64
VHADDPS|vf2 0f 7c wig Lig|V,H,W|f32
VHSUBPD|v66 0f 7d wig Lig|V,H,W|f64
VHSUBPS|vf2 0f 7d wig Lig|V,H,W|f32
VADDSUBPD|v66 0f d0 wig Lig|V,H,W|f64
VADDSUBPS|vf2 0f d0 wig Lig|V,H,W|f32
VCVTPS2PD 128|vnp 0f 5a wig L0|V,W8|f32 ud
VCVTPS2PD 256|vnp 0f 5a wig L1|V,W16|f32
VCVTPD2PS|v66 0f 5a wig Lig|V,W|f64 ud
VCVTSS2SD|vf3 0f 5a wig Lig|V,H,W4|f32
VCVTSD2SS|vf2 0f 5a wig Lig|V,H,W8|f64
VCVTDQ2PS|vnp 0f 5b wig Lig|V,W|f32
VCVTPS2DQ|v66 0f 5b wig Lig|V,W|f32 ud
VCVTTPS2DQ|vf3 0f 5b wig Lig|V,W|f32 ud
VCVTTPD2DQ|v66 0f e6 wig Lig|V,W|f64 ud
VCVTPD2DQ|vf2 0f e6 wig Lig|V,W|f64 ud
VCVTDQ2PD 128|vf3 0f e6 wig L0|V,W8|f32
VCVTDQ2PD 256|vf3 0f e6 wig L1|V,W16|f32
VCVTSI2SS|vf3 0f 2a w0 Lig|V,H,E8|f32 gy
VCVTSI2SD|vf2 0f 2a w0 Lig|V,H,E8|f64 gy
VCVTTSS2SI|vf3 0f 2c w0 Lig|G,W4|f32 gy ud
VCVTTSD2SI|vf2 0f 2c w0 Lig|G,W8|f64 gy ud
VCVTSS2SI|vf3 0f 2d w0 Lig|G,W4|f32 gy ud
VCVTSD2SI|vf2 0f 2d w0 Lig|G,W8|f64 gy ud
VPERMILPS|v66 0f38 0c w0 Lig|V,H,W|int ud
VPERMILPD|v66 0f38 0d w0 Lig|V,H,W|int ud
VTESTPS|v66 0f38 0e w0 Lig|V,W|int ud
VTESTPD|v66 0f38 0f w0 Lig|V,W|int ud
VPTEST|v66 0f38 17 wig Lig|V,W|int ud
VCVTPH2PS 128|v66 0f38 13 w0 L0|V,W8|f16 ud
VCVTPH2PS 256|v66 0f38 13 w0 L1|V,W16|f16
VCVTPS2PH 128|v66 0f3a 1d w0 L0|V,W8,I|f32
VCVTPS2PH 256|v66 0f3a 1d w0 L1|V,W16,I|f32
VPERMPS|v66 0f38 16 w0 L1|V,H,W|int ud
VPERMD|v66 0f38 36 w0 L1|V,H,W|int ud
VBROADCASTSS|v66 0f38 18 w0 Lig|V,W4|int ud
VBROADCASTSD|v66 0f38 19 w0 L1|V,W8|int ud
VBROADCASTF128|v66 0f38 1a w0 L1|V,M16|int ud
VPBROADCASTD|v66 0f38 58 w0 Lig|V,W4|int ud
VPBROADCASTQ|v66 0f38 59 w0 Lig|V,W8|int ud
VBROADCASTI128|v66 0f38 5a w0 L1|V,M16|int ud
VPBROADCASTB|v66 0f38 78 w0 Lig|V,W1|int ud
VPBROADCASTW|v66 0f38 79 w0 Lig|V,W2|int ud
VPABSB|v66 0f38 1c wig Lig|V,W|int ud
VPABSW|v66 0f38 1d wig Lig|V,W|int ud
VPABSD|v66 0f38 1e wig Lig|V,W|int ud
VPHMINPOSUW|v66 0f38 41 wig L0|V,W|int ud
VMASKMOVPS load|v66 0f38 2c w0 Lig|V,H,M|int ud
VMASKMOVPD load|v66 0f38 2d w0 Lig|V,H,M|int ud
VMASKMOVPS store|v66 0f38 2e w0 Lig|V,H,M|int ud
VMASKMOVPD store|v66 0f38 2f w0 Lig|V,H,M|int ud
VPMASKMOVD load|v66 0f38 8c w0 Lig|V,H,M|int
VPMASKMOVQ load|v66 0f38 8c w1 Lig|V,H,M|int
VPMASKMOVD store|v66 0f38 8e w0 Lig|V,H,M|int
VPMASKMOVQ store|v66 0f38 8e w1 Lig|V,H,M|int
VPSRLVD|v66 0f38 45 w0 Lig|V,H,W|int counts
VPSRLVQ|v66 0f38 45 w1 Lig|V,H,W|int counts
VPSRAVD|v66 0f38 46 w0 Lig|V,H,W|int counts
VPSLLVD|v66 0f38 47 w0 Lig|V,H,W|int counts
VPSLLVQ|v66 0f38 47 w1 Lig|V,H,W|int counts
VPGATHERDD|v66 0f38 90 w0 Lig|V,H,X|int
VPGATHERDQ|v66 0f38 90 w1 Lig|V,H,X|int
VPGATHERQD|v66 0f38 91 w0 Lig|V,H,X|int q
VPGATHERQQ|v66 0f38 91 w1 Lig|V,H,X|int q
VGATHERDPS|v66 0f38 92 w0 Lig|V,H,X|int
VGATHERDPD|v66 0f38 92 w1 Lig|V,H,X|int
VGATHERQPS|v66 0f38 93 w0 Lig|V,H,X|int q
VGATHERQPD|v66 0f38 93 w1 Lig|V,H,X|int q
VAESIMC|v66 0f38 db wig L0|V,W|int
VAESENC|v66 0f38 dc wig L0|V,H,W|int
VAESENCLAST|v66 0f38 dd wig L0|V,H,W|int
VAESDEC|v66 0f38 de wig L0|V,H,W|int
VAESDECLAST|v66 0f38 df wig L0|V,H,W|int
VAESKEYGENASSIST|v66 0f3a df wig L0|V,W,I|int ud
VPERMQ|v66 0f3a 00 w1 L1|V,W,I|int ud
VPERMPD|v66 0f3a 01 w1 L1|V,W,I|int ud
VPBLENDD|v66 0f3a 02 w0 Lig|V,H,W,I|int ud
VPERMILPS imm|v66 0f3a 04 w0 Lig|V,W,I|int ud
VPERMILPD imm|v66 0f3a 05 w0 Lig|V,W,I|int ud
VPERM2F128|v66 0f3a 06 w0 L1|V,H,W,I|int ud
VROUNDPS|v66 0f3a 08 wig Lig|V,W,I|f32 ud
VROUNDPD|v66 0f3a 09 wig Lig|V,W,I|f64 ud
VROUNDSS|v66 0f3a 0a wig Lig|V,H,W4,I|f32
VROUNDSD|v66 0f3a 0b wig Lig|V,H,W8,I|f64
VBLENDPS|v66 0f3a 0c wig Lig|V,H,W,I|int
VBLENDPD|v66 0f3a 0d wig Lig|V,H,W,I|int
VPBLENDW|v66 0f3a 0e wig Lig|V,H,W,I|int
VPALIGNR|v66 0f3a 0f wig Lig|V,H,W,I|int
VINSERTF128|v66 0f3a 18 w0 L1|V,H,W16,I|int ud
VEXTRACTF128|v66 0f3a 19 w0 L1|V,W16,I|int ud
VINSERTI128|v66 0f3a 38 w0 L1|V,H,W16,I|int ud
VEXTRACTI128|v66 0f3a 39 w0 L1|V,W16,I|int ud
VDPPS|v66 0f3a 40 wig Lig|V,H,W,I|f32
VDPPD|v66 0f3a 41 wig L0|V,H,W,I|f64 ud
VMPSADBW|v66 0f3a 42 wig Lig|V,H,W,I|int
VPCLMULQDQ|v66 0f3a 44 wig L0|V,H,W,I|int
VPERM2I128|v66 0f3a 46 w0 L1|V,H,W,I|int ud
VBLENDVPS|v66 0f3a 4a w0 Lig|V,H,W,L|int ud
VBLENDVPD|v66 0f3a 4b w0 Lig|V,H,W,L|int ud
VPBLENDVB|v66 0f3a 4c w0 Lig|V,H,W,L|int ud
VPCMPESTRM|v66 0f3a 60 w0 L0|V,W16,I|int texts
VPCMPESTRI|v66 0f3a 61 w0 L0|V,W16,I|int texts
VPCMPISTRM|v66 0f3a 62 w0 L0|V,W16,I|int texts ud
VPCMPISTRI|v66 0f3a 63 w0 L0|V,W16,I|int texts ud
`;

function families(): string {
  let text = '';
  // Arithmetic and logic of packed and scalar numbers.
  for (const [name, op] of ARITHMETIC_ROWS) {
    text += `V${name}PS|vnp 0f ${hex(op)} wig Lig|V,H,W|f32\nV${name}PD|v66 0f ${hex(op)} wig Lig|V,H,W|f64\n`;
    text += `V${name}SS|vf3 0f ${hex(op)} wig Lig|V,H,W4|f32\nV${name}SD|vf2 0f ${hex(op)} wig Lig|V,H,W8|f64\n`;
  }
  for (const op of [0x14, 0x15, 0x54, 0x55, 0x56, 0x57])
    text += `VPS ${hex(op)}|vnp 0f ${hex(op)} wig Lig|V,H,W|int\nVPD ${hex(op)}|v66 0f ${hex(op)} wig Lig|V,H,W|int\n`;
  // The integer map.
  for (let op = 0x60; op <= 0xfe; op++) {
    const shift = [0xd1, 0xd2, 0xd3, 0xe1, 0xe2, 0xf1, 0xf2, 0xf3].includes(op);
    const other = (op > 0x6d && op < 0x74) || (op > 0x76 && op < 0xd1) || [0xd6, 0xd7, 0xe6, 0xe7, 0xf0, 0xf7].includes(op);
    if (!other) text += `VP ${hex(op)}|v66 0f ${hex(op)} wig Lig|V,H,${shift ? 'W16' : 'W'}|int\n`;
  }
  for (const op of [0x71, 0x72, 0x73])
    for (const reg of [2, 4, 6])
      if (op !== 0x73 || reg !== 4) text += `VPshift ${hex(op)}/${reg}|v66 0f ${hex(op)}/${reg} wig Lig|H,U,I|int\n`;
  for (let op = 0; op <= 0x40; op++)
    if (op <= 0x0b || [0x28, 0x29, 0x2b].includes(op) || op >= 0x37) text += `VP38 ${hex(op)}|v66 0f38 ${hex(op)} wig Lig|V,H,W|int\n`;
  const bytes = [8, 4, 2, 8, 4, 8];
  for (const row of [0x20, 0x30])
    for (let i = 0; i < 6; i++) {
      text += `VPMOV ${hex(row + i)} 128|v66 0f38 ${hex(row + i)} wig L0|V,W${bytes[i]}|int ud\n`;
      text += `VPMOV ${hex(row + i)} 256|v66 0f38 ${hex(row + i)} wig L1|V,W${bytes[i]! * 2}|int\n`;
    }
  // FMA: 132, 213 and 231 forms.
  for (const row of [0x90, 0xa0, 0xb0])
    for (let kind = 6; kind <= 15; kind++) {
      const scalar = kind >= 9 && (kind & 1) === 1;
      const op = hex(row + kind);
      text += `FMA ${op} single|v66 0f38 ${op} w0 Lig|V,H,${scalar ? 'W4' : 'W'}|f32 fma\n`;
      text += `FMA ${op} double|v66 0f38 ${op} w1 Lig|V,H,${scalar ? 'W8' : 'W'}|f64 fma\n`;
    }
  return text;
}

export const AVX_LINES = `${ONE_BY_ONE}${families()}`;
