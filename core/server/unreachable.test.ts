import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { saidTexts } from '../contract/saidtexts.ts';
import type { HypervueError } from '../util/errors.ts';
import { probeCertificate } from './pinned.ts';
import { signIn } from './remote/client.ts';
import { unreachable } from './unreachable.ts';

/** What people read when a server can't be spoken with: never the words of OpenSSL or of the system. */
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listening(answer: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    answer(socket);
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
const rejection = (work: Promise<unknown>) =>
  work.then(
    () => Promise.reject(new Error('it was reached')),
    (error: HypervueError) => error,
  );
const look = (port: number) => rejection(probeCertificate(new URL(`https://127.0.0.1:${port}/`)));
const sign = (url: string) => rejection(signIn({ url, token: 'T'.repeat(32), fingerprint: null }));
const why = (error: HypervueError) => (error.said!.params.problem as { key: string }).key;

test('a server without TLS, another program, and one that hangs up are told apart from none at all', async () => {
  const ssh = await listening((socket) => socket.end('SSH-2.0-none\r\n'));
  const deaf = await listening((socket) => socket.destroy());
  const noTls = await look(ssh);
  expect(noTls).toMatchObject({
    kind: 'io-error',
    message: `can't reach 127.0.0.1:${ssh}: it does not speak TLS at this port`,
    saidFix: { key: 'fixServerPlain' },
  });
  expect(why(await sign(`https://127.0.0.1:${ssh}/`))).toBe('netNoTls');
  expect(why(await sign(`http://127.0.0.1:${ssh}/`))).toBe('netNoHttp');
  expect(why(await look(deaf))).toBe('netClosed');
  expect(why(await sign(`http://127.0.0.1:${deaf}/`))).toBe('netClosed');
  // Nobody may listen at port 1 but root.
  expect(why(await look(1))).toBe('netRefused');
  expect(why(await sign('http://127.0.0.1:1/'))).toBe('netRefused');
});

test.each([
  ['ENOTFOUND', 'netUnknownName'],
  ['EHOSTUNREACH', 'netNoWay'],
  ['ETIMEDOUT', 'netSilent'],
  ['CERT_HAS_EXPIRED', 'netCertificateExpired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'netCertificateName'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'netNotVouched'],
])('%s is said as %s', (code, key) => {
  const error = unreachable('rack', 'https://rack/', Object.assign(new Error('raw words'), { code }));
  expect(why(error)).toBe(key);
  expect(error.message).toBe(`can't reach rack: ${saidTexts[key as keyof typeof saidTexts]}`);
});

test('what is not known keeps its code, and a silent WebSocket its reason', () => {
  expect(unreachable('rack', 'u', Object.assign(new Error('raw'), { code: 'ENEW' })).message).toBe("can't reach rack: ENEW");
  expect(why(unreachable('rack', 'u', new Error('Opening handshake has timed out')))).toBe('netSilent');
});
