import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, expect, test, vi } from 'vitest';
import type { ByteChannel, Transport } from '../../../core/contract/transport.ts';
import { useConnection } from '../stores/connection.ts';
import { type Link, LinkError } from './link.ts';
import { desktopLink } from './links.ts';
import { RfbChannel } from './rfbchannel.ts';
import { base64Url, takeToken } from './token.ts';
import { openWebSocketChannel } from './websocketchannel.ts';
import { openWebSocketTransport } from './websockettransport.ts';

class FakeSocket {
  readyState = 1;
  bufferedAmount = 0;
  binaryType = '';
  sent: unknown[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  send(data: unknown) {
    this.sent.push(data);
  }
  close() {
    this.readyState = 3;
    this.onclose?.({ code: 1000, reason: '' });
  }
}

beforeEach(() => setActivePinia(createPinia()));

test('the token moves from the hash to session storage and leaves the address bar', () => {
  const storage = new Map<string, string>();
  const fake = {
    getItem: (k: string) => storage.get(k) ?? null,
    setItem: (k: string, v: string) => storage.set(k, v),
  } as unknown as Storage;
  const replaceState = vi.fn();
  const location = { hash: '#token=a%2Bb', pathname: '/', search: '' } as Location;
  expect(takeToken(location, { replaceState, state: null } as unknown as History, fake)).toBe('a+b');
  expect(replaceState).toHaveBeenCalledWith(null, '', '/#/');
  expect(
    takeToken({ hash: '#/token=c', pathname: '/', search: '' } as Location, { replaceState, state: null } as unknown as History, fake),
  ).toBe('c');
  expect(takeToken({ hash: '#/machines' } as Location, {} as History, fake)).toBe('c');
});

test('the token is base64url without padding, also beyond Latin 1', () => {
  expect(base64Url('a+b/c?>')).toBe('YStiL2M_Pg');
  expect(base64Url('钥匙')).toBe('6ZKl5YyZ');
});

test('the contract socket sends the token first and is usable only after ready', async () => {
  const socket = new FakeSocket();
  const opening = openWebSocketTransport('ws://x/', 'secret', () => socket as unknown as WebSocket);
  socket.onopen?.();
  expect(JSON.parse(socket.sent[0] as string)).toEqual({ type: 'auth', token: 'secret' });
  socket.onmessage?.({ data: '{"type":"ready"}' });
  const transport = await opening;
  const received: unknown[] = [];
  transport.onMessage((message) => received.push(message));
  socket.onmessage?.({ data: '{"type":"event"}' });
  socket.onmessage?.({ data: 'not json' });
  expect(received).toEqual([{ type: 'event' }, null]);
});

test('code 4401 means unauthorized and brings the reason; anything else means unreachable', async () => {
  for (const [code, kind] of [
    [4401, 'unauthorized'],
    [1006, 'unreachable'],
  ] as const) {
    const socket = new FakeSocket();
    const opening = openWebSocketTransport('ws://x/', 'secret', () => socket as unknown as WebSocket);
    socket.onclose?.({ code, reason: 'why' });
    await expect(opening).rejects.toMatchObject({ kind, message: 'why' });
  }
});

test('a byte channel names its token as subprotocol and keeps bytes that come before anybody listens', async () => {
  const socket = new FakeSocket();
  let protocols: string[] = [];
  const opening = openWebSocketChannel('ws://x/', 'secret', (_url, p) => {
    protocols = p;
    return socket as unknown as WebSocket;
  });
  socket.onopen?.();
  socket.onmessage?.({ data: Uint8Array.from([1, 2]).buffer });
  const channel = await opening;
  expect(protocols).toEqual(['hypervue.channel', 'token.c2VjcmV0']);
  const received: number[] = [];
  channel.onData((bytes) => received.push(...bytes));
  socket.onmessage?.({ data: Uint8Array.from([3]).buffer });
  expect(received).toEqual([1, 2, 3]);
  socket.bufferedAmount = 8 * 1024 * 1024;
  expect(channel.send(Uint8Array.from([9]))).toBe(false);
});

function memoryChannel(): ByteChannel & { sent: Uint8Array[]; feed(bytes: Uint8Array): void; closed: boolean } {
  let listener: (bytes: Uint8Array) => void = () => {};
  return {
    sent: [],
    closed: false,
    send(bytes) {
      this.sent.push(bytes);
      return true;
    },
    onData: (each) => void (listener = each),
    onDrain() {},
    onClose() {},
    close() {
      this.closed = true;
    },
    feed: (bytes) => listener(bytes),
  };
}

test('the RFB channel copies what noVNC sends and cuts out what it receives', async () => {
  const inner = memoryChannel();
  const channel = new RfbChannel(inner);
  const received: number[][] = [];
  channel.onmessage = ({ data }) => received.push([...new Uint8Array(data)]);
  channel.start();
  const reused = Uint8Array.from([1, 2, 3]);
  channel.send(reused.subarray(0, 2));
  reused.fill(0);
  expect([...inner.sent[0]!]).toEqual([1, 2]);
  inner.feed(Uint8Array.from([7, 8, 9]).subarray(1));
  expect(received).toEqual([[8, 9]]);
  const onclose = vi.fn();
  channel.onclose = onclose;
  channel.close();
  expect(onclose).not.toHaveBeenCalled();
  await Promise.resolve();
  expect(onclose).toHaveBeenCalledOnce();
  expect(channel.readyState).toBe(3);
});

function scriptedLink(
  results: ('ok' | LinkError)[],
): Link & { transports: { receive(message: unknown): void; drop(): void }[]; tokens: string[] } {
  const transports: { receive(message: unknown): void; drop(): void }[] = [];
  const tokens: string[] = [];
  return {
    transports,
    tokens,
    async connect(): Promise<Transport> {
      const next = results.shift() ?? 'ok';
      if (next !== 'ok') throw next;
      let onMessage: (message: unknown) => void = () => {};
      let onClose: () => void = () => {};
      transports.push({ receive: (message) => onMessage(message), drop: () => onClose() });
      return { send() {}, onMessage: (each) => void (onMessage = each), onClose: (each) => void (onClose = each), close() {} };
    },
    openChannel: () => Promise.reject(new LinkError('unreachable', '')),
    chooseFile: null,
    httpUrl: null,
    setToken: (token) => void tokens.push(token),
  };
}

test('a lost connection comes back by itself, with the same listeners and a new ready signal', async () => {
  vi.useFakeTimers();
  const link = scriptedLink(['ok', new LinkError('unreachable', 'gone'), 'ok']);
  const connection = useConnection();
  const removed: string[] = [];
  let ready = 0;
  connection.on('vm.removed', ({ id }) => removed.push(id));
  connection.onReady(() => ready++);
  await connection.start(link);
  expect(connection.state).toBe('ready');
  link.transports[0]!.receive({ type: 'event', event: 'vm.removed', payload: { id: 'a' } });
  const pending = connection.call('vm.list', {});
  link.transports[0]!.drop();
  await expect(pending).rejects.toMatchObject({ kind: 'io-error' });
  expect(connection.state).toBe('lost');
  await vi.advanceTimersByTimeAsync(500);
  expect(connection.reason).toBe('gone');
  await vi.advanceTimersByTimeAsync(1000);
  expect(connection.state).toBe('ready');
  link.transports[1]!.receive({ type: 'event', event: 'vm.removed', payload: { id: 'b' } });
  expect(removed).toEqual(['a', 'b']);
  expect(ready).toBe(2);
  vi.useRealTimers();
});

test('why the remote server of a desktop window can’t be reached is kept for readers of other languages too', async () => {
  const said = { key: 'cantReach', params: { host: 'rack', problem: 'ECONNREFUSED' } };
  const failure = { kind: 'io-error', message: "can't reach rack: ECONNREFUSED", context: {}, said };
  const connection = useConnection();
  await connection.start(desktopLink({ connect: async () => failure, onMessage: () => {}, onClose: () => {} } as never, 'rack'));
  expect([connection.state, connection.reason, connection.saidReason]).toEqual(['lost', failure.message, said]);
});

test('a refused token stops the attempts until another one is given', async () => {
  vi.useFakeTimers();
  const link = scriptedLink([new LinkError('unauthorized', 'wrong token'), 'ok']);
  const connection = useConnection();
  await connection.start(link);
  expect([connection.state, connection.reason]).toEqual(['unauthorized', 'wrong token']);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(link.transports).toHaveLength(0);
  await connection.logIn('right');
  expect(link.tokens).toEqual(['right']);
  expect(connection.state).toBe('ready');
  vi.useRealTimers();
});
