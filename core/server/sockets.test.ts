import { afterEach, beforeEach, expect, test } from 'vitest';
import { ending, eventually, nextMessage, opened, TestServer, TOKEN } from './testing/testserver.ts';

// One server a test: wrong tokens are counted by address, and all of these come from the same.
let server: TestServer;
beforeEach(async () => {
  server = await TestServer.open();
});
afterEach(() => server.close());

test('the token is never sent back, in neither protocol nor log', async () => {
  const socket = server.channel('rfb', '00000000-0000-4000-8000-000000000000', 'a wrong guess');
  const end = ending(socket);
  await opened(socket);
  expect(socket.protocol).toBe('hypervue.channel');
  expect(await end).toEqual({ code: 4401, reason: 'the token is wrong' });
  const text = server.logged.join('\n');
  expect(text).toContain('gave a wrong token');
  expect(text).not.toContain('a wrong guess');
  expect(text).not.toContain(TOKEN);
});

test('wrong tokens of channels count with those of the contract', async () => {
  for (let i = 0; i < 5; i++) {
    expect(await ending(server.channel('serial0', 'x', 'guess'))).toMatchObject({ code: 4401 });
    expect(await ending(await server.greet('{"type":"auth","token":"guess"}'))).toMatchObject({ code: 4401 });
  }
  // The right one has to wait as well, or the limit would tell a guesser that it was right.
  expect(await ending(server.channel('serial0', 'x'))).toMatchObject({ code: 429 });
  expect(await ending(server.socket('/contract'))).toMatchObject({ code: 429 });
  expect((await server.get('/healthz')).status).toBe(200);
});

test('sockets that were open before the limit was reached get no further guess', async () => {
  const waiting = server.socket('/contract');
  await opened(waiting);
  for (let i = 0; i < 10; i++) await ending(await server.greet('{"type":"auth","token":"guess"}'));
  waiting.send(JSON.stringify({ type: 'auth', token: TOKEN }));
  expect(await ending(waiting)).toMatchObject({ code: 4429 });
});

test('nothing but a text frame with the token opens the contract', async () => {
  expect(await ending(await server.greet(Buffer.from(JSON.stringify({ type: 'auth', token: TOKEN }))))).toMatchObject({ code: 4401 });
  expect(await ending(await server.greet('{"type":"call","id":1,"method":"vm.list","params":{}}'))).toMatchObject({ code: 4401 });
});

test('an oversized message before the token ends that socket only', async () => {
  const { client } = await server.signIn();
  expect(await ending(await server.greet('x'.repeat(1024 * 1024 + 1)))).toMatchObject({ code: 1009 });
  expect(await client.call('vm.list', {})).toEqual([]);
});

test('sockets that never sign in do not fill the server', async () => {
  const silent = Array.from({ length: 64 }, () => server.socket('/contract'));
  await Promise.all(silent.map(opened));
  expect(await ending(server.socket('/contract'))).toMatchObject({ code: 503 });
  silent[0]!.close();
  await ending(silent[0]!);
  const { client } = await server.signIn();
  expect(await client.call('vm.list', {})).toEqual([]);
});

test('events reach every client that signed in, and nobody else', async () => {
  const [one, two] = [await server.signIn(), await server.signIn()];
  const stranger = server.socket('/contract');
  await opened(stranger);
  let overheard = 0;
  stranger.on('message', () => overheard++);
  const seen: string[] = [];
  two.client.on('vm.changed', ({ name }) => seen.push(name));
  await server.create(one.client, 'Shared');
  await eventually('the other client is told', () => seen.includes('Shared'));
  expect(overheard).toBe(0);
});

test('a serial line carries every byte of a flood in order, with pauses between', async () => {
  const { client } = await server.signIn();
  const { id } = await server.create(client, 'Flood', 'fake.flood');
  await client.call('vm.start', { id });
  const socket = server.channel('serial0', id);
  await opened(socket);
  let received = 0;
  let wrong = 0;
  const greeting = 'fake serial\r\n'.length;
  socket.on('message', (data: Buffer) => {
    for (let i = Math.max(0, greeting - received); i < data.length; i++) if (data[i] !== 0x2e) wrong++;
    received += data.length;
  });
  for (let round = 1; round <= 3; round++) {
    await eventually(`${round * 8} MiB have come`, () => received > round * 8 * 1024 * 1024);
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 200));
    socket.resume();
  }
  expect(wrong).toBe(0);
  // While it floods, others are served.
  expect(await client.call('vm.get', { id })).toMatchObject({ state: 'running' });
});

test('a channel refuses text, and ends with its machine', async () => {
  const { client } = await server.signIn();
  const { id } = await server.create(client, 'Line');
  await client.call('vm.start', { id });
  const texting = server.channel('serial0', id);
  await opened(texting);
  texting.send('text');
  expect(await ending(texting)).toMatchObject({ code: 1003 });
  const reading = server.channel('rfb', id);
  expect(await nextMessage(reading)).toBe('RFB 003.008\n');
  const end = ending(reading);
  await client.call('vm.forceOff', { id });
  expect(await end).toMatchObject({ code: 1000 });
  expect(await ending(server.channel('rfb', id))).toMatchObject({ code: 4500, reason: expect.stringContaining('Line is off') });
});

test('clients are told when the server quits', async () => {
  const { socket } = await server.signIn();
  const end = ending(socket);
  await server.server.close();
  expect(await end).toEqual({ code: 1001, reason: 'Hypervue is quitting' });
});
