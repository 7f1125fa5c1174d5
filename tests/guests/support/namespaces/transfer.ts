import { createHash } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';

/** One end of a transfer over TCP. `serve ADDRESS PORT BYTES`, or `fetch ADDRESS PORT BYTES`: each sends that many bytes and says the SHA-256 of what it sent and received. */
const [role, address, port, bytes] = process.argv.slice(2) as ['serve' | 'fetch', string, string, string];

function exchange(socket: Socket): void {
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let [left, came] = [Number(bytes), 0];
  // Other bytes at each end, and no two blocks alike.
  const seed = role === 'serve' ? 7 : 11;
  const more = () => {
    while (left > 0) {
      const block = Buffer.alloc(Math.min(left, 65_536));
      for (let at = 0; at + 4 <= block.length; at += 4) block.writeUInt32LE((Math.imul(left - at, 0x9e37_79b1) + seed) >>> 0, at);
      left -= block.length;
      sent.update(block);
      if (!socket.write(block)) {
        socket.once('drain', more);
        return;
      }
    }
    socket.end();
  };
  socket.on('data', (chunk) => {
    came += chunk.length;
    received.update(chunk);
  });
  let ends = 0;
  const ended = () => {
    if (++ends === 2) process.send?.({ sent: sent.digest('hex'), received: received.digest('hex'), came });
  };
  socket.on('end', ended);
  socket.on('finish', ended);
  more();
}

if (role === 'serve') {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close();
    exchange(socket);
  });
  server.listen(Number(port), address, () => process.send?.('listening'));
} else {
  const socket = connect({ host: address, port: Number(port), allowHalfOpen: true }, () => exchange(socket));
}
