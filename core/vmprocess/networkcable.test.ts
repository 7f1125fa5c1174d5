import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { frameRecord, messageRecord, type WireMessage, WireReader } from '../net/wire.ts';
import { createLogger } from '../util/logger.ts';
import { FrameBatch, frameAt } from './framebatch.ts';
import type { FromMachine, ToMachine } from './machinemessages.ts';
import { NetworkCable } from './networkcable.ts';
import { CableTraffic, RemoteCable } from './remotecable.ts';

/** The cable between a card and a network, both its ends in this thread, with a network made of a socket. */
let folder: string;
let server: Server;
const sockets: Socket[] = [];
const got: (Uint8Array | WireMessage)[] = [];
const logged: string[] = [];
let answer: Uint8Array;
let main: NetworkCable;
let card: RemoteCable;
const received: Uint8Array[] = [];
/** The card takes what comes. */
let room = true;
let carriers: boolean[];

const place = () => path.join(folder, 'network');
const frame = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * seed) & 0xff);

async function until(what: string, probe: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!probe()) {
    if (Date.now() > end) throw new Error(`${what} never came to be`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-cable-'));
  got.length = sockets.length = logged.length = received.length = 0;
  room = true;
  carriers = [];
  answer = messageRecord({ type: 'ready' });
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    const reader = new WireReader({
      message: (message) => {
        got.push(message);
        socket.write(answer);
      },
      frame: (one) => got.push(Uint8Array.from(one)),
    });
    socket.on('data', (chunk) => reader.push(chunk));
  });
  await new Promise<void>((resolve) => server.listen(place(), resolve));
  const toMain = (message: FromMachine) => {
    if (message.t === 'frames') main.frames(message.frames);
    else if (message.t === 'framesTaken') main.taken();
  };
  const toCard = (message: ToMachine) => {
    if (message.t === 'frames') card.frames(message.frames);
    else if (message.t === 'carrier') card.setCarrier(message.up);
    card.deliver();
  };
  const log = createLogger((_level, _scope, message) => logged.push(message));
  main = new NetworkCable({ vm: 'v', card: 'net0', mac: '52:54:00:00:00:01', post: toCard, log });
  card = new RemoteCable('net0', new CableTraffic(main.traffic.shared), toMain);
  card.listen({
    arrived: () => {
      for (; room && card.waiting; card.take()) received.push(Uint8Array.from(card.waiting));
    },
    carrierChanged: () => carriers.push(card.carrier),
  });
});

afterEach(async () => {
  main.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

test('a batch holds frames of any length in their order', () => {
  const batch = new FrameBatch();
  const frames = [14, 15, 16, 17, 60_000, 65_550, 14].map((length, i) => frame(length, i + 1));
  for (const one of frames) batch.add(one);
  const bytes = batch.finish()!;
  expect(batch.finish()).toBeUndefined();
  const back: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { frame: one, next } = frameAt(bytes, at);
    back.push(one.slice());
    at = next;
  }
  expect(back).toEqual(frames);
});

test('frames go both ways once the network has said that it is ready, and are counted', async () => {
  card.send(frame(100));
  main.plug(place());
  await until('the carrier', () => card.carrier);
  expect(got).toEqual([{ type: 'hello', vm: 'v', card: 'net0', mac: '52:54:00:00:00:01', long: true }]);
  card.send(frame(13));
  card.send(frame(65_551));
  card.send(frame(14, 3));
  card.send(frame(65_550, 5));
  card.flush();
  await until('two frames', () => got.length === 3);
  expect(got.slice(1)).toEqual([frame(14, 3), frame(65_550, 5)]);
  for (const length of [14, 1514, 65_550]) sockets[0]!.write(frameRecord(frame(length, 7)));
  await until('three frames', () => received.length === 3);
  expect(received).toEqual([14, 1514, 65_550].map((length) => frame(length, 7)));
  expect([main.receivedBytes, main.sentBytes]).toEqual([14 + 1514 + 65_550, 14 + 65_550]);
});

test('a network that goes away takes the carrier along, and is found again when it is back; one that refuses is told of once', async () => {
  main.plug(place());
  await until('the carrier', () => card.carrier);
  answer = messageRecord({ type: 'refused', message: 'not on this network' });
  sockets[0]!.destroy();
  await until('two refusals', () => got.length >= 3);
  expect(carriers).toEqual([true, false]);
  expect(logged.filter((line) => line.includes('not on this network'))).toHaveLength(1);
  answer = messageRecord({ type: 'ready' });
  await until('the carrier', () => card.carrier);
  main.plug(null);
  expect(card.carrier).toBe(false);
  const connections = sockets.length;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(sockets).toHaveLength(connections);
});

test('a network that sends what is no record is left and tried again, and frames before it is ready are none', async () => {
  answer = Buffer.concat([frameRecord(frame(60)), Uint8Array.of(1, 0, 0, 0, 9)]);
  main.plug(place());
  await until('two attempts', () => sockets.length >= 2);
  expect(card.carrier).toBe(false);
  expect(received).toEqual([]);
  answer = messageRecord({ type: 'ready' });
  await until('the carrier', () => card.carrier);
});

test('a guest that takes nothing holds the network up, and gets everything once it does', async () => {
  main.plug(place());
  await until('the carrier', () => card.carrier);
  room = false;
  const count = 4000;
  for (let i = 0; i < count; i++) sockets[0]!.write(frameRecord(frame(1514, i & 0xff)));
  await until('the network to be held up', () => main.receivedBytes > 1 << 20);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const held = main.receivedBytes;
  expect(held).toBeLessThan(2 << 20);
  room = true;
  card.deliver();
  await until('every frame', () => received.length === count);
  expect(received.every((one, i) => one[1] === (i & 0xff))).toBe(true);
});

test('what the main thread does not take is lost beyond a limit', () => {
  const messages: FromMachine[] = [];
  const alone = new RemoteCable('net0', new CableTraffic(), (message) => messages.push(message));
  alone.listen({ arrived: () => {}, carrierChanged: () => {} });
  alone.setCarrier(true);
  alone.deliver();
  for (let i = 0; i < 200; i++) {
    alone.send(frame(65_550));
    alone.flush();
  }
  expect(messages.length).toBeGreaterThan(60);
  expect(messages.length).toBeLessThan(70);
});
