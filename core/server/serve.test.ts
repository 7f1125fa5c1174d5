import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ContractClient } from '../contract/client.ts';
import { chosenLibraryFile } from '../platform/chosenlibrary.ts';
import { appFolders } from '../platform/folders.ts';
import { createLogger } from '../util/logger.ts';
import { type RunningServer, serve } from './serve.ts';
import { findServer } from './serverfile.ts';

/** The server that goes over to another library at its address. No machine runs here. */
const entry = new URL('../cli/main.ts', import.meta.url).href;
let root: string;
let running: RunningServer | undefined;
const logged: string[] = [];
const folders = () => appFolders({ HYPERVUE_HOME: path.join(root, 'home'), XDG_RUNTIME_DIR: path.join(root, 'xdg') });
const start = async () => {
  const log = createLogger((level, _scope, message) => logged.push(`${level}: ${message}`));
  running = await serve({ folders: folders(), host: '127.0.0.1', port: 0, log, entry, version: '0.0.0' });
  return running;
};

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'hv-serve-'));
  logged.length = 0;
});

afterEach(async () => {
  await running?.close();
  running = undefined;
  rmSync(root, { recursive: true, force: true });
});

async function sign({ url, token }: RunningServer): Promise<{ client: ContractClient; gone: Promise<unknown> }> {
  const socket = new WebSocket(new URL('contract', url.replace('http', 'ws')));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const ready = new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ type: 'auth', token }));
  await ready;
  const client = new ContractClient({
    send: (message) => socket.send(JSON.stringify(message)),
    onMessage: (listener) => socket.on('message', (data) => listener(JSON.parse(String(data)))),
    onClose: (listener) => socket.on('close', listener),
    close: () => socket.close(),
  });
  return { client, gone: new Promise((resolve) => socket.once('close', resolve)) };
}

async function again(server: RunningServer): Promise<ContractClient> {
  for (;;)
    try {
      return (await sign(server)).client;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

const machine = (name: string) => ({ name, memoryMiB: 16, source: { type: 'blank' as const }, newDisk: null });
const names = async (client: ContractClient) => (await client.call('vm.list', {})).map(({ name }) => name);

test('another library is shown at the same address and with the same token, after the next start too, and the first comes back whole', async () => {
  const server = await start();
  const { client, gone } = await sign(server);
  await client.call('vm.create', machine('old'));
  const there = path.join(root, 'elsewhere');
  await client.call('host.setLibrary', { path: there });
  await gone;
  let now = await again(server);
  expect((await now.call('host.info', {})).libraryFolder).toBe(there);
  expect(await names(now)).toEqual([]);
  await now.call('vm.create', machine('new'));
  expect(findServer(folders().runtime)).toMatchObject({ url: server.url, token: server.token });

  await server.close();
  const next = await start();
  now = await again(next);
  expect(await names(now)).toEqual(['new']);
  const back = await sign(next);
  await back.client.call('host.setLibrary', { path: path.join(root, 'home/machines') });
  await back.gone;
  now = await again(next);
  expect(await names(now)).toEqual(['old']);
});

test('a library that can’t be opened any more when its turn comes leaves the server with the one before', async () => {
  const server = await start();
  const { client, gone } = await sign(server);
  await client.call('vm.create', machine('old'));
  const there = path.join(root, 'elsewhere');
  const asked = client.call('host.setLibrary', { path: there });
  await asked;
  renameSync(there, path.join(root, 'away'));
  await gone;
  const now = await again(server);
  expect(await names(now)).toEqual(['old']);
  expect(logged.filter((line) => line.startsWith('error'))).toEqual([expect.stringMatching(/elsewhere could not be opened.*going back/)]);
  expect(folders().library).toBe(path.join(root, 'home/machines'));
});

test('a chosen library whose drive is away is not replaced by an empty one', async () => {
  const server = await start();
  const { client, gone } = await sign(server);
  const there = path.join(root, 'drive/vms');
  await client.call('host.setLibrary', { path: there });
  await gone;
  await again(server);
  await server.close();
  renameSync(path.join(root, 'drive'), path.join(root, 'unplugged'));
  running = undefined;
  await expect(start()).rejects.toMatchObject({ kind: 'not-found', fix: expect.stringContaining(chosenLibraryFile(folders().config)) });
  expect(existsSync(path.join(root, 'drive'))).toBe(false);
  expect(readdirSync(path.join(root, 'xdg', 'hypervue'))).not.toContain('server.json');
});
