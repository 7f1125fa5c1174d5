import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { GdbArchitecture } from '../../../core/debug/registers.ts';
import { GdbListener } from '../../../core/vmprocess/gdblistener.ts';
import { drive, Guest } from './guest.ts';
import { run } from './packages.ts';

type Labels = { readonly [label: string]: number };

/** An address of debug64.asm in the upper half of the address space, as gdb takes it. */
export const highAddress = (address: number): string => `0x${(0xffff_ffff_8000_0000n + BigInt(address)).toString(16)}`;

/** A machine with a boot sector that goes from 16-bit to paged 32-bit code (or to 64-bit code), its GDB stub, and the real gdb. */
export class DebugBench {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'hypervue-gdb-'));
  readonly image = path.join(this.folder, 'debug.img');
  readonly image64 = path.join(this.folder, 'debug64.img');
  /** Addresses of the labels, from the assembler's map. */
  at: Labels = {};
  at64: Labels = {};
  guest: Guest | undefined;
  listener: GdbListener | undefined;

  assemble(): void {
    this.at = this.floppy('debug', this.image);
    this.at64 = this.floppy('debug64', this.image64);
  }

  /** Makes a floppy of a boot sector. */
  private floppy(name: string, floppy: string): Labels {
    const source = readFileSync(fileURLToPath(new URL(`asm/${name}.asm`, import.meta.url)), 'latin1');
    const file = path.join(this.folder, `${name}.asm`);
    const map = path.join(this.folder, `${name}.map`);
    writeFileSync(file, `[map symbols ${map}]\n${source}`);
    const sector = path.join(this.folder, `${name}.bin`);
    run('nasm', ['-f', 'bin', '-o', sector, file]);
    const disk = Buffer.alloc(1_474_560);
    disk.set(readFileSync(sector));
    writeFileSync(floppy, disk);
    const labels: { [label: string]: number } = {};
    for (const [, address, label] of readFileSync(map, 'latin1').matchAll(/^\s*([0-9A-F]+)\s+[0-9A-F]+\s+(\w+)$/gm))
      labels[label!] = Number.parseInt(address!, 16);
    return labels;
  }

  async machine(
    architecture: GdbArchitecture = 'i386',
    { startPaused = true, socket = false, floppy = this.image }: { startPaused?: boolean; socket?: boolean; floppy?: string } = {},
  ): Promise<Guest> {
    this.guest = await new Guest({
      memoryMiB: 16,
      drives: [drive('fd0', 'floppy', floppy)],
      order: ['floppy'],
      cpu: 'x86-64-v2',
      startPaused,
    }).start();
    const address = socket ? { type: 'unix' as const, path: path.join(this.folder, 'gdb.sock') } : { type: 'tcp' as const, port: 0 };
    this.listener = await GdbListener.open(address, this.guest.vm.debug, architecture);
    return this.guest;
  }

  /** What gdb prints for a script; the connection is made first. */
  async gdb(lines: readonly string[]): Promise<string> {
    const script = path.join(this.folder, 'script.gdb');
    writeFileSync(script, ['set pagination off', 'set confirm off', this.listener!.command, ...lines, ''].join('\n'));
    // gdb -batch ends with 1 when a line of the script failed, which ends the script too.
    const { stdout, stderr } = await promisify(execFile)('gdb', ['-nx', '-batch', '-x', script], { encoding: 'latin1', timeout: 60_000 });
    return stdout + stderr;
  }

  /** The same typed line after line, so that what fails does not keep the rest from being tried. */
  async typed(lines: readonly string[]): Promise<string> {
    const commands = ['set pagination off', 'set confirm off', this.listener!.command, ...lines].flatMap((line) => ['-ex', line]);
    const { stdout, stderr } = await promisify(execFile)('gdb', ['-nx', '-batch', ...commands], {
      encoding: 'latin1',
      timeout: 60_000,
    }).catch((error: { stdout?: string; stderr?: string }) => ({ stdout: error.stdout ?? '', stderr: error.stderr ?? '' }));
    return stdout + stderr;
  }

  /** After a test. */
  async end(): Promise<void> {
    await this.listener?.close();
    this.listener = undefined;
    await this.guest?.end();
    this.guest = undefined;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
