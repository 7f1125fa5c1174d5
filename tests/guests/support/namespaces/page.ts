import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Serves random bytes to everybody who asks. Arguments: address, bytes. */
const [address, bytes] = process.argv.slice(2) as [string, string];
const page = randomBytes(Number(bytes));
const server = createServer((_request, response) => response.end(page)).listen(0, address, () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ port, md5: createHash('md5').update(page).digest('hex') });
});
process.on('disconnect', () => process.exit(0));
