import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { openRemoteChannel } from './client.ts';

/** What RFC 6455, section 4.2.2, makes of the client's key. */
const accept = (key: string) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

test('what a machine says in the very packet of the handshake is heard', async () => {
  const server = createServer();
  server.on('upgrade', (request, socket) => {
    const greeting = Buffer.from('RFB 003.008\n');
    const handshake = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept(request.headers['sec-websocket-key']!)}`,
      'Sec-WebSocket-Protocol: hypervue.channel',
      '\r\n',
    ];
    socket.write(Buffer.concat([Buffer.from(handshake.join('\r\n')), Buffer.of(0x82, greeting.length), greeting]));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    const channel = await openRemoteChannel({ url, token: 'T'.repeat(32), fingerprint: null }, 'rfb', 'vm');
    // Whoever asked for it has other things to do first.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const heard = await new Promise<string>((resolve) => channel.onData((bytes) => resolve(Buffer.from(bytes).toString())));
    expect(heard).toBe('RFB 003.008\n');
    channel.close();
  } finally {
    server.closeAllConnections();
    server.close();
  }
}, 10_000);
