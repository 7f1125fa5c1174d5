import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fingerprintOf, selfSigned } from './certificate.ts';
import { openPinned, probeCertificate } from './pinned.ts';
import { eventually, opened, TestServer, TOKEN, within } from './testing/testserver.ts';

/** A real server with real TLS on loopback. */
const folder = mkdtempSync(path.join(tmpdir(), 'hv-tls-'));
const files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
const first = await selfSigned(['localhost', '127.0.0.1']);
let server: TestServer;
let url: URL;

const write = ({ cert, key }: { cert: string; key: string }) => {
  writeFileSync(files.keyFile, key);
  writeFileSync(files.certFile, cert);
};

beforeAll(async () => {
  write(first);
  server = await TestServer.open('127.0.0.1', { tls: files });
  url = new URL(server.server.url);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const body = (ca: string) =>
  new Promise<string>((resolve, reject) => {
    get(new URL('healthz', url), { ca, agent: false }, (response) => response.on('data', (data) => resolve(String(data)))).on(
      'error',
      reject,
    );
  });

/** Whether a signed-in contract came to be over this fingerprint. */
async function signIn(fingerprint: string | null): Promise<string> {
  const socket = openPinned(new URL('contract', url.href.replace(/^http/, 'ws')), [], fingerprint);
  try {
    await opened(socket);
    socket.send(JSON.stringify({ type: 'auth', token: TOKEN }));
    return await within('an answer', new Promise((resolve) => socket.once('message', (data) => resolve(data.toString()))));
  } finally {
    socket.on('error', () => {});
    socket.terminate();
  }
}

test('it speaks TLS and nothing else', async () => {
  expect(url.protocol).toBe('https:');
  expect(await body(first.cert)).toContain('ok');
  const plain = server.raw();
  const heard = new Promise<string>((resolve) => {
    let all = '';
    plain.on('data', (data) => (all += data.toString()));
    plain.on('close', () => resolve(all));
  });
  plain.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  expect(await within('the end', heard)).not.toContain('<title>');
});

test('the certificate can be looked at before anything is said', async () => {
  expect(await probeCertificate(url)).toMatchObject({ fingerprint: fingerprintOf(first.cert), trusted: false });
  const closed = new URL(url);
  closed.port = '1';
  await expect(probeCertificate(closed)).rejects.toMatchObject({ kind: 'io-error', message: expect.stringContaining('127.0.0.1:1') });
});

test('only the pinned certificate is spoken to; one that nobody vouches for needs a pin', async () => {
  expect(await signIn(fingerprintOf(first.cert))).toBe('{"type":"ready"}');
  const before = server.logged.length;
  await expect(signIn(fingerprintOf((await selfSigned(['localhost'])).cert))).rejects.toMatchObject({
    kind: 'permission-denied',
    context: { reason: 'certificate-changed' },
  });
  await expect(signIn(null)).rejects.toThrow(/self.signed/);
  expect(server.logged).toHaveLength(before);
});

test('a renewed certificate is used without a restart; one that makes no sense is not', async () => {
  const told: string[] = [];
  (server.server as unknown as { options: { onCertificate: (f: string) => void } }).options.onCertificate = (f) => told.push(f);
  writeFileSync(files.certFile, 'half a certif');
  await eventually('the broken one is complained of', () => server.logged.some((line) => line.includes('stays in use')));
  expect(await body(first.cert)).toContain('ok');
  const second = await selfSigned(['localhost', '127.0.0.1']);
  write(second);
  await eventually('the new one is there', () => told.includes(fingerprintOf(second.cert)));
  expect(await body(second.cert)).toContain('ok');
  expect(await signIn(fingerprintOf(second.cert))).toBe('{"type":"ready"}');
});
