import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { ContractClient } from '../contract/client.ts';
import { ContractClient as Client } from '../contract/client.ts';
import { appFolders } from '../platform/folders.ts';
import { nullLogger } from '../util/logger.ts';
import { AttemptLimiter, tokenMatches } from './access.ts';
import { exposureWarning, HeadlessServer } from './headlessserver.ts';
import { openManager } from './openmanager.ts';
import type { Manager } from '../manager/manager.ts';

/** A real server on a free port, over the real manager; its machines are the fake VM process. */
const TOKEN = 'a-token-of-sufficient-length-for-tests-0123';
const entry = new URL('../cli/main.ts', import.meta.url).href;
let home: string;
let manager: Manager;
let server: HeadlessServer;
let base: string;
let host: string;

beforeAll(async () => {
  process.env.HYPERVUE_FAKE_VM = '1';
  home = mkdtempSync(path.join(tmpdir(), 'hypervue-server-'));
  const renderer = path.join(home, 'renderer');
  mkdirSync(path.join(renderer, 'assets'), { recursive: true });
  writeFileSync(path.join(renderer, 'index.html'), '<!doctype html><title>page</title>');
  writeFileSync(path.join(renderer, 'assets', 'app-12345678.js'), 'export {};');
  writeFileSync(path.join(home, 'secret.txt'), 'secret');
  symlinkSync(path.join(home, 'secret.txt'), path.join(renderer, 'link.txt'));
  const folders = appFolders({ HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg') });
  manager = await openManager({ folders, entry, version: 'test', mode: 'headless', log: nullLogger });
  server = new HeadlessServer({ manager, token: TOKEN, host: '127.0.0.1', port: 0, rendererFolder: renderer, log: nullLogger });
  await server.listen();
  base = server.url;
  host = new URL(base).host;
});

afterAll(async () => {
  await manager?.close();
  await server?.close();
  delete process.env.HYPERVUE_FAKE_VM;
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

/** A request whose path is sent as it is: `fetch` would tidy `..` away. */
function get(
  rawPath: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port: new URL(base).port, path: rawPath, method, headers: { host, ...headers } },
      (response) => {
        let body = '';
        response.on('data', (chunk) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      },
    );
    request.on('error', reject);
    request.end();
  });
}

/** What a socket's server end said: the close code and reason, or the HTTP status it was refused with. */
function socketFate(
  where: string,
  options: { protocols?: string[]; headers?: Record<string, string>; first?: string | Buffer } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${host}${where}`, options.protocols ?? [], { headers: options.headers ?? {} });
    socket.on('unexpected-response', (_request, response) => resolve(`http ${response.statusCode}`));
    socket.on('open', () => options.first !== undefined && socket.send(options.first));
    socket.on('message', (data) => {
      resolve(`message ${data}`);
      socket.close();
    });
    socket.on('close', (code, reason) => resolve(`close ${code} ${reason}`));
    socket.on('error', () => {});
  });
}

async function client(): Promise<ContractClient & { socket: WebSocket }> {
  const socket = new WebSocket(`ws://${host}/contract`);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => socket.send(JSON.stringify({ type: 'auth', token: TOKEN })));
    socket.once('message', () => resolve());
    socket.once('close', (code) => reject(new Error(`closed with ${code}`)));
  });
  return Object.assign(
    new Client({
      send: (message) => socket.send(JSON.stringify(message)),
      onMessage: (listener) => socket.on('message', (data) => listener(JSON.parse(String(data)))),
      onClose: (listener) => socket.on('close', listener),
      close: () => socket.close(),
    }),
    { socket },
  );
}

const channelToken = (token = TOKEN) => ['hypervue.channel', `token.${Buffer.from(token).toString('base64url')}`];

test('the page comes with a policy that lets nothing foreign in', async () => {
  const { status, headers, body } = await get('/');
  expect([status, body]).toEqual([200, '<!doctype html><title>page</title>']);
  const policy = String(headers['content-security-policy']);
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toMatch(/unsafe-eval|script-src[^;]*unsafe-inline|\*/);
  // The worker that recognises text compiles WebAssembly; no page does.
  expect(String((await get('/ocr/worker.min.js')).headers['content-security-policy'])).toContain("'wasm-unsafe-eval'");
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(headers['referrer-policy']).toBe('no-referrer');
  expect(headers['cache-control']).toBe('no-cache');
  expect((await get('/assets/app-12345678.js')).headers['cache-control']).toContain('immutable');
});

test('an unchanged file is not sent again, HEAD has no body, other methods are refused', async () => {
  const first = await get('/');
  expect((await get('/', { 'if-none-match': String(first.headers.etag) })).status).toBe(304);
  expect(await get('/', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
  expect((await get('/', {}, 'POST')).status).toBe(405);
  expect(await get('/healthz')).toMatchObject({ status: 200, body: '{"status":"ok"}\n' });
});

test.each([
  '/../secret.txt',
  '/%2e%2e/secret.txt',
  '/assets/../../secret.txt',
  '/..%2fsecret.txt',
  '/link.txt',
  '/%00',
  '/%zz',
  '/assets',
  '/..\\secret.txt',
])('no path leads out of the folder: %s', async (where) => {
  const { status, body } = await get(where);
  expect(status).toBe(404);
  expect(body).not.toContain('secret');
});

test('a name that is not loopback is refused, so that no web site reaches it through DNS', async () => {
  for (const name of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'user@127.0.0.1'])
    expect((await get('/', { host: name })).status, name).toBe(403);
  expect((await get('/', { host: `localhost:${new URL(base).port}` })).status).toBe(200);
  expect(await socketFate('/contract', { headers: { host: 'evil.example' } })).toBe('http 403');
});

test("another site's page gets no socket, our own does", async () => {
  expect(await socketFate('/contract', { headers: { origin: 'https://evil.example' } })).toBe('http 403');
  expect(await socketFate('/contract', { headers: { origin: 'null' } })).toBe('http 403');
  const auth = JSON.stringify({ type: 'auth', token: TOKEN });
  expect(await socketFate('/contract', { headers: { origin: `http://${host}` }, first: auth })).toBe('message {"type":"ready"}');
});

test('channels need the token too, and say why there is none', async () => {
  const id = '11111111-1111-4111-8111-111111111111';
  expect(await socketFate(`/channel/rfb/${id}`)).toMatch(/^close 4401/);
  expect(await socketFate(`/channel/rfb/${id}`, { protocols: channelToken() })).toMatch(/^close 4500 there is no such machine/);
  expect(await socketFate('/channel/disk/x', { protocols: channelToken() })).toBe('http 404');
  expect(await socketFate('/elsewhere')).toBe('http 404');
});

test('garbage on a signed-in contract changes nothing for anybody', async () => {
  const other = await client();
  const one = await client();
  for (const garbage of [
    '',
    '{',
    'null',
    '[]',
    '42',
    '{"type":"call"}',
    '{"type":"call","id":1001,"method":"__proto__","params":{}}',
    '{"type":"call","id":1002,"method":"vm.get","params":{"id":{}}}',
  ])
    one.socket.send(garbage);
  one.socket.send(Buffer.from([1, 2, 3]));
  expect(await one.call('vm.list', {})).toEqual([]);
  // A message beyond any legitimate one ends that socket, and only that one.
  const closed = new Promise<number>((resolve) => one.socket.once('close', resolve));
  one.socket.send('x'.repeat(2 * 1024 * 1024));
  expect(await closed).toBe(1009);
  expect(await other.call('vm.list', {})).toEqual([]);
  other.socket.close();
});

test('a machine runs through the server; its bytes come over a channel with back pressure', async () => {
  const one = await client();
  const vm = await one
    .call('vm.create', {
      name: 'Flooding',
      memoryMiB: 8,
      source: { type: 'kernel', path: import.meta.filename, initrd: null, cmdline: 'fake.flood' },
      newDisk: null,
    })
    .catch(async () => {
      // The fake needs no bootable kernel, the preflight does: an empty machine with the switch in its configuration.
      const blank = await one.call('vm.create', { name: 'Flooding', memoryMiB: 8, source: { type: 'blank' }, newDisk: null });
      return one.call('vm.update', {
        id: blank.id,
        patch: { boot: { order: [], menu: false, kernel: { path: process.execPath, initrd: null, cmdline: 'fake.flood' } } },
      });
    });
  expect(await socketFate(`/channel/serial0/${vm.id}`, { protocols: channelToken() })).toMatch(/^close 4500/);
  const started = await one.call('vm.start', { id: vm.id });
  expect(started.state).toBe('running');
  const socket = new WebSocket(`ws://${host}/channel/serial0/${vm.id}`, channelToken());
  expect(await new Promise((resolve) => socket.once('open', () => resolve(socket.protocol)))).toBe('hypervue.channel');
  await new Promise((resolve) => socket.once('message', resolve));
  // The client stops reading while the guest floods: nothing may pile up here.
  socket.pause();
  const before = process.memoryUsage().rss;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  socket.terminate();
  expect(await one.call('vm.forceOff', { id: vm.id })).toMatchObject({ id: vm.id });
  one.socket.close();
});

test('half a request and a silent socket do not stop the server', async () => {
  const half = connect(Number(new URL(base).port), '127.0.0.1', () => half.write('GET / HTTP/1.1\r\nHo'));
  half.on('error', () => {});
  const silent = new WebSocket(`ws://${host}/contract`);
  await new Promise((resolve) => silent.once('open', resolve));
  expect((await get('/healthz')).status).toBe(200);
  half.destroy();
  silent.terminate();
});

// Last: it blocks this address for a minute.
test('wrong tokens are told so, and too many of them have to wait', async () => {
  for (const first of ['{"type":"auth","token":"wrong"}', '{"type":"auth"}', '{}', 'garbage', '{"type":"auth","token":["x"]}'])
    expect(await socketFate('/contract', { first })).toMatch(/^close 4401/);
  for (let i = 0; i < 10; i++) await socketFate('/contract', { first: '{"type":"auth","token":"guess"}' });
  expect(await socketFate('/contract')).toBe('http 429');
  expect(await socketFate('/channel/rfb/x', { protocols: channelToken('guess') })).toBe('http 429');
});

test('a failed attempt is forgotten after its minute', () => {
  let now = 0;
  const limiter = new AttemptLimiter(() => now, 3, 1000);
  for (let i = 0; i < 3; i++) limiter.failed('a');
  expect([limiter.blocked('a'), limiter.blocked('b')]).toEqual([true, false]);
  now = 1000;
  expect(limiter.blocked('a')).toBe(false);
});

test('tokens are compared whole', () => {
  expect(tokenMatches(TOKEN, TOKEN)).toBe(true);
  for (const guess of [TOKEN.slice(1), `${TOKEN}x`, '', undefined, 7, {}, [TOKEN]]) expect(tokenMatches(guess, TOKEN)).toBe(false);
});

test('an address that other computers reach is warned of', () => {
  for (const own of ['127.0.0.1', 'localhost', '::1']) expect(exposureWarning(own)).toBeUndefined();
  expect(exposureWarning('0.0.0.0')).toMatch(/not encrypted/);
});

test('a taken port is an error that names it', async () => {
  const second = new HeadlessServer({
    manager,
    token: TOKEN,
    host: '127.0.0.1',
    port: Number(new URL(base).port),
    rendererFolder: home,
    log: nullLogger,
  });
  await expect(second.listen()).rejects.toMatchObject({ kind: 'in-use', message: expect.stringContaining(new URL(base).port) });
  expect(statSync(home).isDirectory()).toBe(true);
});
