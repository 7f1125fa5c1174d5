import { describe, expect, it } from 'vitest';
import { codeListing } from './codelisting.ts';
import type { CodePage } from './codepages.ts';
import { compileModule } from './compile.ts';
import type { CodeMode } from './decode.ts';
import { OP, SIMD } from './wasmcode.ts';
import { PLAIN_NAMES, VECTOR_NAMES } from './wasmnames.ts';
import { wasmText } from './wasmtext.ts';

const page = (...code: number[]): CodePage => {
  const bytes = new Uint8Array(4096);
  bytes.set(code);
  return { delta: 0, host: 0x0600_0000, bytes };
};
/** mov eax,[ebx]; add ebx,4; add edx,eax; dec ecx; jne 0; ret */
const LOOP = [0x8b, 0x03, 0x83, 0xc3, 0x04, 0x01, 0xc2, 0x49, 0x75, 0xf6, 0xc3];
/** Every feature a processor model can have. */
const ALL = -1;

describe('the listing of a region', () => {
  const lines = codeListing({ pages: [page(...LOOP)], entry: 0, mode: 32, user: false, features: 0 }, 0xc0100000n);
  const text = lines.join('\n');

  it('names the region and has every guest instruction in order, those before the header of a loop again at its end', () => {
    expect(lines[0]).toMatch(/^region 0xc0100000, 32-bit, privilege 0: 6 instructions, \d+ bytes of WebAssembly$/);
    expect(lines.filter((line) => line.startsWith(';;'))).toEqual([
      ';; c0100000  mov    eax,DWORD PTR [ebx]',
      ';; c0100002  add    ebx,0x4',
      ';; c0100005  add    edx,eax',
      ';; c0100007  dec    ecx',
      ';; c0100008  jne    0xc0100000',
      ';; c0100000  mov    eax,DWORD PTR [ebx]',
      ';; c010000a  ret',
    ]);
  });

  it('puts what an instruction became below it', () => {
    const between = text.slice(text.indexOf(';; c0100002'), text.indexOf(';; c0100005'));
    expect(between).toContain('(i32.add');
    expect(between).toContain('(local.set $ebx');
    expect(text.slice(text.indexOf(';; c0100000'), text.indexOf(';; c0100002'))).toMatch(/\(call \$read .* 4 0 \$left\)/);
  });

  it('names the state, and closes every block that it opens', () => {
    expect(text).toContain('(local.set $ecx (i32.load [rcx]))');
    expect(text).toContain('(i64.store [S_RIP] (i64.extend_i32_u $rip))');
    const opened = text.match(/^ *\((?:block|loop|if|try) /gm)!.length;
    expect(text.match(/^ *\)$/gm)!.length).toBe(opened);
  });

  it('is empty for code that is not compiled', () => {
    // HLT
    expect(codeListing({ pages: [page(0xf4)], entry: 0, mode: 32, user: false, features: 0 }, 0n)).toEqual([]);
  });
});

describe('names of WebAssembly instructions', () => {
  it('are those of the specification', () => {
    const plain = (code: number) => PLAIN_NAMES.get(code);
    expect([OP.i32Load8S, OP.i64Store32, OP.i32WrapI64, OP.i64ExtendI32U, OP.f32DemoteF64, OP.brIf, OP.i64ShrS].map(plain)).toEqual([
      'i32.load8_s',
      'i64.store32',
      'i32.wrap_i64',
      'i64.extend_i32_u',
      'f32.demote_f64',
      'br_if',
      'i64.shr_s',
    ]);
    const vector = (code: number) => VECTOR_NAMES.get(code);
    expect([SIMD.i8x16NarrowI16x8U, SIMD.f64x2PromoteLowF32x4, SIMD.load64Zero, SIMD.anyTrue, SIMD.i32x4DotI16x8S].map(vector)).toEqual([
      'i8x16.narrow_i16x8_u',
      'f64x2.promote_low_f32x4',
      'v128.load64_zero',
      'v128.any_true',
      'i32x4.dot_i16x8_s',
    ]);
  });

  it('are one for each opcode', () => {
    expect(new Set([...PLAIN_NAMES.values(), ...VECTOR_NAMES.values()]).size).toBe(PLAIN_NAMES.size + VECTOR_NAMES.size);
  });
});

describe('reading back', () => {
  /** Small random programs: whatever the emitter can write has to be read to the very last byte, with every operand found. */
  const modes: CodeMode[] = [16, 32, 64];
  it.each(modes)('everything that regions of %i-bit code are made of', (mode) => {
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const prefixes = [[], [], [], [0x66], [0xf3], [0xf2], [0x48]];
    let regions = 0;
    for (let round = 0; round < 250; round++) {
      const code: number[] = [];
      for (let n = 0; n < 6; n++) {
        code.push(...prefixes[random(mode === 64 ? 7 : 6)]!);
        if (random(2)) code.push(0x0f);
        code.push(random(256), random(256), random(256), random(256), random(256), random(256));
      }
      const compiled = compileModule([{ pages: [page(...code)], entry: 0, mode, user: false, features: ALL }]);
      if (!compiled) continue;
      regions++;
      const lines = wasmText(compiled.wasm, mode);
      expect(lines.at(-1)!.text).toMatch(/^\(return /);
      expect(lines.filter(({ text }) => /undefined|NaN/.test(text))).toEqual([]);
      // Throws where it is not valid.
      new WebAssembly.Module(compiled.wasm);
    }
    expect(regions).toBeGreaterThan(30);
  });
});
