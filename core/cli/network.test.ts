import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findNetworkRom } from '../platform/firmware.ts';
import { testCommand } from './testing/command.ts';

/** `hypervue network` as a process of its own; its machines are the fake VM process. */
const { run, json } = testCommand();
const folder = mkdtempSync(path.join(tmpdir(), 'hv-given-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ipxe = findNetworkRom('', 'e1000', 'bios') !== undefined;
if (!ipxe) console.log('skipped: a machine that starts from the network needs iPXE (Debian: apt-get install ipxe-qemu)');

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

test('what machines start from is set, shown, changed and taken back', { timeout: 60_000 }, async () => {
  expect(await json('network', 'set', 'default', '--boot', 'boot.ipxe', '--tftp', folder)).toMatchObject({
    boot: { file: 'boot.ipxe', folder },
  });
  expect((await run('network', 'info', 'default')).out).toContain(`boot     boot.ipxe, TFTP from ${folder}\n`);
  // The folder stays where only the file is another.
  expect(await json('network', 'set', 'default', '--boot', 'other.ipxe')).toMatchObject({ boot: { file: 'other.ipxe', folder } });
  expect(await json('network', 'set', 'default', '--boot-uefi', 'a.efi')).toMatchObject({
    boot: { file: 'other.ipxe', uefiFile: 'a.efi', folder },
  });
  expect((await run('network', 'info', 'default')).out).toContain(`boot     other.ipxe (UEFI: a.efi), TFTP from ${folder}\n`);
  expect((await json<{ boot: object }>('network', 'set', 'default', '--boot-uefi', 'none')).boot).toEqual({ file: 'other.ipxe', folder });
  expect((await run('network', 'set', 'default', '--no-boot', '--boot-uefi', 'a.efi')).err).toContain('exclude each other');
  const url = 'http://boot.example.org/menu.ipxe';
  expect(await json('network', 'set', 'default', '--boot', url)).toMatchObject({ boot: { file: url, folder: null } });
  expect(await json('network', 'set', 'default', '--description', 'ours')).toMatchObject({ boot: { file: url } });
  expect((await run('network', 'set', 'default', '--no-boot', '--tftp', folder)).err).toContain('exclude each other');
  expect(await json('network', 'set', 'default', '--no-boot')).toMatchObject({ boot: null });
  expect((await run('network', 'set', 'default', '--tftp', folder)).err).toContain('--boot');
  expect((await run('network', 'set', 'default', '--boot', 'a.ipxe')).err).toContain('neither a URL nor in a folder');
  expect((await run('network', 'create', 'In', '--kind', 'isolated', '--boot', url)).err).toContain('NAT');
  expect(await json('network', 'create', 'In', '--boot', url)).toMatchObject({ kind: 'nat', boot: { file: url, folder: null } });
  expect((await run('create', '--netboot', '--blank')).err).toContain('exclude each other');
});

test.skipIf(!ipxe)('a machine is made that starts from the network', { timeout: 60_000 }, async () => {
  await json('network', 'create', 'Install', '--boot', 'http://boot.example.org/menu.ipxe');
  const made = await json('create', '--netboot', '--name', 'Net', '--memory', '64M', '--network', 'install', '--new-disk', '1G');
  expect(made).toMatchObject({ config: { boot: { order: ['disk', 'net0', 'cdrom', 'floppy'] } } });
  const warned = await run('create', '--netboot', '--name', 'Other', '--memory', '64M');
  expect([warned.code, warned.err]).toEqual([0, expect.stringContaining('warning: the network Default hands out nothing to start from')]);
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
