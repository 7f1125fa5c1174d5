import { EventEmitter } from 'node:events';
import type { WebContents } from 'electron';
import { expect, test } from 'vitest';
import { HypervueError } from '../../core/util/errors.ts';
import { IPC } from '../ipcnames.ts';
import { fileFilters, listen } from './ipc.ts';
import { APP_ORIGIN } from './windows.ts';

const OWN = `${APP_ORIGIN}/index.html#/machines`;
const FOREIGN = 'https://example.org/';

function world() {
  const handlers = new Map<string, (event: unknown, ...args: unknown[]) => Promise<unknown>>();
  const ipcMain = Object.assign(new EventEmitter(), {
    handle: (channel: string, handler: (event: unknown, ...args: unknown[]) => Promise<unknown>) => void handlers.set(channel, handler),
  });
  const state = {
    page: {} as object | undefined,
    chosen: { canceled: false, filePaths: ['/a.iso'] },
    dialogs: [] as unknown[][],
    delivered: [] as unknown[],
    ready: [] as unknown[],
    closed: 0,
    server: undefined as string | undefined,
    connected: [] as string[],
    asked: [] as unknown[],
    open: async (_vmId: string, _kind: string): Promise<unknown> => ({ close: () => state.closed++ }),
  };
  const sender = {} as WebContents;
  listen(
    {
      ipcMain,
      BrowserWindow: { fromWebContents: () => null },
      dialog: {
        showOpenDialog: async (...args: unknown[]) => {
          state.dialogs.push(args);
          return state.chosen;
        },
      },
    } as never,
    { openChannel: (vmId: string, kind: string) => state.open(vmId, kind) } as never,
    {
      deliver: (_contents: unknown, message: unknown) => state.delivered.push(message),
      current: () => state.page,
      server: () => state.server,
      connectHere: () => void state.connected.push('here'),
      connectThere: async (_contents: unknown, id: string) => void state.connected.push(id),
    } as never,
    { offer: () => 7, ready: (_contents: unknown, id: unknown) => state.ready.push(id) } as never,
    {
      state: { servers: [], lasting: true },
      probe: async (address: string) => void state.asked.push(address),
      add: async (...args: unknown[]) => void state.asked.push(args),
      remove: async (id: string) => void state.asked.push(id),
      openChannel: async (...args: unknown[]) => {
        state.asked.push(args);
        return { close: () => {} };
      },
    } as never,
  );
  const event = (url?: string) => ({ sender, senderFrame: url === undefined ? null : { url } });
  return {
    state,
    send: (url: string | undefined, channel: string, ...args: unknown[]) => ipcMain.emit(channel, event(url), ...args),
    invoke: (url: string | undefined, channel: string, ...args: unknown[]) => handlers.get(channel)!(event(url), ...args),
  };
}

test('only own pages are heard', async () => {
  const { state, send, invoke } = world();
  for (const url of [FOREIGN, 'about:blank', undefined]) {
    send(url, IPC.message, 'x');
    send(url, IPC.channelReady, 7);
    expect(await invoke(url, IPC.openChannel, 'rfb', 'id')).toEqual({ error: 'this page does not belong to Hypervue' });
    expect(await invoke(url, IPC.openDialog, [])).toBeNull();
  }
  expect([state.delivered, state.ready, state.dialogs]).toEqual([[], [], []]);
  send(OWN, IPC.message, 'x');
  send(OWN, IPC.channelReady, 7);
  send(OWN, IPC.channelReady, '7');
  expect([state.delivered, state.ready]).toEqual([['x'], [7]]);
});

test('channels are opened by kind and machine; a failure is told in its own words', async () => {
  const { state, invoke } = world();
  expect(await invoke(OWN, IPC.openChannel, 'rfb', 'id')).toBe(7);
  for (const [kind, vmId] of [
    ['toString', 'id'],
    ['rfb', 7],
    [undefined, undefined],
  ])
    expect(await invoke(OWN, IPC.openChannel, kind, vmId)).toEqual({ error: 'there is no such channel' });
  state.open = async () => {
    throw new HypervueError('invalid-state', 'Debian is off');
  };
  expect(await invoke(OWN, IPC.openChannel, 'rfb', 'id')).toEqual({ error: 'Debian is off' });
});

test('a channel for a page that went meanwhile is closed', async () => {
  const { state, invoke } = world();
  const { open } = state;
  state.open = async (...args) => {
    state.page = {};
    return open(...args);
  };
  expect(await invoke(OWN, IPC.openChannel, 'rfb', 'id')).toEqual({ error: 'the page is gone' });
  expect(state.closed).toBe(1);
});

test('the file dialog gives one path, or null when cancelled', async () => {
  const { state, invoke } = world();
  expect(await invoke(OWN, IPC.openDialog, [{ name: 'CD', extensions: ['iso'] }])).toBe('/a.iso');
  expect(state.dialogs).toEqual([[{ properties: ['openFile'], filters: [{ name: 'CD', extensions: ['iso'] }] }]]);
  state.chosen = { canceled: true, filePaths: [] };
  expect(await invoke(OWN, IPC.openDialog, 'nonsense')).toBeNull();
});

test('filters are taken as far as they are well-formed', () => {
  expect(fileFilters([{ name: 'All', extensions: ['*'] }])).toEqual([{ name: 'All', extensions: ['*'] }]);
  expect(fileFilters([{ name: 'x', extensions: ['iso', '../etc', 7, 'tar.gz', 'x'.repeat(17)] }])).toEqual([
    { name: 'x', extensions: ['iso', 'tar.gz'] },
  ]);
  expect(fileFilters([null, 7, { name: 7, extensions: [] }, { name: 'x' }, { name: 'x', extensions: ['/'] }])).toEqual([]);
  expect(fileFilters({ length: 3 })).toEqual([]);
  expect(fileFilters(Array(100).fill({ name: 'x', extensions: ['a'] }))).toHaveLength(16);
});

const SERVER = '11111111-2222-4333-8444-555555555555';
const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');

test('a page chooses between this computer and a remote server, whose channels it then gets', async () => {
  const { state, invoke } = world();
  expect(await invoke(OWN, IPC.connect, null)).toBeNull();
  expect(await invoke(OWN, IPC.connect, SERVER)).toBeNull();
  expect(state.connected).toEqual(['here', SERVER]);
  state.server = SERVER;
  const viewer = { key: 'window-1-abcdefgh', name: 'Ann', looking: false, recording: false };
  await invoke(OWN, IPC.openChannel, 'rfb', 'machine', viewer);
  // What is no word of a viewer is not handed on.
  await invoke(OWN, IPC.openChannel, 'rfb', 'machine', { key: 7 });
  expect(state.asked).toEqual([
    [SERVER, 'rfb', 'machine', viewer],
    [SERVER, 'rfb', 'machine', undefined],
  ]);
  for (const bad of [undefined, '', 'x', {}, 7, '../..'])
    expect(await invoke(OWN, IPC.connect, bad)).toMatchObject({ kind: expect.any(String) });
  expect(await invoke(FOREIGN, IPC.connect, null)).toMatchObject({ kind: 'permission-denied' });
  expect(state.connected).toHaveLength(2);
});

test('what a page says of servers is checked, and only our pages say it', async () => {
  const { state, invoke } = world();
  expect(await invoke(OWN, IPC.servers, 'state', null)).toEqual({ result: { servers: [], lasting: true } });
  const server = { url: 'https://a.example/', token: 't', fingerprint: FINGERPRINT, name: '' };
  await invoke(OWN, IPC.servers, 'add', server);
  await invoke(OWN, IPC.servers, 'remove', SERVER);
  expect(state.asked).toEqual([[server.url, 't', FINGERPRINT, ''], SERVER]);
  for (const [verb, params] of [
    ['add', null],
    ['add', { ...server, fingerprint: 'AB' }],
    ['add', { ...server, fingerprint: FINGERPRINT.toLowerCase() }],
    ['add', { ...server, token: 'x'.repeat(1000) }],
    ['add', { ...server, url: ['https://a.example'] }],
    ['probe', ''],
    ['probe', {}],
    ['remove', '../../x'],
  ] as const)
    expect(await invoke(OWN, IPC.servers, verb, params), JSON.stringify([verb, params])).toMatchObject({
      error: { kind: 'invalid-argument' },
    });
  expect(await invoke(OWN, IPC.servers, 'constructor', null)).toMatchObject({ error: { kind: 'unsupported' } });
  expect(await invoke(FOREIGN, IPC.servers, 'state', null)).toMatchObject({ error: { kind: 'permission-denied' } });
  expect(state.asked).toHaveLength(2);
});
