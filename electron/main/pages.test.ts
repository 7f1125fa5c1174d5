import { EventEmitter } from 'node:events';
import type { WebContents } from 'electron';
import { expect, test, vi } from 'vitest';
import type { Transport } from '../../core/contract/transport.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { IPC } from '../ipcnames.ts';
import { Pages } from './pages.ts';

class FakeContents extends EventEmitter {
  readonly sent: unknown[][] = [];
  destroyed = false;
  reloads = 0;
  closes = 0;
  isDestroyed() {
    return this.destroyed;
  }
  send(...message: unknown[]) {
    this.sent.push(message);
  }
  reload() {
    this.reloads++;
  }
  close() {
    this.closes++;
  }
  navigate(properties = {}) {
    this.emit('did-start-navigation', { isMainFrame: true, isSameDocument: false, ...properties });
  }
  crash(reason = 'crashed') {
    this.emit('render-process-gone', {}, { reason });
  }
}

function world(askToReload: () => Promise<boolean> = async () => true) {
  const transports: Transport[] = [];
  const dropped: unknown[] = [];
  let time = 0;
  const pages = new Pages({
    manager: { connect: (transport: Transport) => void transports.push(transport) },
    channels: { drop: (contents: unknown) => void dropped.push(contents) } as never,
    log: nullLogger,
    now: () => time,
    askToReload,
  });
  const fake = new FakeContents();
  const contents = fake as unknown as WebContents;
  pages.adopt(contents);
  return { pages, fake, contents, transports, dropped, wait: (ms: number) => (time += ms) };
}

test('messages go both ways between a page and the manager', () => {
  const { pages, fake, contents, transports } = world();
  const heard: unknown[] = [];
  transports[0]!.onMessage((message) => heard.push(message));
  pages.deliver(contents, { type: 'call' });
  pages.deliver(new FakeContents() as unknown as WebContents, { type: 'of a stranger' });
  expect(heard).toEqual([{ type: 'call' }]);
  const event = { type: 'event' as const, event: 'x', payload: null };
  transports[0]!.send(event);
  expect(fake.sent).toEqual([[IPC.message, event]]);
  transports[0]!.close();
  expect(fake.sent[1]).toEqual([IPC.closed]);
});

test('the next page in a window hears nothing that was meant for the one before', () => {
  const { pages, fake, contents, transports, dropped } = world();
  const closed = vi.fn();
  transports[0]!.onClose(closed);
  const first = pages.current(contents);
  fake.navigate();
  expect(closed).toHaveBeenCalledTimes(1);
  expect(dropped).toEqual([contents]);
  expect(transports).toHaveLength(2);
  expect(pages.current(contents)).not.toBe(first);
  transports[0]!.send({ type: 'result', id: 1, result: 'late' });
  expect(fake.sent).toEqual([]);
  transports[1]!.send({ type: 'result', id: 1, result: 'ours' });
  expect(fake.sent).toHaveLength(1);
});

test('frames and hash changes leave the page connected', () => {
  const { fake, transports } = world();
  fake.navigate({ isMainFrame: false });
  fake.navigate({ isSameDocument: true });
  expect(transports).toHaveLength(1);
});

test('a window that is gone lets go of everything', () => {
  const { pages, fake, contents, transports, dropped } = world();
  const closed = vi.fn();
  transports[0]!.onClose(closed);
  fake.destroyed = true;
  fake.emit('destroyed');
  expect(closed).toHaveBeenCalledTimes(1);
  expect(dropped).toEqual([contents]);
  expect(pages.current(contents)).toBeUndefined();
  transports[0]!.close();
  expect(fake.sent).toEqual([]);
});

test('a crashed page is loaded again; one that keeps crashing asks first', async () => {
  const ask = vi.fn(async () => true);
  const { fake, wait, dropped } = world(ask);
  fake.crash();
  expect(dropped).toHaveLength(1);
  wait(1000);
  fake.crash('oom');
  await vi.waitFor(() => expect(fake.reloads).toBe(2));
  expect(ask).not.toHaveBeenCalled();
  wait(1000);
  fake.crash();
  await vi.waitFor(() => expect(fake.reloads).toBe(3));
  expect(ask).toHaveBeenCalledTimes(1);
});

test('crashes now and then are each mended', async () => {
  const ask = vi.fn(async () => true);
  const { fake, wait } = world(ask);
  for (let i = 0; i < 5; i++) {
    fake.crash();
    wait(40_000);
  }
  await vi.waitFor(() => expect(fake.reloads).toBe(5));
  expect(ask).not.toHaveBeenCalled();
});

test('the user may give up on a window', async () => {
  const { fake } = world(async () => false);
  for (let i = 0; i < 3; i++) fake.crash();
  await vi.waitFor(() => expect(fake.closes).toBe(1));
  expect(fake.reloads).toBe(2);
});

test('a page that ended as it should stays away', async () => {
  const { fake } = world();
  fake.crash('clean-exit');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(fake.reloads).toBe(0);
});
