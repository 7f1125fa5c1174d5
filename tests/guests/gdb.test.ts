import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { GdbArchitecture } from '../../core/debug/registers.ts';
import { GdbListener } from '../../core/vmprocess/gdblistener.ts';
import { drive, Guest } from './support/guest.ts';
import { run } from './support/packages.ts';

/** The GDB stub against the real gdb: batch scripts on a boot sector that goes from 16-bit to paged 32-bit code. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-gdb-'));
const image = path.join(folder, 'debug.img');
const image64 = path.join(folder, 'debug64.img');
/** Addresses of the labels, from the assembler's map. */
let at: { [label: string]: number };
let at64: { [label: string]: number };
let guest: Guest | undefined;
let listener: GdbListener | undefined;

/** Makes a floppy of a boot sector. */
function assemble(name: string, floppy: string): { [label: string]: number } {
  const source = readFileSync(fileURLToPath(new URL(`support/asm/${name}.asm`, import.meta.url)), 'latin1');
  const file = path.join(folder, `${name}.asm`);
  const map = path.join(folder, `${name}.map`);
  writeFileSync(file, `[map symbols ${map}]\n${source}`);
  const sector = path.join(folder, `${name}.bin`);
  run('nasm', ['-f', 'bin', '-o', sector, file]);
  const disk = Buffer.alloc(1_474_560);
  disk.set(readFileSync(sector));
  writeFileSync(floppy, disk);
  const labels: { [label: string]: number } = {};
  for (const [, address, label] of readFileSync(map, 'latin1').matchAll(/^\s*([0-9A-F]+)\s+[0-9A-F]+\s+(\w+)$/gm))
    labels[label!] = Number.parseInt(address!, 16);
  return labels;
}

beforeAll(() => {
  at = assemble('debug', image);
  at64 = assemble('debug64', image64);
});
afterEach(async () => {
  await listener?.close();
  listener = undefined;
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function machine(architecture: GdbArchitecture = 'i386', startPaused = true, socket = false, floppy = image): Promise<Guest> {
  guest = await new Guest({
    memoryMiB: 16,
    drives: [drive('fd0', 'floppy', floppy)],
    order: ['floppy'],
    cpu: 'x86-64-v2',
    startPaused,
  }).start();
  const address = socket ? { type: 'unix' as const, path: path.join(folder, 'gdb.sock') } : { type: 'tcp' as const, port: 0 };
  listener = await GdbListener.open(address, guest.vm.debug, architecture);
  return guest;
}

/** What gdb prints for a script; the connection is made first. */
async function gdb(lines: readonly string[]): Promise<string> {
  const script = path.join(folder, 'script.gdb');
  writeFileSync(script, ['set pagination off', 'set confirm off', listener!.command, ...lines, ''].join('\n'));
  const { stdout, stderr } = await promisify(execFile)('gdb', ['-nx', '-batch', '-x', script], { encoding: 'latin1', timeout: 60_000 });
  return stdout + stderr;
}

describe('gdb', () => {
  test('attaches before the first instruction, and takes a boot sector apart in 16-bit code', async () => {
    await machine('i8086');
    const output = await gdb([
      'printf "reset %x:%x\\n", $cs, $eip',
      `break *${at.count}`,
      'continue',
      'printf "cx %d bx %d mem %d\\n", $cx, $bx, *(short*)0x600',
      'x/3i $pc',
      'stepi',
      'printf "after %x mem %d\\n", $eip, *(short*)0x600',
      'continue',
      'continue',
      'printf "cx %d bx %d mem %d\\n", $cx, $bx, *(short*)0x600',
      'delete',
      // Linear address 7000h + offset: the base of the segment counts.
      `break *${at.named}`,
      'continue',
      'printf "named %x:%x base %x\\n", $cs, $eip, $cs_base',
      'stepi',
      'stepi',
      'printf "unnamed %x:%x\\n", $cs, $eip',
    ]);
    expect(output).toContain('reset f000:fff0');
    expect(output).toContain('cx 5 bx 0 mem 0');
    expect(output).toMatch(/incw\s+0x600[\s\S]*add\s+\$0x3,%bx[\s\S]*loop/);
    expect(output).toContain(`after ${(at.count! + 4).toString(16)} mem 1`);
    expect(output).toContain('cx 3 bx 6 mem 2');
    expect(output).toContain(`named 700:${(at.named! - 0x7000).toString(16)} base 7000`);
    expect(output).toContain(`unnamed 0:${at.unnamed!.toString(16)}`);
  }, 90_000);

  test('breaks, watches, steps, changes registers and memory in paged 32-bit code', async () => {
    const { vm } = await machine();
    const output = await gdb([
      `hbreak *${at.paged}`,
      'continue',
      'print $cr0',
      'delete',
      'watch *(int*)0x40004',
      'continue',
      `printf "at %x is %d\\n", $eip, *(int*)0x40004`,
      'continue',
      `printf "at %x is %d\\n", $eip, *(int*)0x40004`,
      'delete',
      `break *${at.double}`,
      'continue',
      'printf "esi %d edi %d\\n", $esi, $edi',
      'stepi',
      'printf "esi %d edi %d\\n", $esi, $edi',
      'finish',
      'printf "back at %x\\n", $eip',
      'delete',
      'rwatch *(int*)0x40004',
      'continue',
      'set $edx = 0xcafe0001',
      'set $xmm3.uint128 = 5',
      'set var *(int*)0x40004 = 1000',
      'set $ymm2.v8_int32[6] = 77',
      'print $ymm2.v8_int32',
      'print/x $edx',
      'print $xmm3.uint128',
      'maint packet Qqemu.PhyMemMode:1',
      'printf "physical %x %d\\n", *(int*)0x2000, *(int*)0x2004',
      'maint packet Qqemu.PhyMemMode:0',
      'monitor gva2gpa 0x40004',
      'monitor info registers',
      'detach',
    ]);
    expect(output).toMatch(/\[ PE ET PG \]/);
    expect(output).toContain(`at ${(at.again! + 6).toString(16)} is 1\n`);
    expect(output).toContain(`at ${(at.again! + 6).toString(16)} is 2\n`);
    expect(output).toContain('esi 2 edi 2\n');
    expect(output).toContain('esi 2 edi 4\n');
    expect(output).toContain(`back at ${(at.double! - 2).toString(16)}`);
    expect(output).toContain('Hardware read watchpoint');
    expect(output).toContain('= {0, 0, 0, 0, 0, 0, 77, 0}');
    expect(output).toContain('= 0xcafe0001');
    expect(output).toContain('physical 12345678 1000');
    expect(output).toContain('gpa: 0x2004');
    expect(output).toMatch(/EDX=cafe0001/);
    // Detached: the guest runs on from what gdb wrote, and nothing of gdb is left in it.
    expect(vm.state).toBe('running');
    const before = (await vm.cpuState()).gpr[6]!;
    expect(before).toBeGreaterThan(1000n);
    expect((await vm.cpuState()).dr).toEqual([0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n]);
  }, 90_000);

  test('sees 64-bit registers with the description for them', async () => {
    await machine('x86-64');
    const output = await gdb([`break *${at.protected}`, 'continue', 'printf "rip %lx\\n", $rip', 'print $cr0', 'print $r15', 'kill']);
    expect(output).toContain(`rip ${at.protected!.toString(16)}`);
    expect(output).toContain('[ PE ET ]');
    expect(output).toContain('= 0');
    await guest!.until('the machine off', () => guest!.vm.state === 'off', 10_000);
  }, 90_000);

  test('breaks, watches and steps in long mode, in the upper half of the address space', async () => {
    const { vm } = await machine('x86-64', true, false, image64);
    const high = (address: number) => `0x${(0xffff_ffff_8000_0000n + BigInt(address)).toString(16)}`;
    const output = await gdb([
      `break *${high(at64.again!)}`,
      'continue',
      'printf "rip %lx r12 %lx rsp %lx\\n", (long)$rip, $r12, (long)$rsp',
      'print $cr0',
      'print $efer',
      'x/2i $pc',
      'delete',
      `watch *(long*)${high(0x20000)}`,
      'continue',
      'printf "at %lx is %ld\\n", (long)$rip, *(long*)$rbx',
      'continue',
      'printf "at %lx is %ld\\n", (long)$rip, *(long*)$rbx',
      'delete',
      `hbreak *${high(at64.double!)}`,
      'continue',
      'stepi',
      'printf "r13 %ld r14 %ld\\n", $r13, $r14',
      'delete',
      'set $r15 = 0x123456789abcdef0',
      `set var *(long*)${high(0x20000)} = 5000000000`,
      'stepi',
      'print/x $r15',
      `monitor gva2gpa ${high(0x20000)}`,
      `monitor x/1i ${high(at64.again!)}`,
      'monitor info registers',
      'detach',
    ]);
    const hex = (address: number) => high(address).slice(2);
    expect(output).toContain(`rip ${hex(at64.again!)} r12 1122334455667788 rsp ${hex(0x9000)}`);
    expect(output).toMatch(/\[ PE ET PG \]/);
    expect(output).toMatch(/\[ LME LMA \]/);
    expect(output).toMatch(/incq\s+\(%rbx\)/);
    expect(output).toContain(`at ${hex(at64.again! + 3)} is 1\n`);
    expect(output).toContain(`at ${hex(at64.again! + 3)} is 2\n`);
    expect(output).toContain('r13 2 r14 4\n');
    expect(output).toContain('= 0x123456789abcdef0');
    expect(output).toContain('gpa: 0x20000');
    expect(output).toMatch(/inc +QWORD PTR \[rbx\]/);
    expect(output).toContain('64-bit code');
    expect(vm.state).toBe('running');
    const state = await vm.cpuState();
    expect(state.gpr[15]).toBe(0x123456789abcdef0n);
    expect(state.gpr[13]).toBeGreaterThan(5_000_000_000n);
  }, 90_000);

  test('interrupts a running guest with Ctrl+C, and finds it on a Unix socket', async () => {
    await machine('i386', false, true);
    await guest!.until('the guest in its loop', () => guest!.vm.instructions() > 20_000_000, 30_000);
    const child = spawn('gdb', ['-nx', '-q', '-ex', listener!.command, '-ex', 'set confirm off', '-ex', 'continue'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await guest!.until('gdb waits', () => output.includes('Continuing'), 20_000);
    await guest!.until('it runs', () => guest!.vm.state === 'running', 10_000);
    child.kill('SIGINT');
    await guest!.until('the interrupt', () => output.includes('SIGINT'), 10_000);
    expect(guest!.vm.state).toBe('paused');
    child.stdin.write('printf "eip in %d\\n", $eip >= 0x7c00 && $eip < 0x7e00\nquit\n');
    await new Promise((resolve) => child.on('exit', resolve));
    expect(output).toContain('eip in 1');
    await guest!.until('it goes on', () => guest!.vm.state === 'running', 10_000);
  }, 90_000);

  test('does not let somebody else resume the machine that it holds', async () => {
    const { vm } = await machine('i386', false);
    await vm.debug.request({ op: 'attach' });
    expect(vm.state).toBe('paused');
    await expect(vm.resume()).rejects.toThrow('a debugger holds');
    await vm.debug.request({ op: 'detach' });
    await vm.resume();
    expect(vm.state).toBe('running');
  }, 60_000);
});

test('hypervue run --gdb -S waits for gdb, which may end it', async () => {
  const bin = fileURLToPath(new URL('../../core/cli/main.ts', import.meta.url));
  const child = spawn(process.execPath, [bin, 'run', '--floppy', image, '--readonly', '-m', '16', '--gdb', '0', '-S', '--quiet'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  for (let i = 0; i < 300 && !output.includes('\n'); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  const command = /waiting for gdb: (target remote 127\.0\.0\.1:\d+)/.exec(output)?.[1];
  expect(command).toBeDefined();
  const said = execFileSync('gdb', ['-nx', '-batch', '-ex', command!, '-ex', 'printf "at %lx\\n", (long)$pc', '-ex', 'monitor quit'], {
    encoding: 'latin1',
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(said).toContain('at fff0');
  expect(await ended).toBe(0);
}, 90_000);
