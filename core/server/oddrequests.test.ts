import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TestServer, TOKEN, within } from './testing/testserver.ts';

/** Requests that no browser makes, byte by byte: odd upgrades, huge headers, slow ones, and WebSocket frames out of order (RFC 6455, RFC 9112). */
let server: TestServer;
beforeEach(async () => {
  server = await TestServer.open();
});
afterEach(() => server.close());

/** Everything the server says to `bytes` until it hangs up, or has been silent for half a second. */
function said(bytes: string | Buffer): Promise<{ text: string; open: boolean; socket: Socket }> {
  const socket = server.raw();
  socket.setEncoding('latin1');
  let text = '';
  return within(
    'the server answers',
    new Promise((resolve) => {
      let silence: NodeJS.Timeout;
      const done = (open: boolean): void => {
        clearTimeout(silence);
        resolve({ text, open, socket });
      };
      const wait = (): void => {
        clearTimeout(silence);
        silence = setTimeout(() => done(true), 500);
      };
      socket.on('data', (chunk) => {
        text += chunk;
        wait();
      });
      socket.on('close', () => done(false));
      socket.write(bytes, wait);
    }),
  );
}

const upgrade = (more: { path?: string; lines?: string[]; without?: string } = {}): string =>
  [
    `GET ${more.path ?? '/contract'} HTTP/1.1`,
    ...[
      `Host: 127.0.0.1:${server.port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ].filter((line) => !more.without || !line.startsWith(`${more.without}:`)),
    ...(more.lines ?? []),
    '',
    '',
  ].join('\r\n');

/** A masked frame of a client. */
function frame(first: number, payload: string | Buffer): Buffer {
  const data = Buffer.from(payload);
  const mask = randomBytes(4);
  const head = data.length < 126 ? [first, 0x80 | data.length] : [first, 0xfe, data.length >> 8, data.length & 255];
  return Buffer.concat([Buffer.from(head), mask, data.map((byte, i) => byte ^ mask[i & 3]!)]);
}

const TEXT = 0x81;
const AUTH = JSON.stringify({ type: 'auth', token: TOKEN });

test('an upgrade that is none opens no socket', async () => {
  expect((await said(upgrade())).text).toMatch(/^HTTP\/1\.1 101 /);
  const odd: [what: string, request: string, status: RegExp][] = [
    ['an old version', upgrade({ without: 'Sec-WebSocket-Version', lines: ['Sec-WebSocket-Version: 12'] }), /^HTTP\/1\.1 4/],
    ['no key', upgrade({ without: 'Sec-WebSocket-Key' }), /^HTTP\/1\.1 4/],
    ['a short key', upgrade({ without: 'Sec-WebSocket-Key', lines: ['Sec-WebSocket-Key: YQ=='] }), /^HTTP\/1\.1 4/],
    ['another protocol', upgrade({ without: 'Upgrade', lines: ['Upgrade: h2c'] }), /^HTTP\/1\.1 4/],
    ['POST', upgrade().replace('GET', 'POST'), /^HTTP\/1\.1 4/],
    ['no host', upgrade({ without: 'Host' }), /^HTTP\/1\.1 4/],
    ['a foreign host', upgrade({ without: 'Host', lines: ['Host: example.org'] }), /^HTTP\/1\.1 403/],
    ['a foreign origin', upgrade({ lines: ['Origin: http://example.org'] }), /^HTTP\/1\.1 403/],
    ['no origin at all but null', upgrade({ lines: ['Origin: null'] }), /^HTTP\/1\.1 403/],
    ['the origin of another port', upgrade({ lines: ['Origin: http://127.0.0.1:1'] }), /^HTTP\/1\.1 403/],
    ['an unknown path', upgrade({ path: '/contract/../channel' }), /^HTTP\/1\.1 404/],
    ['an unknown channel', upgrade({ path: '/channel/monitor/x' }), /^HTTP\/1\.1 404/],
    ['a path out of the channels', upgrade({ path: '/channel/rfb/..%2f..%2fcontract' }), /^HTTP\/1\.1 404/],
    ['a folded header', upgrade({ lines: ['X: a', ' b: c'] }), /^HTTP\/1\.1 400/],
    ['a length and chunks', upgrade({ lines: ['Content-Length: 5', 'Transfer-Encoding: chunked'] }), /^HTTP\/1\.1 4/],
  ];
  for (const [what, request, status] of odd) {
    const { text, socket } = await said(request);
    socket.destroy();
    expect({ what, text: text.slice(0, 40) }).toEqual({ what, text: expect.stringMatching(status) });
    expect(text).not.toContain(TOKEN);
  }
  expect((await server.get('/healthz')).status).toBe(200);
});

test('headers beyond 16 KiB, and beyond what anybody counts, are refused', async () => {
  const host = `Host: 127.0.0.1:${server.port}`;
  const huge = await said(`GET / HTTP/1.1\r\n${host}\r\nX: ${'a'.repeat(17 * 1024)}\r\n\r\n`);
  expect([huge.text.slice(0, 12), huge.open]).toEqual(['HTTP/1.1 431', false]);
  const many = await said(`GET / HTTP/1.1\r\n${host}\r\n${'X: a\r\n'.repeat(5000)}\r\n`);
  expect([many.text.slice(0, 12), many.open]).toEqual(['HTTP/1.1 431', false]);
  const long = await said(`GET /${'a'.repeat(20 * 1024)} HTTP/1.1\r\n${host}\r\n\r\n`);
  expect([long.text.slice(0, 10), long.open]).toEqual(['HTTP/1.1 4', false]);
  expect((await server.get('/healthz')).status).toBe(200);
});

test('three hundred clients that never finish their headers keep nobody out', async () => {
  const slow = Array.from({ length: 300 }, () => server.raw());
  for (const socket of slow) socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ');
  for (let i = 0; i < 3; i++) {
    for (const socket of slow) socket.write('a');
    expect((await server.get('/healthz')).status).toBe(200);
  }
  const { client } = await server.signIn();
  expect(await client.call('vm.list', {})).toEqual([]);
}, 60_000);

test('frames that break the protocol end their socket and nothing else', async () => {
  const { client } = await server.signIn();
  const odd: [what: string, frames: Buffer][] = [
    ['not masked', Buffer.concat([Buffer.from([TEXT, 2]), Buffer.from('{}')])],
    ['a reserved bit', frame(0xc1, '{}')],
    ['an unknown opcode', frame(0x83, '{}')],
    ['a continuation of nothing', frame(0x80, '{}')],
    ['a text within a text', Buffer.concat([frame(0x01, '{'), frame(TEXT, '}')])],
    ['a ping in pieces', frame(0x09, 'x')],
    ['a ping of 126 bytes', frame(0x89, 'x'.repeat(126))],
    ['no UTF-8', frame(TEXT, Buffer.from([0xc3, 0x28]))],
    ['a close code that nobody may send', frame(0x88, Buffer.from([0x03, 0xed]))],
    ['a length with its highest bit', Buffer.from([TEXT, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])],
    ['a length of 4 GiB', Buffer.from([TEXT, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4])],
    ['pieces of more than 1 MiB', Buffer.concat([frame(0x01, 'x'), ...Array.from({ length: 17 }, () => frame(0x00, 'x'.repeat(65_000)))])],
  ];
  for (const signedIn of [false, true])
    for (const [what, frames] of odd) {
      const { text, open } = await said(Buffer.concat([Buffer.from(upgrade()), ...(signedIn ? [frame(TEXT, AUTH)] : []), frames]));
      expect({ what, signedIn, open, answer: text.slice(0, 12) }).toEqual({ what, signedIn, open: false, answer: 'HTTP/1.1 101' });
    }
  expect(await client.call('vm.list', {})).toEqual([]);
}, 60_000);

test('a token taken from one socket opens no other door: not in the address, a header, a cookie or a second time', async () => {
  const call = frame(TEXT, '{"type":"call","id":1,"method":"vm.list","params":{}}');
  const signedIn = await said(Buffer.concat([Buffer.from(upgrade()), frame(TEXT, AUTH), call]));
  signedIn.socket.destroy();
  expect(signedIn.text).toContain('"result"');
  for (const request of [
    upgrade({ path: `/contract?token=${TOKEN}` }),
    upgrade({ lines: [`Authorization: Bearer ${TOKEN}`] }),
    upgrade({ lines: [`Cookie: token=${TOKEN}`] }),
  ]) {
    const { text, socket } = await said(Buffer.concat([Buffer.from(request), call]));
    socket.destroy();
    expect(text).not.toContain('"result"');
  }
  for (const path of [`/download/${TOKEN}`, '/download/x', `/download/${'../'.repeat(40)}etc/passwd`, '/download/%00', '/upload/x'])
    expect([path.slice(0, 20), (await server.get(path, { Authorization: `Bearer ${TOKEN}` })).status]).toEqual([
      path.slice(0, 20),
      expect.toSatisfy((s: number) => s >= 400),
    ]);
});
