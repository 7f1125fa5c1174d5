import { symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exposureWarning, HeadlessServer } from './headlessserver.ts';
import { TestServer, TOKEN, within } from './testing/testserver.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.open();
});
afterAll(() => server.close());

describe('pages', () => {
  test('the page and its assets are served, the page never from a cache and assets for ever', async () => {
    const page = await server.get('/');
    expect(page).toMatchObject({ status: 200, body: '<!doctype html><title>page</title>' });
    expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-cache' });
    const asset = await server.get('/assets/index-Ab12Cd34.js?x=1');
    expect(asset).toMatchObject({ status: 200, body: 'export {};' });
    expect(asset.headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    expect(await server.get('/', { 'If-None-Match': page.headers.etag! })).toMatchObject({ status: 304, body: '' });
  });

  test('every answer carries a strict content security policy', async () => {
    for (const urlPath of ['/', '/none', '/healthz']) {
      const { headers } = await server.get(urlPath);
      const policy = String(headers['content-security-policy']);
      expect(policy.split('; ')).toEqual(
        expect.arrayContaining([
          "default-src 'self'",
          "script-src 'self'",
          "object-src 'none'",
          "base-uri 'none'",
          "frame-ancestors 'none'",
          `connect-src 'self' ws://127.0.0.1:${server.port} wss://127.0.0.1:${server.port}`,
        ]),
      );
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' });
    }
  });

  test('no path leads out of the folder', async () => {
    symlinkSync(path.join(server.root, 'secret.txt'), path.join(server.renderer, 'link.txt'));
    const paths = [
      '/../secret.txt',
      '/..%2fsecret.txt',
      '/%2e%2e/secret.txt',
      '/assets/../../secret.txt',
      '/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
      '/..\\secret.txt',
      '/..%5csecret.txt',
      '/%252e%252e/secret.txt',
      '//../secret.txt',
      `/${path.join(server.root, 'secret.txt')}`,
      '/link.txt',
      '/index.html%00.js',
      '/%ff',
      '/assets',
      '/assets/',
    ];
    for (const urlPath of paths) {
      const answer = await server.get(urlPath);
      expect({ urlPath, status: answer.status }).toEqual({ urlPath, status: 404 });
      expect(answer.body).not.toContain('secret');
    }
  });

  test('only GET and HEAD', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await server.get('/', {}, method);
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe('GET, HEAD');
    }
    expect(await server.get('/', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
  });

  test('a user interface that was not built is said to be so', async () => {
    const empty = new HeadlessServer({
      manager: server.manager,
      token: TOKEN,
      host: '127.0.0.1',
      port: 0,
      rendererFolder: path.join(server.root, 'none'),
      log: { debug() {}, info() {}, warn() {}, error() {}, guest() {}, child: () => undefined as never },
    });
    await empty.listen();
    try {
      const answer = await fetch(empty.url);
      expect(answer.status).toBe(503);
      expect(await answer.text()).toContain('npm start');
    } finally {
      await empty.close();
    }
  });
});

test('healthz needs no token and says nothing about the machines', async () => {
  expect(await server.get('/healthz')).toMatchObject({ status: 200, body: '{"status":"ok"}\n' });
  expect(await server.get('/healthz', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
});

test('a name that is not of this computer is refused, so that no site can rebind its DNS to here', async () => {
  for (const host of [
    `evil.example:${server.port}`,
    'evil.example',
    '127.0.0.1.evil.example',
    `user@127.0.0.1:${server.port}`,
    '192.168.1.7',
    '',
  ])
    expect({ host, status: (await server.get('/', { Host: host })).status }).toEqual({ host, status: 403 });
  for (const host of [`localhost:${server.port}`, `127.0.0.1:${server.port}`, '[::1]:80'])
    expect({ host, status: (await server.get('/', { Host: host })).status }).toEqual({ host, status: 200 });
});

test('garbage on the port ends that connection and nothing else', async () => {
  for (const bytes of [Buffer.from('\x16\x03\x01\x02\x00\x01\x00'), Buffer.alloc(70_000, 0x41), Buffer.from('GET / HTTP/9.9\r\n\r\n')]) {
    const socket = server.raw();
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.resume();
    socket.write(bytes);
    await within('the connection ends', closed);
  }
  expect((await server.get('/healthz')).status).toBe(200);
});

test('a port that is taken, and an address of another computer, are told apart', async () => {
  const listen = (host: string, port: number) =>
    new HeadlessServer({
      manager: server.manager,
      token: TOKEN,
      host,
      port,
      rendererFolder: server.renderer,
      log: { debug() {}, info() {}, warn() {}, error() {}, guest() {}, child: () => undefined as never },
    }).listen();
  await expect(listen('127.0.0.1', server.port)).rejects.toMatchObject({ kind: 'in-use', fix: 'Choose another with --port.' });
  // TEST-NET-1 of RFC 5737: nobody's.
  await expect(listen('192.0.2.1', 0)).rejects.toMatchObject({ kind: 'invalid-argument', fix: 'Choose another with --host.' });
});

test('only an address that others can reach is warned of', () => {
  for (const host of ['127.0.0.1', 'localhost', '::1']) expect(exposureWarning(host)).toBeUndefined();
  for (const host of ['0.0.0.0', '::', '192.168.1.7']) expect(exposureWarning(host)).toContain('not encrypted');
});

test('a file that vanishes under the server is a plain 404', async () => {
  const file = path.join(server.renderer, 'later.txt');
  writeFileSync(file, 'x');
  expect((await server.get('/later.txt')).status).toBe(200);
  const { rmSync } = await import('node:fs');
  rmSync(file);
  expect((await server.get('/later.txt')).status).toBe(404);
});
