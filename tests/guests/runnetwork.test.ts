import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cardScriptInitramfs } from './support/cardinitramfs.ts';
import { FAST_BOOT, linuxKernel } from './support/images.ts';
import { hypervueRun } from './support/runcommand.ts';

/** `hypervue run --network`: Linux gets an address, reaches the gateway, and is reached through a forwarded port. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-runnet-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = `ping -c 1 -W 20 192.168.100.1 >/dev/null && echo GATEWAY ANSWERS
echo FROM THE GUEST | nc -l -p 7000
echo WAS REACHED`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What the port says before it ends; '' where nobody is there. */
const said = (port: number) =>
  new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.on('data', (data) => (text += data));
    socket.on('error', () => resolve(text));
    socket.on('close', () => resolve(text));
    socket.on('end', () => socket.end());
  });

test('a guest gets an address, reaches the gateway, and is reached', async () => {
  const port = await freePort();
  const cmdline = `console=ttyS0,115200 quiet mitigations=off rdinit=/card/go ${FAST_BOOT}`;
  const done = { over: false };
  const running = hypervueRun(
    ...[
      '--kernel',
      linuxKernel('amd64'),
      '--initrd',
      cardScriptInitramfs(folder, 'virtio', lines),
      '--append',
      cmdline,
      '--forward',
      `${port}:7000`,
    ],
    ...['--expect', 'WAS REACHED', '--timeout', '200'],
  ).finally(() => (done.over = true));
  let heard = '';
  while (!done.over && !heard) {
    heard = await said(port);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const { code, out, err } = await running;
  expect(heard, `${out}\n${err}`).toBe('FROM THE GUEST\n');
  expect(code).toBe(0);
  expect(out).toMatch(/LEASE 192\.168\.100\.\d+\/24 router=192\.168\.100\.1\s[\s\S]*GATEWAY ANSWERS/);
}, 240_000);

test('a port that somebody has, and a run that is to be the same every time, are refused', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const taken = await hypervueRun('--memory', '16', '--quiet', '--forward', `${port}:80`);
  server.close();
  expect(taken.code).toBe(125);
  expect(taken.err).toContain(`port ${port} of this computer can't be listened on (EADDRINUSE)`);
  const counted = await hypervueRun('--memory', '16', '--network', '--clock', 'instructions');
  expect(counted).toMatchObject({ code: 1, err: expect.stringContaining('never the same twice') });
  expect(await hypervueRun('--forward', '80')).toMatchObject({ code: 2, err: expect.stringContaining('2222:22') });
}, 60_000);
