import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { findNetworkRom } from '../../core/platform/firmware.ts';
import { FAST_BOOT, initramfs, linuxKernel } from './support/images.ts';

/** `hypervue run --netboot`: SeaBIOS starts the card's ROM, which is iPXE, and that what our gateway gives out by TFTP. */
const bin = fileURLToPath(new URL('../../core/cli/main.ts', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-netboot-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const given = path.join(folder, 'tftp');
mkdirSync(path.join(given, 'linux'), { recursive: true });

const ipxe = findNetworkRom('', 'virtio') !== undefined && findNetworkRom('', 'e1000') !== undefined;
if (!ipxe) console.log('skipped: a start from the network needs iPXE (Debian: apt-get install ipxe-qemu)');

function hypervue(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, 'run', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

test.skipIf(!ipxe).concurrent(
  'a virtio card starts Linux by a script, a kernel and an initramfs from TFTP',
  async () => {
    copyFileSync(linuxKernel('amd64'), path.join(given, 'linux/vmlinuz'));
    copyFileSync(initramfs('amd64'), path.join(given, 'linux/initrd.gz'));
    const cmdline = `console=ttyS0,115200 quiet mitigations=off initrd=initrd.gz ${FAST_BOOT}`;
    writeFileSync(path.join(given, 'boot.ipxe'), `#!ipxe\nkernel linux/vmlinuz ${cmdline} \ninitrd linux/initrd.gz\nboot\n`);
    const { code, out, err } = await hypervue(
      '--netboot',
      'boot.ipxe',
      '--tftp',
      given,
      '--expect',
      'GUEST READY',
      '--timeout',
      '300',
      '--screen',
    );
    expect(code, `${out}\n${err}`).toBe(0);
  },
  340_000,
);

test.skipIf(!ipxe).concurrent(
  'an e1000 card starts a script',
  async () => {
    writeFileSync(path.join(given, 'hello.ipxe'), '#!ipxe\necho SCRIPT OF THE GATEWAY\nsleep 1000\n');
    const args = [
      '--nic',
      'e1000',
      '--netboot',
      'hello.ipxe',
      '--tftp',
      given,
      '--expect',
      'SCRIPT OF THE GATEWAY',
      '--timeout',
      '300',
      '--screen',
    ];
    const { code, out, err } = await hypervue(...args);
    expect(code, `${out}\n${err}`).toBe(0);
  },
  340_000,
);

test('what can not be started from is refused', async () => {
  expect(await hypervue('--netboot', 'a.ipxe')).toMatchObject({ code: 1, err: expect.stringContaining('--tftp') });
  expect(await hypervue('--tftp', given)).toMatchObject({ code: 1, err: expect.stringContaining('--netboot') });
  expect(await hypervue('--netboot', 'a', '--tftp', path.join(given, 'none'))).toMatchObject({
    code: 1,
    err: expect.stringContaining('is not there'),
  });
  expect(await hypervue('--netboot', 'a', '--tftp', given, '--uefi')).toMatchObject({ code: 1, err: expect.stringContaining('BIOS') });
}, 60_000);
