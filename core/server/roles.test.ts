import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { Role } from '../contract/access.ts';
import type { ContractClient } from '../contract/client.ts';
import type { VmSummary } from '../contract/vm.ts';
import { type Ending, ending, nextMessage, type Signed, TestServer, within } from './testing/testserver.ts';

/** Several people on one server: what each may do over the contract, the channels and with files. */
let server: TestServer;
let owner: ContractClient;
let vm: VmSummary;
let count = 0;

beforeAll(async () => {
  server = await TestServer.open();
  owner = (await server.signIn()).client;
  vm = await server.create(owner, 'Shared');
  await owner.call('vm.start', { id: vm.id });
});
afterAll(() => server.close());

let guest: Signed & { id: string; secret: string };
const join = async (role: Role, expiresInDays: number | null = null) => {
  const { token, secret } = await owner.call('access.createToken', { name: `guest ${++count}`, role, expiresInDays });
  return { ...(await server.signIn(secret)), id: token.id, secret };
};

beforeEach(() => {
  guest = undefined!;
});

/** What the fake machine answers to these bytes on a channel; it echoes whatever reaches it. */
async function echoOf(socket: WebSocket, bytes: Buffer): Promise<string> {
  let heard = '';
  socket.on('message', (data) => (heard += data.toString('latin1')));
  await within('the greeting', new Promise((resolve) => socket.once('message', resolve)));
  heard = '';
  socket.send(bytes);
  await new Promise((resolve) => setTimeout(resolve, 300));
  return heard;
}

test('who looks on sees machines and their lines, and changes nothing', async () => {
  guest = await join('view');
  expect(await guest.client.call('access.me', {})).toMatchObject({
    name: `guest ${count}`,
    role: 'view',
    tokenId: guest.id,
    address: '127.0.0.1',
  });
  expect((await guest.client.call('vm.list', {})).map(({ name }) => name)).toEqual(['Shared']);
  for (const method of ['vm.pause', 'vm.forceOff', 'vm.delete'] as const)
    await expect(guest.client.call(method, { id: vm.id })).rejects.toMatchObject({
      dto: { kind: 'permission-denied', context: { reason: 'role' } },
    });
  await expect(guest.client.call('access.createToken', { name: 'me', role: 'manage' })).rejects.toMatchObject({
    kind: 'permission-denied',
  });
  await expect(guest.client.call('storage.download', { path: '/etc/passwd' })).rejects.toMatchObject({ kind: 'permission-denied' });
  expect(await echoOf(server.channel('serial0', vm.id, guest.secret), Buffer.from('rm -rf'))).toBe('');
  expect((await owner.call('vm.get', { id: vm.id })).state).toBe('running');
});

test('of what a viewer sends to the screen only the asking arrives', async () => {
  guest = await join('view');
  const key = Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x61]);
  const ask = Buffer.from([3, 0, 0, 0, 0, 0, 2, 128, 1, 224]);
  const heard = await echoOf(
    server.channel('rfb', vm.id, guest.secret),
    Buffer.concat([Buffer.from('RFB 003.008\n\x01\x00'), key, ask, key]),
  );
  expect(heard).toBe(`RFB 003.008\n\x01\x01${ask.toString('latin1')}`);
});

test('who operates uses machines, and creates, deletes and shares none', async () => {
  guest = await join('operate');
  expect((await guest.client.call('vm.pause', { id: vm.id })).state).toBe('paused');
  expect((await guest.client.call('vm.resume', { id: vm.id })).state).toBe('running');
  expect(await echoOf(server.channel('serial0', vm.id, guest.secret), Buffer.from('ls'))).toContain('ls');
  await expect(guest.client.call('vm.delete', { id: vm.id })).rejects.toMatchObject({ kind: 'permission-denied' });
  await expect(guest.client.call('vm.changeMedium', { id: vm.id, drive: 'ide2', path: '/etc/passwd' })).rejects.toMatchObject({
    kind: 'permission-denied',
  });
});

test('who manages does what the owner does', async () => {
  guest = await join('manage');
  const made = await server.create(guest.client, 'Of a guest');
  await guest.client.call('vm.delete', { id: made.id });
  expect((await guest.client.call('access.tokens', {})).some(({ id }) => id === guest.id)).toBe(true);
});

test('revoking a token cuts its sockets at once, and neither it nor its tickets come in again', async () => {
  guest = await join('manage');
  const { path: folder } = (await owner.call('storage.pools', {})).map(({ folder }) => ({ path: folder }))[0]!;
  const { ticket } = await guest.client.call('storage.upload', { pool: 'default', name: 'late.img', sizeBytes: 512 });
  const channel = server.channel('serial0', vm.id, guest.secret);
  await nextMessage(channel);
  const ends = [ending(guest.socket), ending(channel)];
  await owner.call('access.revokeToken', { id: guest.id });
  for (const end of await Promise.all(ends)) expect(end).toMatchObject({ code: 4401, reason: expect.stringContaining('revoked') });
  expect(await ending(await server.greet(JSON.stringify({ type: 'auth', token: guest.secret })))).toMatchObject({ code: 4401 });
  expect((await ending(server.channel('serial0', vm.id, guest.secret))).code).toBe(4401);
  expect(await server.get(`/upload/${ticket}`, { 'content-length': '0' }, 'PUT')).toMatchObject({ status: 404 });
  expect(folder).toBeTruthy();
});

test('an expired token is cut off when its time comes', async () => {
  guest = await join('view', 1);
  const end: Promise<Ending> = ending(guest.socket);
  const { tokens } = server.manager.access as unknown as { tokens: { now: () => number } };
  const before = tokens.now;
  tokens.now = () => Date.now() + 2 * 86_400_000;
  server.manager.access.sweep();
  expect(await end).toMatchObject({ code: 4401 });
  tokens.now = before;
});

test('who manages sees who is there; others are not even told that somebody came', async () => {
  guest = await join('view');
  const heard: string[] = [];
  guest.socket.on('message', (data) => heard.push(data.toString()));
  const told = new Promise((resolve) => owner.on('access.changed', () => resolve(true)));
  const other = await join('operate');
  expect(await within('the owner is told', told)).toBe(true);
  const names = (await owner.call('access.connections', {})).map(({ name, role }) => `${name}:${role}`);
  expect(names).toEqual(expect.arrayContaining([':manage', `guest ${count}:operate`, `guest ${count - 1}:view`]));
  other.socket.close();
  await guest.client.call('vm.list', {});
  expect(heard.join()).not.toContain('access.changed');
});

test('a client that floods the contract is cut off with the reason, and the others go on', async () => {
  guest = await join('operate');
  const end = ending(guest.socket);
  for (let i = 0; i < 6000; i++) guest.socket.send(JSON.stringify({ type: 'call', id: i + 1000, method: 'vm.delete', params: {} }));
  expect(await end).toMatchObject({ code: 4409, reason: expect.stringContaining('too many messages') });
  expect(await owner.call('vm.list', {})).toHaveLength(1);
});

test('a client that reads no answers is not listened to until it has', async () => {
  guest = await join('view');
  guest.socket.pause();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 15_000; i++) guest.socket.send(JSON.stringify({ type: 'call', id: i + 1000, method: 'host.systems', params: {} }));
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(await owner.call('vm.list', {})).toHaveLength(1);
  expect(process.memoryUsage().rss - before).toBeLessThan(160 * 1024 * 1024);
  guest.socket.terminate();
});
