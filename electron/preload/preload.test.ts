import { beforeEach, expect, test, vi } from 'vitest';
import type { DesktopBridge } from '../../core/contract/desktopbridge.ts';
import { IPC } from '../ipcnames.ts';

/** Electron's parts of a sandboxed preload script. */
const fake = vi.hoisted(() => {
  const listeners = new Map<string, Set<(event: unknown, ...args: unknown[]) => void>>();
  return {
    listeners,
    exposed: new Map<string, unknown>(),
    sent: [] as unknown[][],
    answer: undefined as unknown,
    emit(channel: string, event: unknown, ...args: unknown[]) {
      for (const listener of [...(listeners.get(channel) ?? [])]) listener(event, ...args);
    },
  };
});

vi.mock('electron', () => ({
  contextBridge: { exposeInMainWorld: (name: string, api: unknown) => fake.exposed.set(name, api) },
  ipcRenderer: {
    send: (...message: unknown[]) => fake.sent.push(message),
    invoke: async (...message: unknown[]) => {
      fake.sent.push(message);
      return fake.answer;
    },
    on: (channel: string, listener: () => void) => {
      if (!fake.listeners.has(channel)) fake.listeners.set(channel, new Set());
      fake.listeners.get(channel)!.add(listener);
    },
    off: (channel: string, listener: () => void) => fake.listeners.get(channel)?.delete(listener),
  },
}));

class FakePort {
  readonly posted: unknown[] = [];
  closed = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  postMessage(message: unknown): void {
    this.posted.push(message);
  }
  close(): void {
    this.closed = true;
  }
}

await import('./index.ts');
const bridge = fake.exposed.get('hypervue') as DesktopBridge;

beforeEach(() => {
  fake.sent.length = 0;
  fake.listeners.clear();
});

async function openedChannel() {
  fake.answer = 3;
  const viewer = { key: 'a-key-of-this-window', name: 'a window', looking: false, recording: false };
  const opening = bridge.openChannel('rfb', 'vm', viewer);
  await vi.waitFor(() =>
    expect(fake.sent).toEqual([
      [IPC.openChannel, 'rfb', 'vm', viewer],
      [IPC.channelReady, 3],
    ]),
  );
  const port = new FakePort();
  fake.emit(IPC.channelPort, { ports: [new FakePort()] }, 99);
  fake.emit(IPC.channelPort, { ports: [port] }, 3);
  return { channel: await opening, port };
}

test('the page gets the bridge and nothing of Electron', () => {
  expect([...fake.exposed.keys()]).toEqual(['hypervue']);
  expect(Object.keys(bridge).sort()).toEqual([
    'connect',
    'onClose',
    'onMessage',
    'openChannel',
    'pathForFile',
    'platform',
    'send',
    'servers',
    'showOpenDialog',
  ]);
});

test('messages pass without the event, which would lead to ipcRenderer', () => {
  const heard: unknown[][] = [];
  bridge.onMessage((...args) => heard.push(args));
  fake.emit(IPC.message, { sender: 'ipcRenderer' }, { type: 'event' });
  expect(heard).toEqual([[{ type: 'event' }]]);
  const closed = vi.fn();
  bridge.onClose(closed);
  fake.emit(IPC.closed, { sender: 'ipcRenderer' });
  expect(closed.mock.calls).toEqual([[]]);
});

test('a channel takes its own port, and every piece that was taken is acknowledged', async () => {
  const { channel, port } = await openedChannel();
  const heard: Uint8Array[] = [];
  channel.onMessage((bytes) => {
    // Not before the page has it.
    expect(port.posted).toEqual([]);
    heard.push(bytes);
  });
  port.onmessage!({ data: new Uint8Array(5) });
  expect(heard).toEqual([new Uint8Array(5)]);
  expect(port.posted).toEqual([5]);
  channel.postMessage(new Uint8Array([1]));
  expect(port.posted[1]).toEqual(new Uint8Array([1]));
  expect(fake.listeners.get(IPC.channelPort)!.size).toBe(0);
});

test('goodbye passes both ways', async () => {
  const ending = await openedChannel();
  const closed = vi.fn();
  ending.channel.onMessage(() => {});
  ending.channel.onClose(closed);
  ending.port.onmessage!({ data: null });
  expect(closed).toHaveBeenCalledTimes(1);
  expect(ending.port.closed).toBe(true);
  fake.sent.length = 0;
  const leaving = await openedChannel();
  leaving.channel.close();
  expect(leaving.port.posted).toEqual([null]);
  expect(leaving.port.closed).toBe(true);
});

test('a channel that can’t be opened says why', async () => {
  fake.answer = { error: 'Debian is off' };
  await expect(bridge.openChannel('rfb', 'vm')).rejects.toThrow(/^Debian is off$/);
});
