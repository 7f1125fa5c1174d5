/**
 * Names and operands of the instructions that the instruction table gives to an executor as a whole (groups 6, 7, 9, 15, x87, MMX, SSE, AVX):
 * what the disassembler needs on top of it. SDM volume 2, appendix A.
 *
 * A row: [np|66|f3|f2][0f|0f38|0f3a]hex[/n][m|r|:xx] name operands attributes
 *  /n   modrm.reg;  m r  memory or register form only;  :xx  the whole modrm byte
 *  operands, as in table.ts, and
 *    V W U   xmm or ymm register in modrm.reg; modrm register or memory; modrm register only
 *    P Q N   the same for MMX registers
 *    H       VEX.vvvv;  L  register in the upper half of an immediate byte
 *    S  C D  segment, control and debug registers
 *    sti st  x87 stack registers;  xmm0  that register, implied
 *    then the width in memory: b w d q t, x 16 or 32 bytes by VEX.L, o 16 bytes, h half and e a quarter of x, k an eighth of x,
 *    y 4 or 8 bytes by REX.W, f far pointer, n none named
 *  attributes
 *    v    has a VEX form with one operand more (VEX.vvvv after the first);  m  has one with the same operands;  a  has only VEX forms
 *    y    of the VEX form the first register is 128 bits wide whatever VEX.L;  d  GPR results are 32 bits wide
 *    w0 w1 l1  VEX.W, VEX.L must be
 */

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** The four or two precisions of a floating-point operation. */
function precisions(opcode: number, name: string, kinds: string, packed = 'v', scalar = 'v'): string {
  let text = '';
  if (kinds.includes('p')) text += `np0f${hex(opcode)} ${name}ps Vx,Wx ${packed}\n`;
  if (kinds.includes('P')) text += `660f${hex(opcode)} ${name}pd Vx,Wx ${packed}\n`;
  if (kinds.includes('s')) text += `f30f${hex(opcode)} ${name}ss Vo,Wd ${scalar}\n`;
  if (kinds.includes('S')) text += `f20f${hex(opcode)} ${name}sd Vo,Wq ${scalar}\n`;
  return text;
}

/** Integer operations with an MMX and an XMM form. */
function integers(names: { [opcode: number]: string }, map = '0f', attribute = 'v', source = 'Wx'): string {
  let text = '';
  for (const [opcode, name] of Object.entries(names))
    text += `np${map}${hex(Number(opcode))} ${name} Pq,Qq\n66${map}${hex(Number(opcode))} ${name} Vx,${source} ${attribute}\n`;
  return text;
}

function xmmOnly(names: { [opcode: number]: string }, map: string, operands: string, attribute: string): string {
  let text = '';
  for (const [opcode, name] of Object.entries(names)) text += `66${map}${hex(Number(opcode))} ${name} ${operands} ${attribute}\n`;
  return text;
}

const SSE = `
np0f10 movups Vx,Wx m
660f10 movupd Vx,Wx m
f30f10m movss Vo,Wd m
f30f10r movss Vo,Wd v
f20f10m movsd Vo,Wq m
f20f10r movsd Vo,Wq v
np0f11 movups Wx,Vx m
660f11 movupd Wx,Vx m
f30f11m movss Wd,Vo m
f30f11r movss Wd,Vo v
f20f11m movsd Wq,Vo m
f20f11r movsd Wq,Vo v
np0f12m movlps Vo,Mq v
np0f12r movhlps Vo,Uo v
660f12m movlpd Vo,Mq v
f30f12 movsldup Vx,Wx m
f20f12 movddup Vx,Wdup m
np0f13m movlps Mq,Vo m
660f13m movlpd Mq,Vo m
np0f14 unpcklps Vx,Wx v
660f14 unpcklpd Vx,Wx v
np0f15 unpckhps Vx,Wx v
660f15 unpckhpd Vx,Wx v
np0f16m movhps Vo,Mq v
np0f16r movlhps Vo,Uo v
660f16m movhpd Vo,Mq v
f30f16 movshdup Vx,Wx m
np0f17m movhps Mq,Vo m
660f17m movhpd Mq,Vo m
np0f28 movaps Vx,Wx m
660f28 movapd Vx,Wx m
np0f29 movaps Wx,Vx m
660f29 movapd Wx,Vx m
np0f2a cvtpi2ps Vo,Qq
660f2a cvtpi2pd Vo,Qq
f30f2a cvtsi2ss Vo,Ey v
f20f2a cvtsi2sd Vo,Ey v
np0f2bm movntps Mx,Vx m
660f2bm movntpd Mx,Vx m
np0f2c cvttps2pi Pq,Wq
660f2c cvttpd2pi Pq,Wo
f30f2c cvttss2si Gy,Wd m
f20f2c cvttsd2si Gy,Wq m
np0f2d cvtps2pi Pq,Wq
660f2d cvtpd2pi Pq,Wo
f30f2d cvtss2si Gy,Wd m
f20f2d cvtsd2si Gy,Wq m
np0f2e ucomiss Vo,Wd m
660f2e ucomisd Vo,Wq m
np0f2f comiss Vo,Wd m
660f2f comisd Vo,Wq m
np0f50r movmskps Gy,Ux m
660f50r movmskpd Gy,Ux m
${precisions(0x51, 'sqrt', 'pP', 'm')}${precisions(0x51, 'sqrt', 'sS')}
${precisions(0x52, 'rsqrt', 'p', 'm')}${precisions(0x52, 'rsqrt', 's')}
${precisions(0x53, 'rcp', 'p', 'm')}${precisions(0x53, 'rcp', 's')}
${precisions(0x54, 'and', 'pP')}${precisions(0x55, 'andn', 'pP')}${precisions(0x56, 'or', 'pP')}${precisions(0x57, 'xor', 'pP')}
${precisions(0x58, 'add', 'pPsS')}${precisions(0x59, 'mul', 'pPsS')}
np0f5a cvtps2pd Vx,Wh m
660f5a cvtpd2ps Vx,Wx my
f30f5a cvtss2sd Vo,Wd v
f20f5a cvtsd2ss Vo,Wq v
np0f5b cvtdq2ps Vx,Wx m
660f5b cvtps2dq Vx,Wx m
f30f5b cvttps2dq Vx,Wx m
${precisions(0x5c, 'sub', 'pPsS')}${precisions(0x5d, 'min', 'pPsS')}${precisions(0x5e, 'div', 'pPsS')}${precisions(0x5f, 'max', 'pPsS')}
np0f60 punpcklbw Pq,Qd
np0f61 punpcklwd Pq,Qd
np0f62 punpckldq Pq,Qd
660f60 punpcklbw Vx,Wx v
660f61 punpcklwd Vx,Wx v
660f62 punpckldq Vx,Wx v
${integers({
  99: 'packsswb',
  100: 'pcmpgtb',
  101: 'pcmpgtw',
  102: 'pcmpgtd',
  103: 'packuswb',
  104: 'punpckhbw',
  105: 'punpckhwd',
  106: 'punpckhdq',
  107: 'packssdw',
  116: 'pcmpeqb',
  117: 'pcmpeqw',
  118: 'pcmpeqd',
  212: 'paddq',
  213: 'pmullw',
  216: 'psubusb',
  217: 'psubusw',
  218: 'pminub',
  219: 'pand',
  220: 'paddusb',
  221: 'paddusw',
  222: 'pmaxub',
  223: 'pandn',
  224: 'pavgb',
  227: 'pavgw',
  228: 'pmulhuw',
  229: 'pmulhw',
  232: 'psubsb',
  233: 'psubsw',
  234: 'pminsw',
  235: 'por',
  236: 'paddsb',
  237: 'paddsw',
  238: 'pmaxsw',
  239: 'pxor',
  244: 'pmuludq',
  245: 'pmaddwd',
  246: 'psadbw',
  248: 'psubb',
  249: 'psubw',
  250: 'psubd',
  251: 'psubq',
  252: 'paddb',
  253: 'paddw',
  254: 'paddd',
})}
${integers({ 209: 'psrlw', 210: 'psrld', 211: 'psrlq', 225: 'psraw', 226: 'psrad', 241: 'psllw', 242: 'pslld', 243: 'psllq' }, '0f', 'v', 'Wo')}
660f6c punpcklqdq Vx,Wx v
660f6d punpckhqdq Vx,Wx v
np0f6e movdq Pq,Ey
660f6e movdq Vo,Ey m
np0f6f movq Pq,Qq
660f6f movdqa Vx,Wx m
f30f6f movdqu Vx,Wx m
np0f70 pshufw Pq,Qq,Ib
660f70 pshufd Vx,Wx,Ib m
f30f70 pshufhw Vx,Wx,Ib m
f20f70 pshuflw Vx,Wx,Ib m
np0f71/2r psrlw Nq,Ib
660f71/2r psrlw Ux,Ib h
np0f71/4r psraw Nq,Ib
660f71/4r psraw Ux,Ib h
np0f71/6r psllw Nq,Ib
660f71/6r psllw Ux,Ib h
np0f72/2r psrld Nq,Ib
660f72/2r psrld Ux,Ib h
np0f72/4r psrad Nq,Ib
660f72/4r psrad Ux,Ib h
np0f72/6r pslld Nq,Ib
660f72/6r pslld Ux,Ib h
np0f73/2r psrlq Nq,Ib
660f73/2r psrlq Ux,Ib h
660f73/3r psrldq Ux,Ib h
np0f73/6r psllq Nq,Ib
660f73/6r psllq Ux,Ib h
660f73/7r pslldq Ux,Ib h
0f77 emms -
660f7c haddpd Vx,Wx v
f20f7c haddps Vx,Wx v
660f7d hsubpd Vx,Wx v
f20f7d hsubps Vx,Wx v
np0f7e movdq Ey,Pq
660f7e movdq Ey,Vo m
f30f7e movq Vo,Wq m
np0f7f movq Qq,Pq
660f7f movdqa Wx,Vx m
f30f7f movdqu Wx,Vx m
np0faer0 -
np0fc2 cmpps Vx,Wx,Ib v
660fc2 cmppd Vx,Wx,Ib v
f30fc2 cmpss Vo,Wd,Ib v
f20fc2 cmpsd Vo,Wq,Ib v
np0fc3m movnti My,Gy
np0fc4 pinsrw Pq,Edw,Ib
660fc4 pinsrw Vo,Edw,Ib v
np0fc5r pextrw Gy,Nq,Ib
660fc5r pextrw Gy,Uo,Ib m
np0fc6 shufps Vx,Wx,Ib v
660fc6 shufpd Vx,Wx,Ib v
660fd0 addsubpd Vx,Wx v
f20fd0 addsubps Vx,Wx v
660fd6 movq Wq,Vo m
f30fd6r movq2dq Vo,Nq
f20fd6r movdq2q Pq,Uo
np0fd7r pmovmskb Gy,Nq
660fd7r pmovmskb Gy,Ux m
660fe6 cvttpd2dq Vx,Wx my
f30fe6 cvtdq2pd Vx,Wh m
f20fe6 cvtpd2dq Vx,Wx my
np0fe7m movntq Mq,Pq
660fe7m movntdq Mx,Vx m
f20ff0m lddqu Vx,Mn m
np0ff7r maskmovq Pq,Nq
660ff7r maskmovdqu Vo,Uo m
`.replace('np0faer0 -\n', '');

const SSE4 = `
${integers(
  {
    0: 'pshufb',
    1: 'phaddw',
    2: 'phaddd',
    3: 'phaddsw',
    4: 'pmaddubsw',
    5: 'phsubw',
    6: 'phsubd',
    7: 'phsubsw',
    8: 'psignb',
    9: 'psignw',
    10: 'psignd',
    11: 'pmulhrsw',
  },
  '0f38',
)}
${integers({ 28: 'pabsb', 29: 'pabsw', 30: 'pabsd' }, '0f38', 'm')}
660f3810 pblendvb Vo,Wo,xmm0
660f3814 blendvps Vo,Wo,xmm0
660f3815 blendvpd Vo,Wo,xmm0
660f3817 ptest Vx,Wx m
${xmmOnly({ 32: 'pmovsxbw', 35: 'pmovsxwd', 37: 'pmovsxdq', 48: 'pmovzxbw', 51: 'pmovzxwd', 53: 'pmovzxdq' }, '0f38', 'Vx,Wh', 'm')}
${xmmOnly({ 33: 'pmovsxbd', 36: 'pmovsxwq', 49: 'pmovzxbd', 52: 'pmovzxwq' }, '0f38', 'Vx,We', 'm')}
${xmmOnly({ 34: 'pmovsxbq', 50: 'pmovzxbq' }, '0f38', 'Vx,Wk', 'm')}
660f3828 pmuldq Vx,Wx v
660f3829 pcmpeqq Vx,Wx v
660f382am movntdqa Vx,Mx m
660f382b packusdw Vx,Wx v
660f3837 pcmpgtq Vx,Wx v
${xmmOnly(
  {
    56: 'pminsb',
    57: 'pminsd',
    58: 'pminuw',
    59: 'pminud',
    60: 'pmaxsb',
    61: 'pmaxsd',
    62: 'pmaxuw',
    63: 'pmaxud',
    64: 'pmulld',
  },
  '0f38',
  'Vx,Wx',
  'v',
)}
660f3841 phminposuw Vo,Wo m
660f38db aesimc Vo,Wo m
660f38dc aesenc Vx,Wx v
660f38dd aesenclast Vx,Wx v
660f38de aesdec Vx,Wx v
660f38df aesdeclast Vx,Wx v
660f3a08 roundps Vx,Wx,Ib m
660f3a09 roundpd Vx,Wx,Ib m
660f3a0a roundss Vo,Wd,Ib v
660f3a0b roundsd Vo,Wq,Ib v
660f3a0c blendps Vx,Wx,Ib v
660f3a0d blendpd Vx,Wx,Ib v
660f3a0e pblendw Vx,Wx,Ib v
np0f3a0f palignr Pq,Qq,Ib
660f3a0f palignr Vx,Wx,Ib v
660f3a14 pextrb Edb,Vo,Ib m
660f3a15 pextrw Edw,Vo,Ib m
660f3a16 pextrdq Ey,Vo,Ib m
660f3a17 extractps Ed,Vo,Ib m
660f3a20 pinsrb Vo,Edb,Ib v
660f3a21 insertps Vo,Wd,Ib v
660f3a22 pinsrdq Vo,Ey,Ib v
660f3a40 dpps Vx,Wx,Ib v
660f3a41 dppd Vo,Wo,Ib v
660f3a42 mpsadbw Vx,Wx,Ib v
660f3a44 pclmulqdq Vx,Wx,Ib v
660f3a60 pcmpestrm Vo,Wo,Ib m
660f3a61 pcmpestri Vo,Wo,Ib m
660f3a62 pcmpistrm Vo,Wo,Ib m
660f3a63 pcmpistri Vo,Wo,Ib m
660f3adf aeskeygenassist Vo,Wo,Ib m
`;

/** VEX alone: AVX, AVX2, F16C. FMA follows by rule. */
const AVX = `
0f77 vzero - a
660f3818 vbroadcastss Vx,Wd a w0
660f3819 vbroadcastsd Vx,Wq a l1 w0
660f381am vbroadcastf128 Vx,Mo a l1 w0
660f380c vpermilps Vx,Hx,Wx a w0
660f380d vpermilpd Vx,Hx,Wx a w0
660f380e vtestps Vx,Wx a w0
660f380f vtestpd Vx,Wx a w0
660f3813 vcvtph2ps Vx,Wh a w0
660f3816 vpermps Vx,Hx,Wx a l1 w0
660f382cm vmaskmovps Vx,Hx,Mx a w0
660f382dm vmaskmovpd Vx,Hx,Mx a w0
660f382em vmaskmovps Mx,Hx,Vx a w0
660f382fm vmaskmovpd Mx,Hx,Vx a w0
660f3836 vpermd Vx,Hx,Wx a l1 w0
660f3845 vpsrlv Vx,Hx,Wx a
660f3846 vpsravd Vx,Hx,Wx a w0
660f3847 vpsllv Vx,Hx,Wx a
660f3858 vpbroadcastd Vx,Wd a w0
660f3859 vpbroadcastq Vx,Wq a w0
660f385am vbroadcasti128 Vx,Mo a l1 w0
660f3878 vpbroadcastb Vx,Wb a w0
660f3879 vpbroadcastw Vx,Ww a w0
660f388cm vpmaskmov Vx,Hx,Mx a
660f388em vpmaskmov Mx,Hx,Vx a
660f3890m vpgatherd Vx,Mvsib,Hx a
660f3891m vpgatherq Vx,Mvsib,Hx a
660f3892m vgatherdp Vx,Mvsib,Hx a
660f3893m vgatherqp Vx,Mvsib,Hx a
660f3a00 vpermq Vx,Wx,Ib a l1 w1
660f3a01 vpermpd Vx,Wx,Ib a l1 w1
660f3a02 vpblendd Vx,Hx,Wx,Ib a w0
660f3a04 vpermilps Vx,Wx,Ib a w0
660f3a05 vpermilpd Vx,Wx,Ib a w0
660f3a06 vperm2f128 Vx,Hx,Wx,Ib a l1 w0
660f3a18 vinsertf128 Vx,Hx,Wo,Ib a l1 w0
660f3a19 vextractf128 Wo,Vx,Ib a l1 w0
660f3a1d vcvtps2ph Wh,Vx,Ib a w0
660f3a38 vinserti128 Vx,Hx,Wo,Ib a l1 w0
660f3a39 vextracti128 Wo,Vx,Ib a l1 w0
660f3a46 vperm2i128 Vx,Hx,Wx,Ib a l1 w0
660f3a4a vblendvps Vx,Hx,Wx,Lx a w0
660f3a4b vblendvpd Vx,Hx,Wx,Lx a w0
660f3a4c vpblendvb Vx,Hx,Wx,Lx a w0
`;

function fma(): string {
  let text = '';
  const names = ['fmaddsub', 'fmsubadd', 'fmadd', '', 'fmsub', '', 'fnmadd', '', 'fnmsub'];
  const orders = ['132', '213', '231'];
  orders.forEach((order, i) => {
    // x6 and x7 are the alternating ones, x8..xF the others in packed and scalar pairs.
    names.forEach((name, j) => {
      if (!name) return;
      const opcode = (0x96 + i * 0x10 + j).toString(16);
      text += `660f38${opcode} v${name}${order}p Vx,Hx,Wx a\n`;
      if (j >= 2) text += `660f38${(0x96 + i * 0x10 + j + 1).toString(16)} v${name}${order}s Vo,Ho,Ws a\n`;
    });
  });
  return text;
}

const GROUPS = `
0f00/0 sldt Esl
0f00/1 str Esl
0f00/2 lldt Ew
0f00/3 ltr Ew
0f00/4 verr Ew
0f00/5 verw Ew
0f01/0m sgdtd Mn
0f01/1m sidtd Mn
0f01/2m lgdtd Mn
0f01/3m lidtd Mn
0f01/4 smsw Esl
0f01/6 lmsw Ew
0f01/7m invlpg Mb
0f01:c1 vmcall -
0f01:c2 vmlaunch -
0f01:c3 vmresume -
0f01:c4 vmxoff -
0f01:c8 monitor mon
0f01:c9 mwait mwa
0f01:ca clac -
0f01:cb stac -
0f01:d0 xgetbv -
0f01:d1 xsetbv -
0f01:d4 vmfunc -
0f01:f8 swapgs - o64
0f01:f9 rdtscp -
0f0d/0m prefetch Mb
0f0d/1m prefetchw Mb
0f0d/2m prefetchwt1 Mb
0f18/0m prefetchnta Mb
0f18/1m prefetcht0 Mb
0f18/2m prefetcht1 Mb
0f18/3m prefetcht2 Mb
0fae/0m fxsavew Mn
0fae/1m fxrstorw Mn
0fae/2m ldmxcsr Md m
0fae/3m stmxcsr Md m
0fae/4m xsavew Mn
0fae/5m xrstorw Mn
0fae/6m xsaveoptw Mn
0fae/7m clflush Mb
660fae/7m clflushopt Mb
660fae/6m clwb Mb
np0fae:e8 lfence -
np0fae:f0 mfence -
np0fae:f8 sfence -
0fc7/1m cmpxchg8w Mcx
0fc7/3m xrstorsw Mn
0fc7/4m xsavecw Mn
0fc7/5m xsavesw Mn
`;

const X87_ARITHMETIC = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];

function x87(): string {
  let text = '';
  X87_ARITHMETIC.forEach((name, i) => {
    const integer = name.replace(/^f/, 'fi');
    text += `d8/${i}m ${name} Md\ndc/${i}m ${name} Mq\nda/${i}m ${integer} Md\nde/${i}m ${integer} Mw\nd8/${i}r ${name} ${i === 2 || i === 3 ? 'sti' : 'st,sti'}\n`;
  });
  const reversed = ['fadd', 'fmul', '', '', 'fsubr', 'fsub', 'fdivr', 'fdiv'];
  reversed.forEach((name, i) => {
    if (name) text += `dc/${i}r ${name} sti,st\nde/${i}r ${name}p sti,st\n`;
  });
  return text;
}

const X87 = `
${x87()}
de:d9 fcompp -
d9/0m fld Md
d9/2m fst Md
d9/3m fstp Md
d9/4m fldenvw Mn
d9/5m fldcw Mw
d9/6m fnstenvw Mn
d9/7m fnstcw Mw
d9/0r fld sti
d9/1r fxch sti
d9:d0 fnop -
d9:e0 fchs -
d9:e1 fabs -
d9:e4 ftst -
d9:e5 fxam -
d9:e8 fld1 -
d9:e9 fldl2t -
d9:ea fldl2e -
d9:eb fldpi -
d9:ec fldlg2 -
d9:ed fldln2 -
d9:ee fldz -
d9:f0 f2xm1 -
d9:f1 fyl2x -
d9:f2 fptan -
d9:f3 fpatan -
d9:f4 fxtract -
d9:f5 fprem1 -
d9:f6 fdecstp -
d9:f7 fincstp -
d9:f8 fprem -
d9:f9 fyl2xp1 -
d9:fa fsqrt -
d9:fb fsincos -
d9:fc frndint -
d9:fd fscale -
d9:fe fsin -
d9:ff fcos -
da/0r fcmovb st,sti
da/1r fcmove st,sti
da/2r fcmovbe st,sti
da/3r fcmovu st,sti
da:e9 fucompp -
db/0m fild Md
db/1m fisttp Md
db/2m fist Md
db/3m fistp Md
db/5m fld Mt
db/7m fstp Mt
db/0r fcmovnb st,sti
db/1r fcmovne st,sti
db/2r fcmovnbe st,sti
db/3r fcmovnu st,sti
db:e0 fneni(8087\u00a0only) -
db:e1 fndisi(8087\u00a0only) -
db:e2 fnclex -
db:e3 fninit -
db:e4 fnsetpm(287\u00a0only) -
db/5r fucomi st,sti
db/6r fcomi st,sti
dd/0m fld Mq
dd/1m fisttp Mq
dd/2m fst Mq
dd/3m fstp Mq
dd/4m frstorw Mn
dd/6m fnsavew Mn
dd/7m fnstsw Mw
dd/0r ffree sti
dd/2r fst sti
dd/3r fstp sti
dd/4r fucom sti
dd/5r fucomp sti
df/0m fild Mw
df/1m fisttp Mw
df/2m fist Mw
df/3m fistp Mw
df/4m fbld Mt
df/5m fild Mq
df/6m fbstp Mt
df/7m fistp Mq
df:e0 fnstsw ax
df/5r fucomip st,sti
df/6r fcomip st,sti
`;

export const SYNTAX_ROWS = `${SSE}${SSE4}${AVX}${fma()}${GROUPS}${X87}`;
