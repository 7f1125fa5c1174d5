import { ownerCaller } from '../../../core/contract/access.ts';
import { ContractServer } from '../../../core/contract/server.ts';
import type { Transport, WireMessage } from '../../../core/contract/transport.ts';
import type { Link } from '../../src/connection/link.ts';
import { MockManager, type MockOptions } from './manager.ts';
import { mockRfb } from './rfb.ts';
import { mockSerial } from './serial.ts';

/** Two ends of one in-memory transport. Messages are cloned, as a wire would. */
export function transportPair(): [Transport, Transport] {
  const listeners: [((m: unknown) => void)[], ((m: unknown) => void)[]] = [[], []];
  const closers: (() => void)[] = [];
  const end = (mine: 0 | 1): Transport => ({
    send(message: WireMessage) {
      const copy: unknown = JSON.parse(JSON.stringify(message));
      queueMicrotask(() => {
        for (const listener of listeners[mine === 0 ? 1 : 0]) listener(copy);
      });
    },
    onMessage: (listener) => void listeners[mine].push(listener),
    onClose: (listener) => void closers.push(listener),
    close() {
      for (const close of closers.splice(0)) close();
    },
  });
  return [end(0), end(1)];
}

export function mockLink(options: MockOptions): Link {
  const manager = new MockManager(options);
  return {
    async connect() {
      const [client, server] = transportPair();
      manager.attach(
        new ContractServer(server, { caller: ownerCaller('page'), handlers: manager.handlers, toError: (error) => manager.toError(error) }),
      );
      return client;
    },
    openChannel: async (kind, vmId) => (kind === 'rfb' ? mockRfb(manager.screenOf(vmId)) : mockSerial()),
    chooseFile: null,
    httpUrl: null,
    setToken: null,
  };
}
