import { EventEmitter } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import type { MessageChannelMain as MessageChannelMainClass, WebContents } from 'electron';
import { afterEach, expect, test, vi } from 'vitest';
import type { ByteChannel } from '../../core/contract/transport.ts';
import { IPC } from '../ipcnames.ts';
import { ChannelBridge } from './channelbridge.ts';

const MIB = 1024 * 1024;

class FakeChannel implements ByteChannel {
  readonly sent: Uint8Array[] = [];
  flowing = true;
  closed = false;
  private data: ((bytes: Uint8Array) => void) | undefined;
  private readonly closeListeners: (() => void)[] = [];

  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes);
    return true;
  }
  onData(listener: (bytes: Uint8Array) => void): void {
    this.data = listener;
  }
  onDrain(): void {}
  onClose(listener: () => void): void {
    this.closeListeners.push(listener);
  }
  pause(): void {
    this.flowing = false;
  }
  resume(): void {
    this.flowing = true;
  }
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const listener of this.closeListeners) listener();
  }
  feed(bytes: Uint8Array): void {
    this.data!(bytes);
  }
}

const ports: { close(): void }[] = [];

/** MessageChannelMain over Node's, whose ports hand out values where Electron's hand out events. */
class NodeChannel {
  readonly port1: EventEmitter;
  readonly port2: unknown;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1);
    const main = new EventEmitter();
    port1.on('close', () => main.emit('close'));
    this.port1 = Object.assign(main, {
      postMessage: (value: unknown) => port1.postMessage(value),
      close: () => port1.close(),
      start: () => port1.on('message', (data: unknown) => main.emit('message', { data })),
    });
    this.port2 = port2;
  }
}

interface PagePort extends EventEmitter {
  postMessage(value: unknown): void;
  close(): void;
}

function page() {
  const posted: { channel: string; id: number; port: PagePort }[] = [];
  const contents = {
    postMessage: (channel: string, id: number, [port]: PagePort[]) => posted.push({ channel, id, port: port! }),
  } as unknown as WebContents;
  return { contents, posted };
}

function openedChannel() {
  const bridge = new ChannelBridge(NodeChannel as unknown as typeof MessageChannelMainClass);
  const { contents, posted } = page();
  const channel = new FakeChannel();
  bridge.ready(contents, bridge.offer(contents, channel));
  const received: unknown[] = [];
  const { port } = posted[0]!;
  port.on('message', (data) => received.push(data));
  return { bridge, contents, channel, port, posted, received };
}

afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

test('bytes go both ways, and nothing but bytes reaches the machine', async () => {
  const { channel, port, posted, received } = openedChannel();
  expect(posted[0]).toMatchObject({ channel: IPC.channelPort, id: 1 });
  channel.feed(new Uint8Array([1, 2, 3]));
  for (const junk of ['text', { length: 4 }, [1, 2], -5, Number.NaN]) port.postMessage(junk);
  port.postMessage(new Uint8Array([9]));
  await vi.waitFor(() => expect(channel.sent).toEqual([new Uint8Array([9])]));
  expect(received).toEqual([new Uint8Array([1, 2, 3])]);
});

test('a page that takes nothing holds the machine back until it has caught up', async () => {
  const { channel, port } = openedChannel();
  for (let i = 0; i < 16; i++) channel.feed(new Uint8Array(MIB / 16));
  expect(channel.flowing).toBe(true);
  channel.feed(new Uint8Array(1));
  expect(channel.flowing).toBe(false);
  port.postMessage(MIB / 2);
  port.postMessage(new Uint8Array([1]));
  await vi.waitFor(() => expect(channel.sent).toHaveLength(1));
  expect(channel.flowing).toBe(false);
  port.postMessage(MIB / 2);
  await vi.waitFor(() => expect(channel.flowing).toBe(true));
});

test('acknowledging more than was sent buys no credit', async () => {
  const { channel, port } = openedChannel();
  port.postMessage(100 * MIB);
  port.postMessage(new Uint8Array([1]));
  await vi.waitFor(() => expect(channel.sent).toHaveLength(1));
  channel.feed(new Uint8Array(MIB + 1));
  expect(channel.flowing).toBe(false);
});

test('goodbye from either side closes the other', async () => {
  const byPage = openedChannel();
  byPage.port.postMessage(null);
  await vi.waitFor(() => expect(byPage.channel.closed).toBe(true));
  const byMachine = openedChannel();
  byMachine.channel.close();
  await vi.waitFor(() => expect(byMachine.received).toEqual([null]));
  const byCrash = openedChannel();
  byCrash.port.close();
  await vi.waitFor(() => expect(byCrash.channel.closed).toBe(true));
});

test('a page that goes away loses its channels, also those it never asked for', () => {
  const { bridge, contents, channel, posted } = openedChannel();
  const offered = new FakeChannel();
  const id = bridge.offer(contents, offered);
  const other = page();
  const kept = new FakeChannel();
  bridge.offer(other.contents, kept);
  bridge.drop(contents);
  expect([channel.closed, offered.closed, kept.closed]).toEqual([true, true, false]);
  bridge.ready(contents, id);
  expect(posted).toHaveLength(1);
});

test('a page can take only its own channels, and each once', () => {
  const bridge = new ChannelBridge(NodeChannel as unknown as typeof MessageChannelMainClass);
  const own = page();
  const stranger = page();
  const id = bridge.offer(own.contents, new FakeChannel());
  bridge.ready(stranger.contents, id);
  expect(stranger.posted).toHaveLength(0);
  bridge.ready(own.contents, id);
  bridge.ready(own.contents, id);
  expect(own.posted).toHaveLength(1);
});
