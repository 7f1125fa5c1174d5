import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DebugBench, highAddress as high } from './support/debugbench.ts';

/** The GDB stub against the real gdb: batch scripts on a boot sector that goes from 16-bit to paged 32-bit code. */
const bench = new DebugBench();
beforeAll(() => bench.assemble());
afterEach(() => bench.end());
afterAll(() => bench.dispose());

describe('gdb', () => {
  test('attaches before the first instruction, and takes a boot sector apart in 16-bit code', async () => {
    await bench.machine('i8086');
    const output = await bench.gdb([
      'printf "reset %x:%x\\n", $cs, $eip',
      `break *${bench.at.count}`,
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
      `break *${bench.at.named}`,
      'continue',
      'printf "named %x:%x base %x\\n", $cs, $eip, $cs_base',
      'stepi',
      'stepi',
      'printf "unnamed %x:%x\\n", $cs, $eip',
    ]);
    expect(output).toContain('reset f000:fff0');
    expect(output).toContain('cx 5 bx 0 mem 0');
    expect(output).toMatch(/incw\s+0x600[\s\S]*add\s+\$0x3,%bx[\s\S]*loop/);
    expect(output).toContain(`after ${(bench.at.count! + 4).toString(16)} mem 1`);
    expect(output).toContain('cx 3 bx 6 mem 2');
    expect(output).toContain(`named 700:${(bench.at.named! - 0x7000).toString(16)} base 7000`);
    expect(output).toContain(`unnamed 0:${bench.at.unnamed!.toString(16)}`);
  }, 90_000);

  test('breaks, watches, steps, changes registers and memory in paged 32-bit code', async () => {
    const { vm } = await bench.machine();
    const output = await bench.gdb([
      `hbreak *${bench.at.paged}`,
      'continue',
      'print $cr0',
      'delete',
      'watch *(int*)0x40004',
      'continue',
      `printf "at %x is %d\\n", $eip, *(int*)0x40004`,
      'continue',
      `printf "at %x is %d\\n", $eip, *(int*)0x40004`,
      'delete',
      `break *${bench.at.double}`,
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
    expect(output).toContain(`at ${(bench.at.again! + 6).toString(16)} is 1\n`);
    expect(output).toContain(`at ${(bench.at.again! + 6).toString(16)} is 2\n`);
    expect(output).toContain('esi 2 edi 2\n');
    expect(output).toContain('esi 2 edi 4\n');
    expect(output).toContain(`back at ${(bench.at.double! - 2).toString(16)}`);
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
    await bench.machine('x86-64');
    const output = await bench.gdb([
      `break *${bench.at.protected}`,
      'continue',
      'printf "rip %lx\\n", $rip',
      'print $cr0',
      'print $r15',
      'kill',
    ]);
    expect(output).toContain(`rip ${bench.at.protected!.toString(16)}`);
    expect(output).toContain('[ PE ET ]');
    expect(output).toContain('= 0');
    await bench.guest!.until('the machine off', () => bench.guest!.vm.state === 'off', 10_000);
  }, 90_000);

  test('breaks, watches and steps in long mode, in the upper half of the address space', async () => {
    const { vm } = await bench.machine('x86-64', { floppy: bench.image64 });
    const output = await bench.gdb([
      `break *${high(bench.at64.again!)}`,
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
      `hbreak *${high(bench.at64.double!)}`,
      'continue',
      'stepi',
      'printf "r13 %ld r14 %ld\\n", $r13, $r14',
      'delete',
      'set $r15 = 0x123456789abcdef0',
      `set var *(long*)${high(0x20000)} = 5000000000`,
      'stepi',
      'print/x $r15',
      `monitor gva2gpa ${high(0x20000)}`,
      `monitor x/1i ${high(bench.at64.again!)}`,
      'monitor info registers',
      'detach',
    ]);
    const hex = (address: number) => high(address).slice(2);
    expect(output).toContain(`rip ${hex(bench.at64.again!)} r12 1122334455667788 rsp ${hex(0x9000)}`);
    expect(output).toMatch(/\[ PE ET PG \]/);
    expect(output).toMatch(/\[ LME LMA \]/);
    expect(output).toMatch(/incq\s+\(%rbx\)/);
    expect(output).toContain(`at ${hex(bench.at64.again! + 3)} is 1\n`);
    expect(output).toContain(`at ${hex(bench.at64.again! + 3)} is 2\n`);
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
    await bench.machine('i386', { startPaused: false, socket: true });
    await bench.guest!.until('the guest in its loop', () => bench.guest!.vm.instructions() > 20_000_000, 30_000);
    const child = spawn('gdb', ['-nx', '-q', '-ex', bench.listener!.command, '-ex', 'set confirm off', '-ex', 'continue'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    await bench.guest!.until('gdb waits', () => output.includes('Continuing'), 20_000);
    await bench.guest!.until('it runs', () => bench.guest!.vm.state === 'running', 10_000);
    child.kill('SIGINT');
    await bench.guest!.until('the interrupt', () => output.includes('SIGINT'), 10_000);
    expect(bench.guest!.vm.state).toBe('paused');
    child.stdin.write('printf "eip in %d\\n", $eip >= 0x7c00 && $eip < 0x7e00\nquit\n');
    await new Promise((resolve) => child.on('exit', resolve));
    expect(output).toContain('eip in 1');
    await bench.guest!.until('it goes on', () => bench.guest!.vm.state === 'running', 10_000);
  }, 90_000);

  test('does not let somebody else resume the machine that it holds', async () => {
    const { vm } = await bench.machine('i386', { startPaused: false });
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
  const child = spawn(process.execPath, [bin, 'run', '--floppy', bench.image, '--readonly', '-m', '16', '--gdb', '0', '-S', '--quiet'], {
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
