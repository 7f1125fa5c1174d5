import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findNetworkRom } from '../../core/platform/firmware.ts';
import { FAST_BOOT, initramfs, linuxKernel } from './support/images.ts';
import { hypervueRun } from './support/runcommand.ts';

/** `hypervue run --netboot`: SeaBIOS starts the card's ROM, which is iPXE, and that what our gateway gives out by TFTP. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-netboot-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const given = path.join(folder, 'tftp');
mkdirSync(path.join(given, 'linux'), { recursive: true });

const ipxe = (['virtio', 'e1000'] as const).every((model) => findNetworkRom('', model, 'uefi'));
if (!ipxe) console.log('skipped: a start from the network needs iPXE (Debian: apt-get install ipxe-qemu)');

test.skipIf(!ipxe).concurrent(
  'a virtio card starts Linux by a script, a kernel and an initramfs from TFTP',
  async () => {
    copyFileSync(linuxKernel('amd64'), path.join(given, 'linux/vmlinuz'));
    copyFileSync(initramfs('amd64'), path.join(given, 'linux/initrd.gz'));
    const cmdline = `console=ttyS0,115200 quiet mitigations=off initrd=initrd.gz ${FAST_BOOT}`;
    writeFileSync(path.join(given, 'boot.ipxe'), `#!ipxe\nkernel linux/vmlinuz ${cmdline} \ninitrd linux/initrd.gz\nboot\n`);
    const { code, out, err } = await hypervueRun(
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
    const { code, out, err } = await hypervueRun(...args);
    expect(code, `${out}\n${err}`).toBe(0);
  },
  340_000,
);

test('what can not be started from is refused', async () => {
  expect(await hypervueRun('--netboot', 'a.ipxe')).toMatchObject({ code: 1, err: expect.stringContaining('--tftp') });
  expect(await hypervueRun('--tftp', given)).toMatchObject({ code: 1, err: expect.stringContaining('--netboot') });
  expect(await hypervueRun('--netboot', 'a', '--tftp', path.join(given, 'none'))).toMatchObject({
    code: 1,
    err: expect.stringContaining('is not there'),
  });
}, 60_000);
