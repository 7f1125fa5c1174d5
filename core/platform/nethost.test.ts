import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { HostStream } from '../net/host.ts';
import { NodeNetwork } from './nethost.ts';

const network = new NodeNetwork();
const servers: Server[] = [];
const streams: HostStream[] = [];
afterEach(() => {
  for (const stream of streams.splice(0)) stream.reset();
  for (const server of servers.splice(0)) server.close();
});

async function serve(each: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    each(socket);
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}

/** A connection, with what came of it. */
function open(port: number) {
  const stream = network.connect('127.0.0.1', port);
  streams.push(stream);
  const seen = { bytes: [] as Uint8Array[], events: [] as string[] };
  const note = (event: string) => () => void seen.events.push(event);
  const done = new Promise<void>((resolve) => {
    const last = (event: string) => () => {
      seen.events.push(event);
      resolve();
    };
    stream.listen({
      connected: note('connected'),
      failed: (why) => last(why)(),
      data: (bytes) => seen.bytes.push(bytes.slice()),
      ended: last('ended'),
      broken: last('broken'),
    });
  });
  return { stream, seen, done, all: () => Buffer.concat(seen.bytes) };
}

test('what comes on many connections at once is not mixed up, although all are read into the same memory', async () => {
  const pattern = Array.from({ length: 8 }, (_, seed) => Buffer.alloc(300_000).map((_, at) => (at * (seed + 3)) & 0xff));
  const port = await serve((socket) => socket.once('data', ([index]) => socket.end(pattern[index!])));
  const connections = pattern.map((_, index) => {
    const connection = open(port);
    connection.stream.write(Uint8Array.of(index), () => {});
    return connection;
  });
  await Promise.all(connections.map(({ done }) => done));
  connections.forEach(({ all, seen }, index) => {
    expect(all().equals(pattern[index]!)).toBe(true);
    expect(seen.events).toEqual(['connected', 'ended']);
  });
});

test('a paused stream gives nothing, and all of it afterwards; its own side can still be sent on when the other has ended', async () => {
  const heard: Buffer[] = [];
  let over!: () => void;
  const ended = new Promise<void>((resolve) => {
    over = resolve;
  });
  const port = await serve((socket) => {
    socket.on('data', (chunk) => heard.push(chunk));
    socket.on('end', over);
    socket.end(Buffer.alloc(4_000_000, 7));
  });
  const { stream, seen, done, all } = open(port);
  await expect.poll(() => seen.bytes.length, { timeout: 20_000 }).toBeGreaterThan(0);
  stream.pause();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = all().length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(all().length).toBe(before);
  stream.resume();
  await done;
  expect(all().length).toBe(4_000_000);
  stream.write(Buffer.from('still here'), () => {});
  stream.end();
  await ended;
  expect(Buffer.concat(heard).toString()).toBe('still here');
});

test('a port where nobody listens refuses, and a reset is no end', async () => {
  const port = await serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
  const cut = open(port);
  cut.stream.write(Uint8Array.of(1), () => {});
  await cut.done;
  expect(cut.seen.events.at(-1)).toBe('broken');
  const [server] = servers.splice(0);
  await new Promise((resolve) => server!.close(resolve));
  const nobody = open(port);
  await nobody.done;
  expect(nobody.seen.events).toEqual(['refused']);
});
