/**
 * barotto/test386.asm, a BIOS-sized ROM that tests an 80386 in real, protected, paged and virtual-8086 mode. It is not part of this
 * repository: build it (nasm -i./src/ -f bin src/test386.asm -o test386.bin, with POST_PORT 0x190 and OUT_PORT 0xe9) and name the file in
 * HYPERVUE_TEST386, or put it at .cache/test386/test386.bin; the expected output test386-EE-reference.txt is looked for beside it.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { cpuModule, testAccelerator } from '../../core/cpu/interp/testing/testcpu.ts';
import { Interpreter } from '../../core/cpu/interp/interpreter.ts';
import { BIOS_ROM_BASE, GUEST_RAM_BASE } from '../../core/memory/layout.ts';
import { PhysMap } from '../../core/memory/physmap.ts';
import { createVmMemory } from '../../core/memory/vmmemory.ts';
import { nullLogger } from '../../core/util/logger.ts';

const ROM = process.env.HYPERVUE_TEST386 ?? fileURLToPath(new URL('../../.cache/test386/test386.bin', import.meta.url));
const POST_PORT = 0x190;
const OUT_PORT = 0xe9;

describe('test386.asm', () => {
  it('reaches POST FF and prints the reference results', (context) => {
    if (!existsSync(ROM)) {
      console.log(`skipped: no test386 ROM at ${ROM}`);
      context.skip();
      return;
    }
    const rom = readFileSync(ROM);
    const memory = createVmMemory(4 << 20);
    new Uint8Array(memory.buffer).set(rom, BIOS_ROM_BASE);
    const map = new PhysMap(memory);
    map.mapRam(0, GUEST_RAM_BASE, 0x100000 - rom.length);
    map.mapRom(0x100000 - rom.length, BIOS_ROM_BASE, rom.length);
    map.mapRom(0x100000000 - rom.length, BIOS_ROM_BASE, rom.length);
    let post = -1;
    let text = '';
    const cpu = new Interpreter({
      memory,
      wasm: cpuModule(),
      log: nullLogger,
      ...testAccelerator(),
      bus: {
        portRead: (_port, size) => 0xffffffff >>> (32 - 8 * size),
        portWrite: (port, value) => {
          if (port === POST_PORT) post = value;
          else if (port === OUT_PORT) text += String.fromCharCode(value);
        },
        mmioRead: (_gpa, size) => 0xffffffff >>> (32 - 8 * size),
        mmioWrite: () => {},
        acknowledgeInterrupt: () => -1,
        apicBaseChanged: () => {},
        readTsc: () => 0,
      },
    });
    let exit = cpu.run(1_000_000);
    for (let slice = 0; exit === 'budget' && slice < 500; slice++) exit = cpu.run(1_000_000);
    expect([exit, post.toString(16)]).toEqual(['halt', 'ff']);
    const reference = path.join(path.dirname(ROM), 'test386-EE-reference.txt');
    if (text && existsSync(reference)) expect(text === readFileSync(reference, 'latin1')).toBe(true);
  });
});
