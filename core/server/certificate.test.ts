import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, isIP } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterAll, expect, test } from 'vitest';
import { fingerprintOf, selfSigned } from './certificate.ts';
import { loadTls, ownCertificate } from './tls.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-cert-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const hosts = ['localhost', 'vm-host.example.org', '127.0.0.1', '::1', '2001:db8::12:0:1'];

test('it names exactly its hosts, and verifies with itself', async () => {
  const made = new X509Certificate((await selfSigned(hosts)).cert);
  expect(made.subjectAltName).toBe(
    'DNS:localhost, DNS:vm-host.example.org, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:12:0:1',
  );
  for (const host of hosts) expect(isIP(host) ? made.checkIP(host) : made.checkHost(host), host).toBeDefined();
  expect([made.checkHost('evil.example'), made.checkIP('127.0.0.2')]).toEqual([undefined, undefined]);
  expect(made.verify(made.publicKey)).toBe(true);
  expect(made.ca).toBe(false);
});

test('it is good from an hour ago for a year and a month, beyond 2049 too', async () => {
  for (const now of [Date.parse('2026-11-21T22:00:00Z'), Date.parse('2049-12-15T00:00:00Z')]) {
    const made = new X509Certificate((await selfSigned(['localhost'], now)).cert);
    expect([Date.parse(made.validFrom), Date.parse(made.validTo)]).toEqual([now - 3_600_000, now + 397 * 86_400_000]);
  }
});

test('OpenSSL takes it for what it is', { skip: !existsSync('/usr/bin/openssl') }, async () => {
  const { cert, key } = await selfSigned(hosts);
  const [certFile, keyFile] = [path.join(folder, 'o.pem'), path.join(folder, 'o.key')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { encoding: 'utf8' });
  expect(openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', certFile, certFile)).toContain('OK');
  expect(openssl('x509', '-in', certFile, '-noout', '-fingerprint', '-sha256')).toContain(fingerprintOf(cert));
  expect(openssl('pkey', '-in', keyFile, '-check', '-noout')).toContain('valid');
});

test('a client that trusts it gets through TLS by name and by address', async () => {
  const { cert, key } = await selfSigned(hosts);
  const server = createServer({ cert, key }, (_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (const servername of ['localhost', 'vm-host.example.org'])
    expect(
      await new Promise((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port, ca: cert, servername }, () => {
          resolve(socket.authorized);
          socket.end();
        });
        socket.on('error', reject);
      }),
    ).toBe(true);
  server.close();
});

test('one of our own is kept while it serves, and made anew when it ends or a name is missing', async () => {
  const own = path.join(folder, 'own');
  const now = Date.now();
  const files = await ownCertificate(own, ['localhost'], now);
  const first = readFileSync(files.certFile, 'utf8');
  expect(statSync(files.keyFile).mode & 0o077).toBe(0);
  await ownCertificate(own, ['localhost'], now + 300 * 86_400_000);
  expect(readFileSync(files.certFile, 'utf8')).toBe(first);
  await ownCertificate(own, ['localhost', '192.0.2.1'], now);
  const second = readFileSync(files.certFile, 'utf8');
  expect(second).not.toBe(first);
  await ownCertificate(own, ['localhost'], now + 380 * 86_400_000);
  expect(readFileSync(files.certFile, 'utf8')).not.toBe(second);
});

test.each([
  ['no file', {}, 'not-found', /cert\.pem/],
  ['garbage', { cert: 'x', key: 'y' }, 'invalid-argument', /holds no certificate/],
  ['a key that is none', { cert: (await selfSigned(['a'])).cert, key: 'y' }, 'invalid-argument', /no private key/],
  [
    'the key of another',
    { cert: (await selfSigned(['a'])).cert, key: (await selfSigned(['a'])).key },
    'invalid-argument',
    /is not the key of/,
  ],
  ['an expired one', await selfSigned(['a'], Date.now() - 400 * 86_400_000), 'invalid-argument', /was good until/],
])('%s is told with the file and what to do', (_what, { cert, key }: { cert?: string; key?: string }, kind, message) => {
  const bad = mkdtempSync(path.join(folder, 'bad-'));
  const files = { certFile: path.join(bad, 'cert.pem'), keyFile: path.join(bad, 'key.pem') };
  if (cert) writeFileSync(files.certFile, cert);
  if (key) writeFileSync(files.keyFile, key);
  let thrown: unknown;
  try {
    loadTls(files);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ kind, message: expect.stringMatching(message) });
});
