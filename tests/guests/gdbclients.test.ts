import { type ChildProcess, spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeAll, afterAll, describe, expect, test } from 'vitest';
import { DebugBench, highAddress } from './support/debugbench.ts';

/** Clients of the GDB stub that go, come back, die, come twice or are no gdb at all, on a real machine in each kind of code. */
const bench = new DebugBench();
const children = new Set<ChildProcess>();
const sockets = new Set<Socket>();

beforeAll(() => bench.assemble());
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await bench.end();
});
afterAll(() => bench.dispose());

/** A gdb with commands on its standard input. */
function interactive(): { child: ChildProcess; output(): string; type(line: string): void } {
  const child = spawn('gdb', ['-nx', '-q', '-ex', 'set confirm off', '-ex', 'set pagination off', '-ex', bench.listener!.command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk));
  return { child, output: () => output, type: (line) => void child.stdin!.write(`${line}\n`) };
}

describe('gdb', () => {
  test('disconnects from a guest that ran, which goes on without its breakpoints, and attaches again', async () => {
    const { vm } = await bench.machine('i386', { startPaused: false });
    await bench.guest!.until('the guest in its loop', () => vm.instructions() > 20_000_000, 30_000);
    const first = await bench.gdb([`break *${bench.at.again}`, 'continue', 'printf "at %x\\n", $eip', 'disconnect', 'info threads']);
    expect(first).toContain(`at ${bench.at.again!.toString(16)}`);
    expect(first).toContain('No threads');
    await bench.guest!.until('it goes on', () => vm.state === 'running', 10_000);
    const before = vm.instructions();
    await bench.guest!.until('no breakpoint stops it', () => vm.instructions() > before + 1_000_000, 10_000);
    const second = await bench.gdb([`break *${bench.at.double}`, 'continue', 'printf "again at %x\\n", $eip', 'detach']);
    expect(second).toContain(`again at ${bench.at.double!.toString(16)}`);
    await bench.guest!.until('it runs on', () => vm.state === 'running', 10_000);
  }, 90_000);

  test('disconnects from a guest that waited for it, which waits for the next one where it stands', async () => {
    const { vm } = await bench.machine('i8086');
    await bench.gdb([`break *${bench.at.count}`, 'continue', 'disconnect']);
    expect(vm.state).toBe('paused');
    const second = await bench.gdb(['printf "at %x\\n", $eip', 'stepi', 'printf "then %x\\n", $eip', 'detach']);
    expect(second).toContain(`at ${bench.at.count!.toString(16)}`);
    expect(second).toContain(`then ${(bench.at.count! + 4).toString(16)}`);
  }, 90_000);

  test('dies while the guest runs towards its breakpoint, or while it stands: the guest goes on', async () => {
    const { vm } = await bench.machine('i386', { startPaused: false });
    await bench.guest!.until('the guest in its loop', () => vm.instructions() > 20_000_000, 30_000);
    for (const lines of [
      ['break *0x7dff', 'continue'],
      [`break *${bench.at.again}`, 'continue', 'echo stands\\n'],
    ]) {
      const session = interactive();
      for (const line of lines) session.type(line);
      const shown = lines.length === 2 ? 'Continuing' : 'stands';
      await bench.guest!.until(`gdb says ${shown}`, () => session.output().includes(shown), 20_000);
      await bench.guest!.until('it is as gdb wants', () => vm.state === (lines.length === 2 ? 'running' : 'paused'), 10_000);
      session.child.kill('SIGKILL');
      await bench.guest!.until('it goes on', () => vm.state === 'running', 10_000);
      const before = vm.instructions();
      await bench.guest!.until('no breakpoint stops it', () => vm.instructions() > before + 1_000_000, 10_000);
    }
  }, 90_000);

  test('is told that another one is there, which does not notice', async () => {
    await bench.machine('i386');
    const session = interactive();
    session.type('echo ready\\n');
    await bench.guest!.until('the first gdb', () => session.output().includes('ready'), 20_000);
    expect(await bench.typed([])).toMatch(/Remote connection closed|reset by peer|Broken pipe/);
    session.type('stepi');
    session.type('printf "still %d\\n", 41 + 1');
    await bench.guest!.until('the first gdb goes on', () => session.output().includes('still 42'), 20_000);
  }, 90_000);

  test('sets breakpoints and reads where nothing is mapped, and is told so', async () => {
    const { vm } = await bench.machine('x86-64', { floppy: bench.image64 });
    const output = await bench.typed([
      `break *${highAddress(bench.at64.again!)}`,
      'continue',
      'hbreak *0xffff900000000000',
      'watch *(long*)0xffff900000001000',
      'x/1xg 0xffff900000000000',
      'set var *(long*)0xffff900000000000 = 1',
      'x/1xg 0x0123456789abcdef',
      'monitor x/1xg 0xffff900000000000',
      'monitor gva2gpa 0xffff900000000000',
      'monitor frobnicate',
      'monitor x/999999999xg 0',
      'monitor code zzz',
      'stepi',
      'printf "rip %lx\\n", (long)$rip',
      'continue',
      'printf "back %lx\\n", (long)$rip',
      'detach',
    ]);
    expect(output.match(/Cannot access memory at address 0xffff900000000000/g)?.length).toBe(2);
    expect(output).toContain('Cannot access memory at address 0x123456789abcdef');
    expect(output).toContain('unknown command frobnicate');
    expect(output).toContain(`rip ${highAddress(bench.at64.again! + 3).slice(2)}`);
    expect(output).toContain(`back ${highAddress(bench.at64.again!).slice(2)}`);
    await bench.guest!.until('it runs on', () => vm.state === 'running', 10_000);
  }, 90_000);
});

/** Something on the port that speaks the protocol, well or badly. */
class RawClient {
  received = '';
  closed = false;
  private readonly socket: Socket;

  constructor(command: string) {
    this.socket = connect(Number(/:(\d+)$/.exec(command)![1]), '127.0.0.1');
    sockets.add(this.socket);
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk) => (this.received += chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.closed = true));
  }

  raw(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** The data of the answer to a packet. */
  async ask(data: string): Promise<string> {
    this.received = '';
    let sum = 0;
    for (const character of data) sum = (sum + character.charCodeAt(0)) & 255;
    this.raw(`$${data}#${sum.toString(16).padStart(2, '0')}`);
    for (let i = 0; i < 1000; i++) {
      const answer = /\$([^#]*)#[0-9a-f]{2}/.exec(this.received);
      if (answer) return answer[1]!;
      if (this.closed) throw new Error(`the stub hung up at ${data.slice(0, 40)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no answer to ${data.slice(0, 40)}, only ${this.received.slice(0, 100)}`);
  }
}

describe('what is not gdb', () => {
  test.each([
    ['16-bit', 'i8086', () => bench.at.count!, false],
    ['32-bit', 'i386', () => bench.at.paged!, false],
    ['64-bit', 'x86-64', () => 0xffff_ffff_8000_0000n + BigInt(bench.at64.again!), true],
  ] as const)(
    'gets errors for wrong packets in %s code, and the guest runs on afterwards',
    async (_name, architecture, stop, wide) => {
      const { vm } = await bench.machine(architecture, wide ? { floppy: bench.image64 } : {});
      const client = new RawClient(bench.listener!.command);
      expect(await client.ask('?')).toMatch(/^T0/);
      expect(await client.ask(`Z1,${stop().toString(16)},1`)).toBe('OK');
      expect(await client.ask('c')).toMatch(/^T05/);
      const registers = await client.ask('g');
      client.received = '';
      client.raw('$g#00');
      await bench.guest!.until('the damaged packet is asked for again', () => client.received.includes('-'), 5_000);
      // More than any packet may hold, then an end.
      client.raw(`$m${'f'.repeat(1 << 20)}#00`);
      for (const packet of [
        'mffffffffffffffff,ffff',
        'm0,ffffffffffffffff',
        'm0',
        'm,',
        'mzz,4',
        'm10000000000000000,1',
        'Mffffffffffffffff,4:00000000',
        'M0,4:00',
        'M0,4:zzzzzzzz',
        'M0,ffffffff:00',
        'X0,ffffffff:',
        'Z0,',
        'Z9,0,1',
        'Z2,0,ffffffffffffffff',
        'Z2,0,0',
        'z2,123,4',
        'pffffffff',
        'Pffffffff=00',
        'P0=zz',
        'P0',
        'G00',
        `G${'0'.repeat(60_001)}`,
        'vCont;x',
        'Hgffffffffffffffffff',
        'qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff',
        'qXfer:features:write:target.xml:0:00',
        'qXfer:features:read:../../etc/passwd:0,100',
        'qSearch:memory:0;ffffffffffffffff;',
        'qCRC:0,ffffffffffffffff',
        'qRcmd,zz',
        `qRcmd,${Buffer.from('x/4294967295xb 0xffffffffffffffff').toString('hex')}`,
        'Qqemu.PhyMemMode:7',
      ])
        expect([packet.slice(0, 30), await client.ask(packet)]).toEqual([packet.slice(0, 30), expect.not.stringMatching(/^(T|W|X)/)]);
      // Nothing of all that came to the guest.
      await client.ask('z2,0,0');
      expect(await client.ask('g')).toBe(registers);
      client.received = '';
      client.raw('$qC#b4'.repeat(1000));
      await bench.guest!.until('a thousand answers', () => client.received.split('$QC1#').length === 1001, 20_000);
      expect(await client.ask('s')).toMatch(/^T05/);
      expect(vm.state).toBe('paused');
      // Not a word of goodbye.
      for (const socket of sockets) socket.destroy();
      await bench.guest!.until('the end of the session', () => !vm.debug.attached, 10_000);
      expect(await bench.gdb(['printf "%d\\n", 40 + 2', 'detach'])).toContain('42');
      await bench.guest!.until('it runs on', () => vm.state === 'running', 10_000);
      const before = vm.instructions();
      await bench.guest!.until('no breakpoint stops it', () => vm.instructions() > before + 100_000, 10_000);
    },
    120_000,
  );
});
