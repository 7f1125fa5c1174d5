import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type VmConfig, vmConfigSchema } from '../contract/vm.ts';
import { BuiltinEngine } from '../engine/builtin/builtinengine.ts';
import type { VmProcessHandle } from '../engine/builtin/protocol.ts';
import type { RunningVm } from '../engine/engine.ts';
import { ChildProcessLauncher } from '../platform/childlauncher.ts';
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

async function start(changes: Partial<VmConfig> = {}): Promise<{ vm: RunningVm; states: string[] }> {
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
  const vm = await engine.start(config, folder, (made) =>
    made.onState((state, error) => states.push(error ? `${state}: ${error.message}` : state)),
  );
  return { vm, states };
}

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
    const error = await start({ display: { vramMiB: 16, listen: { type: 'tcp', host: '127.0.0.1', display } } }).then(
      () => undefined,
      (reason) => reason,
    );
    expect(error).toMatchObject({ kind: 'in-use', message: expect.stringContaining(`127.0.0.1:${display}`), fix: expect.any(String) });
    expect(alive(pids[0]!)).toBe(false);
  } finally {
    taken.close();
  }
});

test('a VNC socket left by a killed machine is taken over; a file that is no socket is left alone', async () => {
  const socket = path.join(folder, 'vnc.sock');
  const display = { vramMiB: 16, listen: { type: 'unix', path: socket } } as const;
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
