import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nullLogger } from '../util/logger.ts';
import { HeadlessServer } from './headlessserver.ts';
import { TestServer, TOKEN, within } from './testing/testserver.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.open();
});
afterAll(() => server.close());

function another(host: string, port: number, rendererFolder: string): HeadlessServer {
  return new HeadlessServer({ manager: server.manager, token: TOKEN, host, port, rendererFolder, log: nullLogger });
}

test('refusals and errors carry the security headers too', async () => {
  for (const urlPath of ['/', '/none', '/healthz']) {
    const { headers } = await server.get(urlPath);
    expect(String(headers['content-security-policy']).split('; ')).toEqual(
      expect.arrayContaining([
        "default-src 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        `connect-src 'self' ws://127.0.0.1:${server.port} wss://127.0.0.1:${server.port}`,
      ]),
    );
  }
  const refused = await server.get('/', { Host: 'evil.example' });
  expect(refused.status).toBe(403);
  // What the other side calls itself must not get into the policy.
  expect(String(refused.headers['content-security-policy'])).not.toContain('evil');
});

test('no disguise of a path leads out of the folder', async () => {
  symlinkSync(path.join(server.root, 'secret.txt'), path.join(server.renderer, 'link.txt'));
  for (const urlPath of [
    '/assets/%2e%2e%2f%2e%2e%2fsecret.txt',
    '/..%5csecret.txt',
    '/%252e%252e/secret.txt',
    '//../secret.txt',
    `/${path.join(server.root, 'secret.txt')}`,
    '/link.txt',
    '/index.html%00.js',
    '/%ff',
    '/assets/',
  ]) {
    const answer = await server.get(urlPath);
    expect({ urlPath, status: answer.status }).toEqual({ urlPath, status: 404 });
    expect(answer.body).not.toContain('secret');
  }
});

test('a user interface that was not built is said to be so', async () => {
  const empty = another('127.0.0.1', 0, path.join(server.root, 'none'));
  await empty.listen();
  try {
    const answer = await fetch(empty.url);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain('npm start');
  } finally {
    await empty.close();
  }
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

test('an address that is not of this computer is told from a taken port', async () => {
  // TEST-NET-1 of RFC 5737: nobody's.
  await expect(another('192.0.2.1', 0, server.renderer).listen()).rejects.toMatchObject({
    kind: 'invalid-argument',
    fix: 'Choose another with --host.',
  });
});

test('a file that vanishes under the server is a plain 404', async () => {
  const file = path.join(server.renderer, 'later.txt');
  writeFileSync(file, 'x');
  expect((await server.get('/later.txt')).status).toBe(200);
  rmSync(file);
  expect((await server.get('/later.txt')).status).toBe(404);
});
