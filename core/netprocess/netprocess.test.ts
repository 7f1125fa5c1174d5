import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { transportParts, writeChecksums } from '../devices/net/offload.ts';
import type { ProcessHandle } from '../engine/builtin/protocol.ts';
import { BROADCAST, parseMac, writeMac } from '../net/ethernet.ts';
import type { FromNetworkProcess, NetworkStart, ToNetworkProcess } from '../net/processprotocol.ts';
import { frameRecord, messageRecord, type WireMessage, WireReader } from '../net/wire.ts';
import { ChildProcessLauncher } from '../platform/childlauncher.ts';

const ENTRY = fileURLToPath(new URL('main.ts', import.meta.url));
const PATIENCE = { timeout: 25_000 };
const members = [1, 2].map((number) => ({ vm: `vm${number}`, card: 'net0', mac: `52:54:00:00:00:0${number}` }));

let folder: string;
let handle: ProcessHandle<ToNetworkProcess, FromNetworkProcess>;
let said: FromNetworkProcess[];
let ended: Promise<number | null>;
const sockets: Socket[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'hv-netp-'));
  said = [];
  handle = new ChildProcessLauncher<ToNetworkProcess, FromNetworkProcess>(ENTRY).launch('Lab');
  handle.onMessage((message) => said.push(message));
  ended = new Promise((resolve) => handle.onExit(resolve));
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  handle.kill();
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

const place = () => path.join(folder, 'net.sock');
async function begin(changes: Partial<NetworkStart> = {}): Promise<void> {
  await expect.poll(() => said.some(({ type }) => type === 'ready'), PATIENCE).toBe(true);
  handle.send({
    type: 'start',
    kind: 'nat',
    subnet: '10.7.0.0/24',
    dhcp: { from: '10.7.0.50', to: '10.7.0.60' },
    forwards: [],
    leases: [],
    members,
    socket: place(),
    ...changes,
  });
  await expect.poll(() => said.some(({ type }) => type === 'started' || type === 'failed'), PATIENCE).toBe(true);
}

function plug(member: { vm: string; card: string; mac: string; long?: boolean }) {
  const heard: WireMessage[] = [];
  const frames: Uint8Array[] = [];
  const socket = connect(place());
  sockets.push(socket);
  const state = { closed: false };
  const reader = new WireReader({ message: (message) => heard.push(message), frame: (frame) => frames.push(frame.slice()) });
  socket.on('data', (chunk) => reader.push(chunk));
  socket.on('error', () => {});
  socket.on('close', () => {
    state.closed = true;
  });
  socket.write(messageRecord({ type: 'hello', ...member }));
  return { socket, heard, frames, state };
}
const status = () => said.filter((message) => message.type === 'status').at(-1);

test('cards that are on the network come in and hear each other; others are refused; one that leaves is told of', async () => {
  await begin();
  expect(statSync(place()).mode & 0o077).toBe(0);
  const [one, two] = [plug(members[0]!), plug(members[1]!)];
  const foreign = plug({ ...members[0]!, mac: '52:54:00:00:00:09' });
  await expect.poll(() => [one, two, foreign].map(({ heard }) => heard[0]?.type), PATIENCE).toEqual(['ready', 'ready', 'refused']);
  await expect.poll(() => foreign.state.closed, PATIENCE).toBe(true);
  const frame = new Uint8Array(60);
  writeMac(frame, 0, BROADCAST);
  writeMac(frame, 6, parseMac(members[0]!.mac));
  one.socket.write(frameRecord(frame));
  await expect.poll(() => two.frames.map((each) => Buffer.from(each)), PATIENCE).toEqual([Buffer.from(frame)]);
  expect(one.frames).toEqual([]);
  await expect.poll(() => status()?.connected.map(({ vm }) => vm), PATIENCE).toEqual(['vm1', 'vm2']);
  // The same card again: the old connection is over.
  const again = plug(members[0]!);
  await expect.poll(() => [one.state.closed, again.heard[0]?.type], PATIENCE).toEqual([true, 'ready']);
  handle.send({ type: 'members', members: [members[1]!] });
  await expect.poll(() => again.state.closed, PATIENCE).toBe(true);
  await expect.poll(() => status()?.connected.map(({ vm }) => vm), PATIENCE).toEqual(['vm2']);
});

test('a long TCP segment goes whole to whom takes those, and in frames of Ethernet to others; nothing else that is so long', async () => {
  await begin();
  const sender = plug({ ...members[0]!, long: true });
  const frame = new Uint8Array(54 + 10_000).map((_, at) => at);
  writeMac(frame, 0, parseMac(members[1]!.mac));
  writeMac(frame, 6, parseMac(members[0]!.mac));
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  view.setUint32(14, 0x4500_0000 | (frame.length - 14));
  view.setUint32(18, 0);
  view.setUint32(22, 0x4006_0000);
  view.setUint16(46, 0x5010);
  writeChecksums(frame, transportParts(frame)!);
  const other = frame.slice();
  other[23] = 17;
  const wrong = frame.slice();
  wrong[100]! ^= 1;
  for (const [long, lengths] of [
    [true, [frame.length]],
    [false, [1514, 1514, 1514, 1514, 1514, 1514, 1294]],
  ] as const) {
    const receiver = plug({ ...members[1]!, long });
    await expect.poll(() => [sender, receiver].map(({ heard }) => heard[0]?.type), PATIENCE).toEqual(['ready', 'ready']);
    await expect.poll(() => status()?.connected.length, PATIENCE).toBe(2);
    sender.socket.write(frameRecord(long ? frame : other));
    if (!long) sender.socket.write(frameRecord(wrong));
    sender.socket.write(frameRecord(frame));
    await expect.poll(() => receiver.frames.map(({ length }) => length), PATIENCE).toEqual(long ? [...lengths, ...lengths] : lengths);
    const payload = Buffer.concat(receiver.frames.slice(0, lengths.length).map((each) => each.subarray(54)));
    expect(payload.equals(Buffer.from(frame.subarray(54)))).toBe(true);
    if (!long) {
      // With options in the header there is room for less.
      view.setUint16(46, 0x8010);
      writeChecksums(frame, transportParts(frame)!);
      sender.socket.write(frameRecord(frame));
      await expect
        .poll(() => receiver.frames.slice(lengths.length).reduce((sum, each) => sum + each.length - 66, 0), PATIENCE)
        .toBe(10_000 - 12);
      expect(Math.max(...receiver.frames.map(({ length }) => length))).toBe(1514);
    }
    receiver.socket.destroy();
    await expect.poll(() => status()?.connected.length, PATIENCE).toBe(1);
  }
});

test('what is no record, or comes before the hello, ends that connection and no other', async () => {
  await begin();
  const good = plug(members[0]!);
  await expect.poll(() => good.heard[0]?.type, PATIENCE).toBe('ready');
  for (const bytes of [Buffer.alloc(64, 0xff), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from(frameRecord(new Uint8Array(60)))]) {
    const bad = connect(place());
    sockets.push(bad);
    const closed = new Promise((resolve) => bad.once('close', resolve));
    bad.on('error', () => {});
    bad.resume().write(bytes);
    await closed;
  }
  expect(good.state.closed).toBe(false);
});

test('a port that somebody has is a problem of its forward; given another one it is none any more', async () => {
  const taken: Server = createServer();
  taken.listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  const rule = { id: 'f', protocol: 'tcp', hostAddress: '127.0.0.1', vm: 'vm1', card: 'net0', guestPort: 22 } as const;
  await begin({ forwards: [{ ...rule, hostPort: port }] });
  await expect.poll(() => status()?.problems, PATIENCE).toEqual([{ id: 'f', code: 'EADDRINUSE' }]);
  await new Promise((resolve) => taken.close(resolve));
  handle.send({ type: 'forwards', forwards: [{ ...rule, hostPort: port }] });
  await expect.poll(() => status()?.problems, PATIENCE).toEqual([]);
});

test('where it can not listen it says so and ends', async () => {
  await begin({ socket: path.join(folder, 'none', 'net.sock') });
  expect(said.find(({ type }) => type === 'failed')).toMatchObject({ code: expect.stringMatching(/^E/) });
  expect(await ended).toBe(0);
  expect(existsSync(place())).toBe(false);
});
