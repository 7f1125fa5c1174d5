import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { unitText } from './serviceunit.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-unit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const main = fileURLToPath(new URL('main.ts', import.meta.url));
const usual = { node: process.execPath, cli: main, host: '127.0.0.1', port: 6880, tls: false };

const analyze = '/usr/bin/systemd-analyze';
if (!existsSync(analyze)) console.log('skipped: units are not verified (systemd-analyze is not installed)');

test.skipIf(!existsSync(analyze)).each([
  ['a user’s own', usual, '--user'],
  ['the system’s', { ...usual, user: 'root', tls: true, host: '0.0.0.0' }, '--system'],
  ['one in a folder with a strange name', { ...usual, home: '/srv/100% "mine" $HOME\\x' }, '--user'],
])('systemd finds nothing wrong with %s', (_what, options, mode) => {
  const file = path.join(folder, 'hypervue.service');
  writeFileSync(file, unitText(options));
  const { status, stdout, stderr } = spawnSync(analyze, [mode, '--man=no', '--recursive-errors=no', 'verify', file], {
    encoding: 'utf8',
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
  });
  // Other units of this computer may be complained of; ours must not.
  expect(`${stdout}${stderr}`.split('\n').filter((line) => line.includes('hypervue.service'))).toEqual([]);
  expect(status).toBe(0);
});

test('what a shell or systemd would make something of stays as it is', () => {
  const text = unitText({ ...usual, cli: '/opt/my "app"/100%/$HOME/cli.js' });
  expect(text).toContain('"/opt/my \\"app\\"/100%%/$$HOME/cli.js"');
  for (const options of [
    { host: '127.0.0.1\nExecStartPre=/bin/sh' },
    { host: 'a b' },
    { user: 'root\nUser=x' },
    { user: '-x' },
    { cli: '/a\n/b' },
  ])
    expect(() => unitText({ ...usual, ...options })).toThrow(expect.objectContaining({ kind: 'invalid-argument' }));
});

test('install writes the unit, status finds it, uninstall takes it away again', () => {
  const env = { ...process.env, XDG_CONFIG_HOME: folder, HYPERVUE_HOME: path.join(folder, 'home') };
  const run = (...args: string[]) => spawnSync(process.execPath, [main, 'service', ...args], { encoding: 'utf8', env });
  const file = path.join(folder, 'systemd/user/hypervue.service');
  expect(run('status')).toMatchObject({ status: 1, stdout: expect.stringContaining('Not installed') });
  expect(execFileSync(process.execPath, [main, 'service', 'install', '--print', '--tls'], { encoding: 'utf8', env })).toContain(
    '--tls --save-on-stop',
  );
  if (existsSync('/run/systemd/system')) return;
  expect(run('install', '--port', '7000')).toMatchObject({ status: 0, stdout: expect.stringContaining(file) });
  expect(readFileSync(file, 'utf8')).toMatch(/--port 7000[\s\S]*HYPERVUE_HOME=/);
  expect(run('status').stdout).toContain('is installed');
  expect(run('uninstall')).toMatchObject({ status: 0, stdout: expect.stringContaining('is removed') });
  expect(existsSync(file)).toBe(false);
  expect(run('uninstall')).toMatchObject({ status: 1, stderr: expect.stringContaining('there is no') });
});
