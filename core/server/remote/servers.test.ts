import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ContractClient } from '../../contract/client.ts';
import { nullLogger } from '../../util/logger.ts';
import { selfSigned } from '../certificate.ts';
import { eventually, TestServer, TOKEN } from '../testing/testserver.ts';
import { parseServer } from './client.ts';
import { RemoteServers, type SecretStore } from './servers.ts';

/** The desktop's part against a real server with real TLS on loopback. */
const folder = mkdtempSync(path.join(tmpdir(), 'hv-remote-'));
const files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
let server: TestServer;
let url: string;
let fingerprint: string;
let servers: RemoteServers;

class MemorySecrets implements SecretStore {
  lasting = true;
  readonly all = new Map<string, string>();
  get = (name: string) => this.all.get(name);
  set = async (name: string, secret: string) => void this.all.set(name, secret);
  remove = async (name: string) => void this.all.delete(name);
}
let secrets = new MemorySecrets();
const open = () => RemoteServers.open(path.join(folder, 'config'), secrets, nullLogger);
const first = () => servers.state.servers[0]!;

beforeAll(async () => {
  const { cert, key } = await selfSigned(['127.0.0.1']);
  writeFileSync(files.keyFile, key);
  writeFileSync(files.certFile, cert);
  server = await TestServer.open('127.0.0.1', { tls: files });
  url = server.server.url;
  fingerprint = server.server.fingerprint!;
  servers = await open();
});
afterEach(async () => {
  for (const { id } of servers.state.servers) await servers.remove(id);
  secrets = new MemorySecrets();
  servers.close();
  servers = await open();
});
afterAll(async () => {
  servers.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a server is looked at, confirmed and taken in; its machines come and follow', async () => {
  const probe = await servers.probe(`${url}#token=${TOKEN}`);
  expect(probe).toMatchObject({ url, token: TOKEN, certificate: { fingerprint, trusted: false } });
  await servers.add(url, TOKEN, fingerprint, 'Rack 3');
  await eventually('it is ready', () => first().state === 'ready');
  expect(first()).toMatchObject({ name: 'Rack 3', role: 'manage', machines: [] });
  const owner = new ContractClient(await servers.connect(first().id));
  const vm = await server.create(owner, 'Over there');
  await eventually('its machine is told', () => first().machines.some(({ name }) => name === 'Over there'));
  await owner.call('vm.start', { id: vm.id });
  await eventually('its state is told', () => first().machines[0]!.state === 'running');
  const channel = await servers.openChannel(first().id, 'serial0', vm.id);
  let heard = '';
  channel.onData((bytes) => (heard += Buffer.from(bytes).toString()));
  channel.send(Buffer.from('over TLS'));
  await eventually('the line answers', () => heard.includes('over TLS'));
  channel.close();
  await owner.call('vm.forceOff', { id: vm.id });
  await owner.call('vm.delete', { id: vm.id });
  owner.close();
});

test('its token is in no file of ours, and it is there after a restart', async () => {
  await servers.add(url, TOKEN, fingerprint);
  expect(readFileSync(path.join(folder, 'config/servers.json'), 'utf8')).not.toContain(TOKEN);
  servers.close();
  servers = await open();
  await eventually('it is ready', () => first().state === 'ready');
  servers.close();
  secrets = new MemorySecrets();
  servers = await open();
  await eventually('it wants its token', () => first().state === 'signedOut');
  expect(first().problem).toMatchObject({ kind: 'unauthorized', fix: expect.stringContaining('again') });
});

test('another certificate, a wrong token and no server at all are refused with what to do', async () => {
  await expect(servers.add(url, TOKEN, 'AA:BB')).rejects.toMatchObject({
    kind: 'permission-denied',
    context: { reason: 'certificate-changed' },
  });
  await expect(servers.add(url, TOKEN, null)).rejects.toMatchObject({ kind: 'io-error' });
  await expect(servers.add(url, 'a-wrong-token-that-is-long-enough', fingerprint)).rejects.toMatchObject({ kind: 'unauthorized' });
  await expect(servers.add('https://127.0.0.1:1/', TOKEN, fingerprint)).rejects.toMatchObject({
    kind: 'io-error',
    fix: expect.any(String),
  });
  expect(servers.state.servers).toEqual([]);
  await expect(servers.connect('none')).rejects.toMatchObject({ kind: 'not-found' });
});

test('whose certificate is another one than was compared is not tried again until it was compared anew', async () => {
  await servers.add(url, TOKEN, fingerprint, 'Rack 3');
  servers.close();
  const file = path.join(folder, 'config/servers.json');
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(
      fingerprint,
      fingerprint.replace(/^../, (byte) => (byte === '00' ? '01' : '00')),
    ),
  );
  servers = await open();
  await eventually('it is told apart', () => first().state === 'stopped');
  expect(first().problem).toMatchObject({ kind: 'permission-denied', context: { reason: 'certificate-changed' } });
  await servers.add(url, TOKEN, fingerprint, 'Rack 3');
  await eventually('it is ready', () => first().state === 'ready');
});

test('a revoked token signs it out, and it does not try again', async () => {
  const admin = (await server.manager.access.tokens.create('desk', 'operate', null)) as { secret: string; token: { id: string } };
  await servers.add(url, admin.secret, fingerprint);
  await eventually('it is ready', () => first().state === 'ready');
  expect(first().role).toBe('operate');
  await server.manager.handlers['access.revokeToken']({ id: admin.token.id });
  await eventually('it is signed out', () => first().state === 'signedOut');
});

test('adding a server that is there gives it the new token, and no second entry', async () => {
  await servers.add(url, TOKEN, fingerprint, 'one');
  await servers.add(url, TOKEN, fingerprint, 'two');
  expect(servers.state.servers.map(({ name }) => name)).toEqual(['two']);
});

test.each([
  ['https://a.example', 'https://a.example/', null],
  ['a.example:6880', 'https://a.example:6880/', null],
  [' https://a.example/vm?x=1#token=abcdefghijklmnopqrstuvwxyz ', 'https://a.example/vm/', 'abcdefghijklmnopqrstuvwxyz'],
  ['http://127.0.0.1:6880/', 'http://127.0.0.1:6880/', null],
  ['http://[::1]:6880/', 'http://[::1]:6880/', null],
])('%s is the server %s', (text, wanted, token) => expect(parseServer(text)).toEqual({ url: wanted, token }));

test.each([
  '',
  'ftp://a.example',
  'javascript:alert(1)',
  'https://user:pass@a.example',
  'http://a.example',
  'http://192.0.2.1:6880',
  'https://',
  'file:///etc/passwd',
])('%j is no server to attach to', (text) =>
  expect(() => parseServer(text)).toThrow(expect.objectContaining({ kind: 'invalid-argument' })),
);
