import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

/** `hypervue network` as a process of its own; its machines are the fake VM process. */
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const home = mkdtempSync(path.join(tmpdir(), 'hv-net-cli-'));
const env = { ...process.env, HYPERVUE_HOME: home, XDG_RUNTIME_DIR: path.join(home, 'xdg'), HYPERVUE_FAKE_VM: '1' };
afterAll(() => rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));

function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

async function json<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await run(...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')}: code ${code}, ${err}`);
  return JSON.parse(out) as T;
}

test('networks are made with addresses that are free, changed, shown and deleted', { timeout: 60_000 }, async () => {
  expect(await json('network', 'create', 'Lab', '--kind', 'isolated')).toMatchObject({
    id: 'lab',
    kind: 'isolated',
    subnet: '192.168.101.0/24',
    dhcp: { from: '192.168.101.128', to: '192.168.101.254' },
  });
  expect(await json('network', 'create', 'Two', '--no-dhcp')).toMatchObject({ kind: 'nat', subnet: '192.168.102.0/24', dhcp: null });
  // The range moves along with its network.
  expect(await json('network', 'set', 'lab', '--name', 'Labor', '--subnet', '10.7.0.0/28')).toMatchObject({
    name: 'Labor',
    dhcp: { from: '10.7.0.8', to: '10.7.0.14' },
  });
  const { out } = await run('network', 'list');
  expect(out).toMatch(/^lab +Labor +isolated +10\.7\.0\.0\/28 +idle/m);
  expect((await run('network', 'info', 'Labor')).out).toContain('DHCP     10.7.0.8 to 10.7.0.14');
  expect((await run('network', 'delete', 'LABOR')).code).toBe(0);
  const gone = await run('network', 'info', 'lab');
  expect(gone.code).toBe(1);
  expect(gone.err).toContain('there is no network lab');
  const bad = await run('network', 'create', 'Bad', '--subnet', '10.7.0.1');
  expect(bad.code).toBe(2);
  expect(bad.err).toContain('10.7.0.0/24');
});

test('a port of this computer is forwarded to a machine, and not any more', { timeout: 60_000 }, async () => {
  await json('create', '--blank', '--name', 'web', '--memory', '64M');
  expect(await json('network', 'forward', 'add', 'default', 'web', '2222:22', '--description', 'ssh')).toMatchObject({
    id: 'tcp-2222',
    protocol: 'tcp',
    hostAddress: '127.0.0.1',
    guestPort: 22,
    card: 'net0',
  });
  await json('network', 'forward', 'add', 'default', 'web', '5353', '--udp', '--address', '0.0.0.0');
  const { out } = await run('network', 'forward', 'list', 'Default');
  expect(out).toMatch(/^udp-5353 +udp +0\.0\.0\.0:5353 +web +net0 +5353/m);
  expect((await run('network', 'info', 'default')).out).toContain('tcp-2222: tcp 127.0.0.1:2222 to web net0, port 22');
  const twice = await run('network', 'forward', 'add', 'default', 'web', '2222:80');
  expect(twice.code).toBe(1);
  expect(twice.err).toContain('2222');
  expect((await run('network', 'forward', 'remove', 'default', 'tcp-2222')).code).toBe(0);
  expect((await run('network', 'forward', 'remove', 'default', 'tcp-2222')).err).toContain('there is no forward tcp-2222');
  expect((await run('network', 'forward', 'add', 'default', 'web', '70000:22')).code).toBe(2);
});
