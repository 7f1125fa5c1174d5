import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { elfSymbols, loadSymbols, mapSymbols, symbolTable } from './symbols.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-symbols-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('names of guest addresses', () => {
  it('come from the code symbols of a System.map', () => {
    const table = symbolTable(mapSymbols('c0100000 T _text\nc0100040 t idle\nc0200000 D data\nc0100100 W weak\n'));
    expect(table.size).toBe(3);
    expect(table.at(0xc0100000n)).toBe('_text');
    expect(table.at(0xc0100052n)).toBe('idle+0x12');
    expect(table.at(0xc00fffffn)).toBeUndefined();
    expect(table.at(0xd0000000n)).toBeUndefined();
  });

  it.each(['-m32', '-m64'])('come from an ELF file (%s)', async (flag) => {
    const source = path.join(folder, 'a.c');
    const object = path.join(folder, `a${flag}.elf`);
    writeFileSync(source, 'int hot(int x) { return x * 3; } int _start(void) { return hot(4); }');
    execFileSync('gcc', [flag, '-nostdlib', '-static', '-O0', '-Wl,-Ttext=0x400000', '-o', object, source]);
    const table = await loadSymbols(object);
    const line = execFileSync('nm', [object], { encoding: 'latin1' })
      .split('\n')
      .find((text) => text.endsWith(' T hot'))!;
    const address = BigInt(`0x${line.split(' ')[0]}`);
    expect(table.at(address)).toBe('hot');
    expect(table.at(address + 3n)).toBe('hot+0x3');
  });

  it('are none in damaged files, which break nothing', async () => {
    const object = path.join(folder, 'a-m64.elf');
    const bytes = new Uint8Array(readFileSync(object));
    for (let at = 0; at < 64; at++) {
      const damaged = bytes.slice();
      damaged[at] = damaged[at]! ^ 0xff;
      elfSymbols(damaged);
      elfSymbols(damaged.subarray(0, at));
    }
    const stripped = path.join(folder, 'stripped');
    execFileSync('strip', ['-o', stripped, object]);
    await expect(loadSymbols(stripped)).rejects.toThrow('has no symbols');
    await expect(loadSymbols(path.join(folder, 'none'))).rejects.toThrow("can't be read");
  });
});
