import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CpuModel } from '../../../core/contract/cpumodels.ts';
import type { CpuBus } from '../../../core/cpu/accelerator.ts';
import { Interpreter } from '../../../core/cpu/interp/interpreter.ts';
import { testAccelerator } from '../../../core/cpu/interp/testing/testcpu.ts';
import { BIOS_ROM_BASE, GUEST_RAM_BASE, PM_READ, PM_WRITE } from '../../../core/memory/layout.ts';
import { PhysMap } from '../../../core/memory/physmap.ts';
import { createVmMemory } from '../../../core/memory/vmmemory.ts';
import { nullLogger } from '../../../core/util/logger.ts';

/** Outcome of a conformance image: text of port 0xE9, why it ended, and the bus traffic it made. */
export interface ImageResult {
  lines: string[];
  end: 'done' | 'shutdown' | 'halt' | 'timeout';
  cpu: Interpreter;
  memory: WebAssembly.Memory;
  /** MMIO accesses as "r4 f0000000" or "w2 f0000002 1234". */
  mmio: string[];
}

const here = import.meta.dirname;
const APIC_TPR = 0xfee00080;

/** Assembles `name`.asm of this folder. */
export function assemble(name: string, defines: string[] = []): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'hypervue-asm-'));
  try {
    const out = join(folder, 'image.bin');
    execFileSync('nasm', ['-f', 'bin', '-o', out, ...defines.map((d) => `-D${d}`), `${name}.asm`], { cwd: here });
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names of the checks in an assembly source, in order; the ones the image must report. */
export function checkNames(name: string): string[] {
  const names: string[] = [];
  for (const line of readFileSync(join(here, `${name}.asm`), 'utf8').split('\n')) {
    const match = /^\s*(CHECK|CHECK_FAULT) "([^"]*)"/.exec(line);
    if (match?.[1] === 'CHECK') names.push(match[2]!);
    else if (match) names.push(`${match[2]}: vector`, `${match[2]}: error code`);
  }
  return names;
}

export interface ImageOptions {
  maxInstructions?: number;
  model?: CpuModel;
  /** Every so many instructions the processor is reset and gets its state back. */
  restoreEvery?: number;
}

/** Runs a 64 KiB ROM image on the interpreter with 16 MiB of RAM, the debug port and nothing else. */
export function runImage(image: Uint8Array, options: ImageOptions = {}): ImageResult {
  const { maxInstructions = 20_000_000, model = 'i686', restoreEvery } = options;
  const wasm = join(here, '../../../out/wasm/cpu.wasm');
  if (!process.env.HYPERVUE_CPU_WASM && !existsSync(wasm)) throw new Error('out/wasm/cpu.wasm is not built; run npm run build:wasm');
  const memory = createVmMemory(16 << 20);
  const physMap = new PhysMap(memory);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(image, BIOS_ROM_BASE);
  physMap.map(0, GUEST_RAM_BASE, 16 << 20, PM_READ | PM_WRITE);
  physMap.mapRom(0xf0000, BIOS_ROM_BASE, 0x10000);
  physMap.mapRom(0xffff0000, BIOS_ROM_BASE, 0x10000);

  let text = '';
  let ended = false;
  const mmio: string[] = [];
  let tsc = 1000;
  /** Task-priority register of the local APIC, of which there is no more. */
  let priority = 0;
  const bus: CpuBus = {
    portRead: (port, size) => (port === 0xe9 ? 0xe9 : size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff),
    portWrite: (port, value) => {
      if (port === 0xe9) text += String.fromCharCode(value);
      else if (port === 0xf4) {
        ended = true;
        cpu.requestExit();
      }
    },
    mmioRead: (gpa, size) => {
      if (gpa === APIC_TPR) return priority;
      mmio.push(`r${size} ${gpa.toString(16)}`);
      return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
    },
    mmioWrite: (gpa, value, size) => {
      if (gpa === APIC_TPR) priority = value;
      mmio.push(`w${size} ${gpa.toString(16)} ${value.toString(16)}`);
    },
    acknowledgeInterrupt: () => -1,
    apicBaseChanged: () => {},
    readTsc: () => tsc++,
  };
  const cpu = new Interpreter({
    memory,
    wasm: readFileSync(process.env.HYPERVUE_CPU_WASM ?? wasm),
    bus,
    log: nullLogger,
    model,
    ...testAccelerator(),
  });
  physMap.onChange(() => cpu.flushTlb());
  let end: ImageResult['end'] = 'timeout';
  for (let left = maxInstructions; left > 0; ) {
    const slice = restoreEvery ?? 100_000;
    const exit = cpu.run(slice);
    left -= slice;
    if (restoreEvery && exit === 'budget' && !ended) {
      const state = cpu.getState();
      cpu.reset('hard');
      cpu.setState(state);
    }
    if (ended) end = 'done';
    else if (exit === 'shutdown' || exit === 'halt') end = exit;
    else continue;
    break;
  }
  return { lines: text.split('\n').filter((line) => line !== ''), end, cpu, memory, mmio };
}
