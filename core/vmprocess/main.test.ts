import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type VmConfig, vmConfigSchema } from '../contract/vm.ts';
import { BuiltinEngine } from '../engine/builtin/builtinengine.ts';
import type { VmProcessHandle } from '../engine/builtin/protocol.ts';
import type { RunningVm } from '../engine/engine.ts';
import { ChildProcessLauncher } from '../platform/childlauncher.ts';
import { convertImage } from '../platform/convertimage.ts';
import { findFirmware } from '../platform/firmware.ts';
import { runtimePaths } from './runtimepaths.ts';

/** The real VM process, started and driven as the manager does. */
const paths = runtimePaths(import.meta.url);
const soon = { timeout: 25_000, interval: 20 };
let folder: string;
let pids: number[];
let lastHandle: VmProcessHandle;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-vmp-'));
  pids = [];
});

afterEach(() => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already, as it should be.
    }
  rmSync(folder, { recursive: true, force: true });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A disk that prints "hi" on COM1 and halts with interrupts on. */
function image(): string {
  const file = path.join(folder, 'disk.img');
  const sector = Buffer.alloc(512);
  // mov dx,3f8; mov al,'h'; out dx,al; mov al,'i'; out dx,al; sti; hlt; jmp back
  Buffer.from('baf803b068eeb069eefbf4ebfd', 'hex').copy(sector);
  sector.set([0x55, 0xaa], 510);
  writeFileSync(file, sector);
  truncateSync(file, 1024 * 1024);
  return file;
}

async function start(changes: Partial<VmConfig> = {}, passphrase?: string): Promise<{ vm: RunningVm; states: string[] }> {
  const config = vmConfigSchema.parse({
    schema: 1,
    id: '00000000-0000-4000-8000-000000000001',
    name: 'guest',
    createdAt: '2026-01-01T00:00:00Z',
    cpu: {},
    memoryMiB: 16,
    boot: { order: ['disk'] },
    drives: [{ id: 'ide0', kind: 'disk', path: image(), format: 'raw', readOnly: false }],
    display: {},
    serial: [{ type: 'console' }, { type: 'none' }],
    ...changes,
  });
  const launcher = new ChildProcessLauncher(fileURLToPath(new URL('./main.ts', import.meta.url)));
  const engine = new BuiltinEngine({
    launcher: {
      launch: (name) => {
        lastHandle = launcher.launch(name);
        if (lastHandle.pid !== undefined) pids.push(lastHandle.pid);
        return lastHandle;
      },
    },
    firmwareFolder: () => findFirmware(paths.firmwareFolder).folder,
    cpuWasmPath: paths.cpuWasm,
    runtimeFolder: path.join(folder, 'run'),
  });
  const states: string[] = [];
  const vm = await engine.start(
    config,
    folder,
    (made) => made.onState((state, error) => states.push(error ? `${state}: ${error.message}` : state)),
    undefined,
    passphrase,
  );
  return { vm, states };
}

test('a machine on an encrypted disk wants its passphrase', { timeout: 90_000 }, async () => {
  const file = path.join(folder, 'secret.qcow2');
  const to = { path: file, format: 'qcow2' as const, passphrase: 'swordfish', luksIterations: 1000 };
  await convertImage({ from: { path: image(), format: 'raw' }, to });
  const drives: VmConfig['drives'] = [{ id: 'ide0', kind: 'disk', path: file, format: 'qcow2', readOnly: false }];
  await expect(start({ drives })).rejects.toMatchObject({ kind: 'unauthorized', context: { reason: 'passphrase-missing' } });
  await expect(start({ drives }, 'marlin')).rejects.toMatchObject({ kind: 'unauthorized', context: { reason: 'passphrase-wrong' } });
  const { vm } = await start({ drives }, 'swordfish');
  const serial = await vm.openChannel('serial0');
  let said = '';
  serial.onData((bytes) => {
    said += Buffer.from(bytes).toString('latin1');
  });
  await expect.poll(() => said, soon).toContain('hi');
  await vm.forceOff();
});

test('a machine runs, shows its screen, talks on its serial line and goes off without a trace', async () => {
  const { vm, states } = await start();
  const serial = await vm.openChannel('serial0');
  let said = '';
  serial.onData((bytes) => {
    said += Buffer.from(bytes).toString('latin1');
  });
  await expect.poll(() => said, soon).toContain('hi');
  expect((await vm.screenText())!.rows.join('\n')).toContain('SeaBIOS');
  expect(
    Buffer.from((await vm.screenshot(320)).png)
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
  await vm.pause();
  await vm.resume();
  await vm.forceOff();
  expect(states).toEqual(['running', 'paused', 'running', 'stopping', 'off']);
  // Its last picture is not made smaller.
  expect(PNG.sync.read(Buffer.from(vm.lastPicture!))).toMatchObject({ width: 720, height: 400 });
  expect(alive(pids[0]!)).toBe(false);
});

test('a machine whose manager is gone flushes its disk and ends by itself', async () => {
  const { states } = await start();
  expect(states).toEqual(['running']);
  // What the process sees when its manager is killed: the line is closed.
  (lastHandle as unknown as { child: { disconnect(): void } }).child.disconnect();
  await expect.poll(() => alive(pids[0]!), soon).toBe(false);
  expect(readFileSync(path.join(folder, 'disk.img')).length).toBe(1024 * 1024);
});

test('a machine killed by a signal says so, and its next run starts over its left socket', async () => {
  const { states } = await start();
  process.kill(pids[0]!, 'SIGKILL');
  await expect.poll(() => states.at(-1), soon).toBe('crashed: the process of guest was ended by SIGKILL');
  const { vm } = await start();
  await vm.forceOff();
});

test('a VNC port that is taken fails the start with its own error, and the process ends', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const display = (taken.address() as AddressInfo).port - 5900;
  try {
    const error = await start({ display: { model: 'vga', vramMiB: 16, listen: { type: 'tcp', host: '127.0.0.1', display } } }).then(
      () => undefined,
      (reason) => reason,
    );
    const address = `127.0.0.1:${display}`;
    expect(error).toMatchObject({ kind: 'in-use', message: expect.stringContaining(address), fix: expect.any(String) });
    // Windows in other languages say it by key, also across the processes.
    expect(error).toMatchObject({ said: { key: 'vncInUse', params: { address } }, saidFix: { key: 'fixVncInUse' } });
    expect(alive(pids[0]!)).toBe(false);
  } finally {
    taken.close();
  }
});

test('a VNC socket left by a killed machine is taken over; a file that is no socket is left alone', async () => {
  const socket = path.join(folder, 'vnc.sock');
  const display = { model: 'vga', vramMiB: 16, listen: { type: 'unix', path: socket } } as const;
  const { states } = await start({ display });
  process.kill(pids[0]!, 'SIGKILL');
  await expect.poll(() => states.at(-1), soon).toContain('SIGKILL');
  expect(existsSync(socket)).toBe(true);
  const { vm } = await start({ display });
  await vm.forceOff();
  expect(existsSync(socket)).toBe(false);
  writeFileSync(socket, 'a file of the user');
  await expect(start({ display })).rejects.toMatchObject({ kind: 'in-use' });
  expect(readFileSync(socket, 'utf8')).toBe('a file of the user');
});

test('a missing disk or kernel fails the start with its own error, and the process ends', async () => {
  for (const changes of [
    { drives: [{ id: 'ide0', kind: 'disk', path: '/none/disk.img', format: 'raw', readOnly: false }] as VmConfig['drives'] },
    { boot: { order: [], menu: false, kernel: { path: '/none/vmlinuz', initrd: null, cmdline: '' } } },
  ]) {
    const error = await start(changes).then(
      () => undefined,
      (reason) => reason,
    );
    expect(error).toMatchObject({ kind: 'not-found', message: expect.stringContaining('/none/') });
  }
  expect(pids.filter(alive)).toEqual([]);
  expect(existsSync(path.join(folder, 'run'))).toBe(true);
});

/** Sends one packet of the remote serial protocol and resolves with the answer's data. */
function askGdb(socket: Socket, data: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const answer = /\$([^#]*)#../.exec(text);
      if (!answer) return;
      socket.off('data', take);
      resolve(answer[1]!);
    };
    socket.on('data', take);
    socket.on('error', reject);
    const sum = [...data].reduce((total, character) => total + character.charCodeAt(0), 0) & 255;
    socket.write(`+$${data}#${sum.toString(16).padStart(2, '0')}`);
  });
}

test('a machine that is to wait for gdb stands before its first instruction, and goes on when gdb leaves', async () => {
  const { vm } = await start({
    debug: { gdb: { type: 'unix', path: 'gdb.sock' }, wait: true },
    cpu: { model: 'i686', count: 1, accel: 'jit' },
  });
  expect(vm.state).toBe('paused');
  const socket = connect(path.join(folder, 'gdb.sock'));
  expect(await askGdb(socket, '?')).toBe('T02thread:1;');
  expect(await askGdb(socket, 'p8')).toBe('f0ff0000');
  expect(await askGdb(socket, 's')).toBe('T05thread:1;');
  expect(await askGdb(socket, 'p8')).toBe('5be00000');
  await expect(vm.resume()).rejects.toThrow('a debugger holds');
  expect(await askGdb(socket, 'D')).toBe('OK');
  await expect.poll(() => vm.state, soon).toBe('running');
  socket.destroy();
  await vm.forceOff();
  expect(existsSync(path.join(folder, 'gdb.sock'))).toBe(false);
}, 60_000);

test('nothing listens for gdb until somebody asks; a profile tells where the time goes', async () => {
  const { vm } = await start();
  const first = await vm.openGdb({ type: 'tcp', port: 0 });
  const port = Number(/^target remote 127\.0\.0\.1:(\d+)$/.exec(first.command)?.[1]);
  const socket = connect(port, '127.0.0.1');
  expect(await askGdb(socket, 'qAttached')).toBe('1');
  expect(vm.state).toBe('paused');
  // Only one at a time.
  const second = connect(port, '127.0.0.1');
  await new Promise((resolve) => second.once('close', resolve));
  const ended = new Promise((resolve) => socket.once('close', resolve));
  await vm.closeGdb();
  await ended;
  await expect.poll(() => vm.state, soon).toBe('running');
  await new Promise<void>((resolve) => connect(port, '127.0.0.1').once('error', () => resolve()));
  await vm.profile({ top: 0, lines: 0 });
  await vm.reset();
  await expect
    .poll(async () => (await vm.profile({ top: 5, lines: 2 })).ports.some(({ address, writes }) => address === 0x3f8 && writes > 1), soon)
    .toBe(true);
  const { statistics, seconds } = await vm.profile({ top: 5, lines: 2 });
  expect(statistics.instructions).toBeGreaterThan(100_000);
  expect(statistics.hottest[0]!.code).toHaveLength(2);
  expect(seconds).toBeGreaterThan(0);
  await vm.forceOff();
}, 60_000);
