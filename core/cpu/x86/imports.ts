/** Where the names live that the bodies of the generated dispatch use, as seen from core/cpu/interp/wasm/generated. */
const MODULES: Record<string, string> = {
  '../alu':
    'adc16 adc32 adc8 add16 add32 add8 and16 and32 and8 dec16 dec32 dec8 inc16 inc32 inc8 logic16 logic32 logic8 neg16 neg32 neg8 or16 or32 or8 ' +
    'sbb16 sbb32 sbb8 sub16 sub32 sub8 xor16 xor32 xor8',
  '../alu64': 'adc64 add64 and64 dec64 inc64 logic64 neg64 or64 sbb64 sub64 xor64',
  '../bcd': 'aaa aad aam aas daa das lahf sahf salc',
  '../bit': 'BIT_COMPLEMENT BIT_RESET BIT_SET BIT_TEST bitMem16 bitMem32 bitReg cmpxchg8b popcount scanFlags scanZero',
  '../bit64': 'bitLong16 bitLong32 bitLong64 bitReg64 cmpxchg16b cmpxchg8bLong popcount64',
  '../branch':
    'attention begin checkJump checkTarget countLoop fell finish follow jump jumpTo loopCount nextEip resume ret16 ret32 retFlat setRip stay thisEip',
  '../branch64':
    'begin64 checkJump64 checkTarget64 countLoop64 follow64 jump64 jumpTo64 loopCount64 nextRip resume64 ret64 setRip64 stay64 thisRip',
  '../ea': 'baseLin baseOff indexLin indexOff recLin recOff32 recOff64 recSeg',
  '../far': 'farCall farJump farRet iret',
  '../farmem': 'farCallMem farCallMem64 farJumpMem farJumpMem64',
  '../fault': 'raiseFault raiseFaultErr',
  '../flags': 'F_DF getCF getLess getOF getPF getSF getZF rawEflags setCF setRawEflags',
  '../fpu/fpu': 'x87Exec',
  '../interrupt': 'int3 into softInterrupt',
  '../mem': 'linRead16 linRead32 linRead64 linRead8 linReadW16 linReadW32 linReadW64 linReadW8 linWrite16 linWrite32 linWrite64 linWrite8',
  '../memsegment': 'memReadW16 memReadW32 memReadW8 memWrite16 memWrite32 memWrite8',
  '../jit': 'enterJit enterJit64',
  '../memcold':
    'coldRead16 coldRead32 coldRead64 coldRead8 coldReadW16 coldReadW32 coldReadW64 coldReadW8 coldWrite16 coldWrite32 coldWrite64 coldWrite8',
  '../muldiv': 'div16 div32 div8 idiv16 idiv32 idiv8 imul16 imul32 imul8 imulTrunc16 imulTrunc32 mul16 mul32 mul8',
  '../muldiv64': 'div64 idiv64 imul64 imulTrunc64 mul64',
  '../operand':
    'a16 a32 a64 a8 b16 b32 b8 cl dx e16 e32 e64 e8 g16 g32 g64 g8 imm imm64 m16 m32 m8 setA16 setA32 setA64 setA8 setB32 setB8 setE16 setE32 ' +
    'setE64 setE8 setG16 setG32 setG64 setG8 setM16 setM32 setM8 setX32 setX8 x16 x32 x8',
  '../portio': 'portIn portOut',
  '../pushpop':
    'bound16 bound32 enter16 enter32 leave16 leave32 leaveFlat pop16 pop32 popFlat popMem16 popMem32 popa16 popa32 popf16 popf32 push16 push32 ' +
    'pushFlat pusha16 pusha32 pushf16 pushf32',
  '../pushpop64':
    'enter16Long enter64 leave16Long leave64 pop16Long pop64 popMem16Long popMem64 popf16Long popf64 push16Long push64 pushf16Long pushf64',
  '../record': 'REC_IMM REC_LENGTH REC_SIZE',
  '../runstate': 'Run',
  '../shift':
    'rcl16 rcl32 rcl8 rcr16 rcr32 rcr8 rol16 rol32 rol8 ror16 ror32 ror8 sar16 sar32 sar8 shl16 shl32 shl8 shld16 shld32 shr16 shr32 shr8 ' +
    'shrd16 shrd32',
  '../shift64': 'rcl64 rcr64 rol64 ror64 sar64 shl64 shld64 shr64 shrd64',
  '../simd/simd': 'simdExec',
  '../state': 'setGpr16 setGpr32 setGpr64',
  '../stateoffsets': 'VEC_GP VEC_UD',
  '../string': 'cmps ins lods movs outs scas stos xlat',
  '../string64': 'cmpsLong insLong lodsLong movsLong outsLong scasLong stosLong xlatLong',
  '../sysops': 'sysExec',
  '../task': 'setIretLength',
  './tables': 'HANDLER_STALE',
};

/** Import statements for the names that occur in `code`. */
export function importsFor(code: string): string {
  const used = new Set(code.match(/\b[A-Za-z_]\w*\b/g));
  return Object.entries(MODULES)
    .map(([path, names]) => ({ path, names: names.split(' ').filter((name) => used.has(name)) }))
    .filter(({ names }) => names.length > 0)
    .map(({ path, names }) => `import { ${names.join(', ')} } from '${path}';\n`)
    .join('');
}
