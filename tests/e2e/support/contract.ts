import { WebSocket } from 'ws';
import { ContractClient } from '../../../core/contract/client.ts';
import type { Transport } from '../../../core/contract/transport.ts';
import type { TestServer } from './server.ts';

/** A contract client of its own over the server's WebSocket, for what a test has to arrange or ask behind the browser's back. */
export async function openContract(server: Pick<TestServer, 'url' | 'token'>): Promise<ContractClient & { end(): void }> {
  const socket = new WebSocket(new URL('contract', server.url.replace(/^http/, 'ws')));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => socket.send(JSON.stringify({ type: 'auth', token: server.token })));
    socket.once('message', () => resolve());
    socket.once('close', (code, reason) => reject(new Error(`the server closed with ${code} ${reason}`)));
    socket.once('error', reject);
  });
  const transport: Transport = {
    send: (message) => socket.send(JSON.stringify(message)),
    onMessage: (listener) => socket.on('message', (data) => listener(JSON.parse(String(data)))),
    onClose: (listener) => socket.on('close', () => listener()),
    close: () => socket.close(),
  };
  return Object.assign(new ContractClient(transport), { end: () => socket.close() });
}
