import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type CodeBits, disassemble } from '../../../core/cpu/x86/disassemble.ts';
import { allSyntax, type Syntax } from '../../../core/cpu/x86/syntax.ts';
import { INSTRUCTIONS } from '../../../core/cpu/x86/table.ts';

/** The disassembler beside objdump: every row of the table in many encodings, and the code of real programs. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-disassemble-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  bytes: Uint8Array;
  text: string;
}

/** objdump's lines by address. */
function objdump(file: string, args: readonly string[]): Map<number, Line> {
  const output = execFileSync('objdump', ['-z', '-w', '-M', 'intel', ...args, file], { encoding: 'latin1', maxBuffer: 1 << 30 });
  const lines = new Map<number, Line>();
  for (const line of output.split('\n')) {
    const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(.*))?$/.exec(line);
    if (match?.[3] !== undefined)
      lines.set(Number.parseInt(match[1]!, 16), {
        bytes: Uint8Array.from(match[2]!.trim().split(' '), (byte) => Number.parseInt(byte, 16)),
        text: match[3],
      });
  }
  return lines;
}

/** One blank between words, addresses with 0x and without their symbols, and no REX prefixes that do nothing, which objdump points out. */
const plain = (text: string) =>
  text
    .replace(/\s+/g, ' ')
    .replace(/\b(?:0x)?([0-9a-f]+) <[^>]*>/g, '0x$1')
    .replace(/\brex(\.[WRXB]+)? /g, '')
    .trim();

const RAW = {
  16: ['-D', '-b', 'binary', '-m', 'i8086', '-M', 'i8086'],
  32: ['-D', '-b', 'binary', '-m', 'i386'],
  64: ['-D', '-b', 'binary', '-m', 'i386:x86-64'],
};

/** Instructions of objdump that the table has not: AVX-512 and its masks, MPX, VMX, shadow stacks, TSX, and what it calls reserved NOPs. */
const FOREIGN =
  /^(data16 |cs |es |fs |ds |repn?z |bnd |lock )*(k[a-z]+[bwdq] |bnd[a-z]+|vm(ptr|clear|xon|read|write)|prefetch|(inc|rd)ssp|xtest|xbegin|xend|xabort|clrssbsy|ptwrite|umonitor)|[xyz]mm(1[6-9]|2\d|3[01])|zmm|\{k\d\}|\(bad\)/;

/** Bytes to try a row with; what follows the opcode is the same for all. */
function encodings(row: Syntax, bits: CodeBits): number[][] {
  const mandatory = row.prefix === 'any' || row.prefix === 'np' ? [] : [Number.parseInt(row.prefix, 16)];
  const map = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!;
  const tail = [0x11, 0x82, 0x73, 0x24, 0x95, 0x66, 0x37, 0x08];
  const modrms: number[][] = [];
  if (!row.modrm) modrms.push([]);
  else if (row.exact !== undefined) modrms.push([row.exact]);
  else
    for (const reg of row.extension >= 0 ? [row.extension] : [1, 5]) {
      const field = reg << 3;
      if (row.form !== 'm') modrms.push([0xc0 | field | 2], [0xc0 | field | 7]);
      if (row.form !== 'r')
        modrms.push(
          [field | 1],
          [0x40 | field | 6, 0xf0],
          [0x80 | field | 3, 0x10, 0x20, 0x30, 0xf0],
          [field | 5, 1, 2, 3, 4],
          [field | 4, 0x8a],
          [0x40 | field | 4, 0x24, 0x10],
          [field | 4, 0x25, 1, 2, 3, 0x84],
          [field | 6, 0x34, 0x12],
        );
    }
  const list: number[][] = [];
  if (row.vex) {
    const pp = ['np', '66', 'f3', 'f2'].indexOf(row.prefix === 'any' ? 'np' : row.prefix);
    const usesVvvv = row.operands.some((operand) => /^[HB]/.test(operand));
    const usesLength = row.long || row.operands.some((operand) => /^[VWHMU](x|h|e|k|dup)/.test(operand));
    for (const modrm of modrms)
      for (const length of row.long ? [1] : usesLength ? [0, 1] : [0])
        for (const wide of row.wide === undefined ? [0, 1] : [row.wide ? 1 : 0])
          for (const vvvv of usesVvvv ? [0, 2] : [0])
            list.push([0xc4, 0xe0 | row.map, (wide << 7) | ((~vvvv & 15) << 3) | (length << 2) | pp, row.opcode, ...modrm, ...tail]);
    return list;
  }
  const prefixes = [[], [0x67], [0x64], [0x2e], [0x26]];
  if (row.prefix === 'any' && row.map < 2) prefixes.push([0x66]);
  if (row.map === 0) prefixes.push([0xf2], [0xf3]);
  const rex = bits === 64 ? [[], [0x48], [0x4f]] : [[]];
  for (const prefix of prefixes)
    for (const extra of rex)
      if (extra.length === 0 || prefix.length === 0 || prefix[0] === 0x66)
        for (const modrm of modrms) list.push([...prefix, ...mandatory, ...extra, ...map, row.opcode, ...modrm, ...tail]);
  return list;
}

const SLOT = 32;

describe('every row of the table', () => {
  it('has a name and operands for the disassembler', () => {
    const known = new Set(allSyntax().map(({ vex, map, opcode }) => `${vex} ${map} ${opcode}`));
    const missing = INSTRUCTIONS.filter(({ vex, map, opcode }) => !known.has(`${vex} ${map} ${opcode}`));
    expect(missing.map(({ map, opcode, vex, mnemonic }) => `${vex ? 'v' : ''}${map}:${opcode.toString(16)} ${mnemonic}`)).toEqual([]);
  });

  it.each([16, 32, 64] as const)('reads as objdump reads it in %i-bit code', (bits) => {
    const list = allSyntax()
      .filter((row) => row.mode !== (bits === 64 ? 'not64' : 'only64'))
      .flatMap((row) => encodings(row, bits).map((bytes) => ({ row, bytes })));
    const image = Buffer.alloc(list.length * SLOT, 0x90);
    for (const [i, { bytes }] of list.entries()) image.set(bytes, i * SLOT);
    const file = path.join(folder, `rows${bits}.bin`);
    writeFileSync(file, image);
    const lines = objdump(file, RAW[bits]);
    const wrong = new Map<string, string>();
    let same = 0;
    let compared = 0;
    let wrongCount = 0;
    list.forEach(({ row, bytes }, i) => {
      const line = lines.get(i * SLOT);
      if (!line || FOREIGN.test(line.text)) return;
      compared++;
      const got = disassemble(image.subarray(i * SLOT, i * SLOT + 15), BigInt(i * SLOT), bits);
      if (plain(got.text) === plain(line.text) && got.length === line.bytes.length) same++;
      else {
        wrongCount++;
        const code = Buffer.from(bytes).toString('hex');
        wrong.set(row.name, `${code}: "${plain(line.text)}" but got "${plain(got.text)}"`);
      }
    });
    const share = same / compared;
    console.log(`${bits}-bit: ${same} of ${compared} encodings alike (${(share * 100).toFixed(2)} %), ${wrongCount} others`);
    if (share < 0.99)
      console.log(
        [...wrong]
          .slice(0, 40)
          .map(([name, text]) => `${name}: ${text}`)
          .join('\n'),
      );
    expect(compared).toBeGreaterThan(80_000);
    // The rest are encodings that no assembler makes, on which objdump has views of its own (AMD's 66 on near branches, W on far pointers).
    expect(share).toBeGreaterThan(bits === 64 ? 0.99 : 0.997);
  });
});

describe('real code', () => {
  /** Compares all code of an ELF file. */
  function compare(lines: Map<number, Line>, bits: CodeBits): { same: number; compared: number; wrong: string[] } {
    let same = 0;
    let compared = 0;
    const wrong: string[] = [];
    for (const [address, { bytes, text }] of lines) {
      // 62h is EVEX in 64-bit mode: AVX-512.
      if (FOREIGN.test(text) || (bits === 64 && bytes[0] === 0x62)) continue;
      compared++;
      const got = disassemble(bytes, BigInt(address), bits);
      if (plain(got.text) === plain(text) && got.length === bytes.length) same++;
      else if (wrong.length < 30) wrong.push(`${Buffer.from(bytes).toString('hex')}: "${plain(text)}" but got "${plain(got.text)}"`);
    }
    return { same, compared, wrong };
  }

  /** The code of an object file alone. */
  function text(object: string): string {
    execFileSync('objcopy', ['-O', 'binary', '-j', '.text', object, `${object}.bin`]);
    return `${object}.bin`;
  }

  it('of a 64-bit program: all instructions read as objdump reads them', () => {
    const file = ['/bin/busybox', '/bin/bash'].find((name) => existsSync(name)) ?? '/bin/sh';
    const { same, compared, wrong } = compare(objdump(file, ['-d']), 64);
    console.log(`64-bit program: ${same} of ${compared} alike`);
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(100_000);
  });

  it('of a 32-bit program compiled for SSE2', () => {
    const source = path.join(folder, 'p.c');
    writeFileSync(
      source,
      `struct s { double d; float f; long long q; short h; unsigned char c; } v[9];
       int a(int x, int y) { switch (x) { case 1: return y / 3; case 2: return y << x; case 3: return y % 7; case 4: return -y; default: return x * y; } }
       double b(double x, float y) { for (int i = 0; i < 9; i++) { v[i].d += x * y; v[i].f = (float)i / y; v[i].q *= 3; v[i].h ^= i; v[i].c = i; } return v[3].d; }
       long double c(long double x) { return x * x / 3 + __builtin_sqrtl(x); }
       unsigned long long d(unsigned long long x, int n) { return x >> n | x << (64 - n); }
       void e(char *p, int n) { __builtin_memset(p, n, 256); for (int i = 0; i < n; i++) p[i] += p[i + 1]; }`,
    );
    const object = path.join(folder, 'p.o');
    for (const flags of [['-O0'], ['-O2'], ['-O3', '-msse2', '-mfpmath=sse'], ['-Os', '-march=i386', '-fcf-protection=none']]) {
      execFileSync('gcc', ['-m32', '-c', ...flags, '-o', object, source]);
      const { wrong, compared } = compare(objdump(text(object), RAW[32]), 32);
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(100);
    }
  });

  it('of a 64-bit program compiled for AVX2 and FMA', () => {
    const source = path.join(folder, 'v.c');
    writeFileSync(
      source,
      `void a(float *x, float *y, int n) { for (int i = 0; i < n; i++) x[i] = x[i] * y[i] + 3.0f; }
       void b(double *x, int *y, int n) { for (int i = 0; i < n; i++) x[y[i]] += x[i]; }
       int c(int *x, int n) { int s = 0; for (int i = 0; i < n; i++) s += x[i] < 0 ? -x[i] : x[i]; return s; }
       void d(unsigned char *x, short *y, int n) { for (int i = 0; i < n; i++) x[i] = y[i] > 255 ? 255 : y[i]; }
       double e(double *x, int *k, int n) { double s = 0; for (int i = 0; i < n; i++) s += x[k[i]]; return s; }
       unsigned long f(unsigned long x, int n) { return __builtin_popcountl(x) + __builtin_clzl(x) + (x << n) + (x & (x - 1)); }`,
    );
    const object = path.join(folder, 'v.o');
    execFileSync('gcc', ['-c', '-O3', '-march=x86-64-v3', '-ffast-math', '-o', object, source]);
    const { wrong, compared } = compare(objdump(text(object), RAW[64]), 64);
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(300);
  });

  it('of the system BIOS, data and all, at every byte where objdump finds an instruction', () => {
    const rom = fileURLToPath(new URL('../../../resources/firmware/bios-256k.bin', import.meta.url));
    const tail = path.join(folder, 'bios.bin');
    writeFileSync(tail, readFileSync(rom).subarray(-65536));
    for (const bits of [16, 32] as const) {
      const { same, compared, wrong } = compare(objdump(tail, RAW[bits]), bits);
      console.log(`BIOS as ${bits}-bit code: ${same} of ${compared} alike`);
      if (same / compared < 0.99) console.log(wrong.join('\n'));
      expect(same / compared).toBeGreaterThan(0.99);
    }
  });

  it('that is noise never throws, and every length is one of an instruction', () => {
    let seed = 99;
    const noise = Uint8Array.from({ length: 200_000 }, () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed >>> 16;
    });
    for (const bits of [16, 32, 64] as const)
      for (let at = 0; at < noise.length - 15; ) {
        const { length } = disassemble(noise.subarray(at, at + (at % 16)), BigInt(at), bits);
        expect(length).toBeGreaterThan(0);
        expect(length).toBeLessThanOrEqual(15);
        at += length;
      }
  });
});
