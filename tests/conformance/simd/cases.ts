/** Every instruction of the extensions after SSE2, in the notation of encode.ts. */
import { AVX_LINES } from './avxcases.ts';
import { BASE_LINES } from './basecases.ts';
import { type Case, parse } from './encode.ts';

const LEGACY = `
HADDPD|66 0f 7c|V,W16a|f64
HADDPS|f2 0f 7c|V,W16a|f32
HSUBPD|66 0f 7d|V,W16a|f64
HSUBPS|f2 0f 7d|V,W16a|f32
ADDSUBPD|66 0f d0|V,W16a|f64
ADDSUBPS|f2 0f d0|V,W16a|f32
MOVSLDUP|f3 0f 12|V,W16a|int
MOVSHDUP|f3 0f 16|V,W16a|int
MOVDDUP|f2 0f 12|V,W8|int
LDDQU|f2 0f f0|V,M16|int
PBLENDVB|66 0f38 10|V,W16a|int
BLENDVPS|66 0f38 14|V,W16a|int
BLENDVPD|66 0f38 15|V,W16a|int
PTEST|66 0f38 17|V,W16a|int
PMOVSXBW|66 0f38 20|V,W8|int
PMOVSXBD|66 0f38 21|V,W4|int
PMOVSXBQ|66 0f38 22|V,W2|int
PMOVSXWD|66 0f38 23|V,W8|int
PMOVSXWQ|66 0f38 24|V,W4|int
PMOVSXDQ|66 0f38 25|V,W8|int
PMOVZXBW|66 0f38 30|V,W8|int
PMOVZXBD|66 0f38 31|V,W4|int
PMOVZXBQ|66 0f38 32|V,W2|int
PMOVZXWD|66 0f38 33|V,W8|int
PMOVZXWQ|66 0f38 34|V,W4|int
PMOVZXDQ|66 0f38 35|V,W8|int
MOVNTDQA|66 0f38 2a|V,M16a|int
ROUNDPS|66 0f3a 08|V,W16a,I|f32
ROUNDPD|66 0f3a 09|V,W16a,I|f64
ROUNDSS|66 0f3a 0a|V,W4,I|f32
ROUNDSD|66 0f3a 0b|V,W8,I|f64
BLENDPS|66 0f3a 0c|V,W16a,I|int
BLENDPD|66 0f3a 0d|V,W16a,I|int
PBLENDW|66 0f3a 0e|V,W16a,I|int
PALIGNR mm|np 0f3a 0f|P,Q8,I|int
PALIGNR|66 0f3a 0f|V,W16a,I|int
PEXTRB|66 0f3a 14|V,E1,I|int
PEXTRW|66 0f3a 15|V,E2,I|int
PEXTRD|66 0f3a 16|V,E8,I|int gy
EXTRACTPS|66 0f3a 17|V,E4,I|int
PINSRB|66 0f3a 20|V,E1,I|int
INSERTPS|66 0f3a 21|V,W4,I|int
PINSRD|66 0f3a 22|V,E8,I|int gy
DPPS|66 0f3a 40|V,W16a,I|f32
DPPD|66 0f3a 41|V,W16a,I|f64
MPSADBW|66 0f3a 42|V,W16a,I|int
PCLMULQDQ|66 0f3a 44|V,W16a,I|int
PCMPESTRM|66 0f3a 60|V,W16,I|int texts
PCMPESTRI|66 0f3a 61|V,W16,I|int texts
PCMPISTRM|66 0f3a 62|V,W16,I|int texts
PCMPISTRI|66 0f3a 63|V,W16,I|int texts
PCMPESTRM w|66 0f3a 60|V,W16,I|int texts gy
AESIMC|66 0f38 db|V,W16a|int
AESENC|66 0f38 dc|V,W16a|int
AESENCLAST|66 0f38 dd|V,W16a|int
AESDEC|66 0f38 de|V,W16a|int
AESDECLAST|66 0f38 df|V,W16a|int
AESKEYGENASSIST|66 0f3a df|V,W16a,I|int
POPCNT|f3 0f b8|G,E8|int gv
TZCNT|f3 0f bc|G,E8|int gv flags=894
LZCNT|f3 0f bd|G,E8|int gv flags=894
MOVBE load|np 0f38 f0|G,M8|int gv
MOVBE store|np 0f38 f1|G,M8|int gv
CRC32 byte|f2 0f38 f0|G,E1|int gb
CRC32|f2 0f38 f1|G,E8|int gv
ADCX|66 0f38 f6|G,E8|int gy
ADOX|f3 0f38 f6|G,E8|int gy
ANDN|vnp 0f38 f2|G,B,E8|int gy flags=14 ud
BLSR|vnp 0f38 f3/1|B,E8|int gy flags=14 ud
BLSMSK|vnp 0f38 f3/2|B,E8|int gy flags=14 ud
BLSI|vnp 0f38 f3/3|B,E8|int gy flags=14 ud
BZHI|vnp 0f38 f5|G,E8,B|int gy flags=14 ud
PEXT|vf3 0f38 f5|G,B,E8|int gy ud
PDEP|vf2 0f38 f5|G,B,E8|int gy ud
MULX|vf2 0f38 f6|G,B,E8|int gy ud
BEXTR|vnp 0f38 f7|G,E8,B|int gy flags=94 ud
SHLX|v66 0f38 f7|G,E8,B|int gy ud
SARX|vf3 0f38 f7|G,E8,B|int gy ud
SHRX|vf2 0f38 f7|G,E8,B|int gy ud
RORX|vf2 0f3a f0|G,E8,I|int gy ud
`;

/** SSSE3 on MMX and XMM registers, and the two-operand instructions of SSE4. */
function listed(): string {
  let text = '';
  const hex = (n: number): string => n.toString(16).padStart(2, '0');
  for (let op = 0; op <= 0x1e; op++) {
    if (op > 0x0b && op < 0x1c) continue;
    text += `SSSE3 mm ${hex(op)}|np 0f38 ${hex(op)}|P,Q8|int\nSSSE3 ${hex(op)}|66 0f38 ${hex(op)}|V,W16a|int\n`;
  }
  for (const op of [0x28, 0x29, 0x2b, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41])
    text += `SSE4 ${hex(op)}|66 0f38 ${hex(op)}|V,W16a|int\n`;
  return text;
}

const lines = (text: string): Case[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parse);

export const CASES: readonly Case[] = [...lines(LEGACY), ...lines(listed()), ...lines(AVX_LINES)];

/** What 32-bit mode has as well, and tests/conformance/fp covers there. */
export const BASE_CASES: readonly Case[] = lines(BASE_LINES);
