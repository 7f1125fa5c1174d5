import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ContractClient } from '../../core/contract/client.ts';
import type { Params } from '../../core/contract/methods.ts';
import type { NicModel } from '../../core/contract/networks.ts';
import type { VmConfig, VmCreate } from '../../core/contract/vm.ts';
import { memoryLine } from '../../core/manager/testing/harness.ts';
import { findNetworkRom, findUefi } from '../../core/platform/firmware.ts';
import { openManager } from '../../core/server/openmanager.ts';
import { nullLogger } from '../../core/util/logger.ts';
import { FAST_BOOT, initramfs, linuxKernel } from './support/images.ts';
import { Terminal } from './support/machineonnetwork.ts';
import { hypervueRun } from './support/runcommand.ts';

/** SeaBIOS or OVMF starts a card's ROM, which is iPXE, and that what our gateway gives out by TFTP: of `hypervue run --netboot`, and of machines of a library. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-netboot-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const given = path.join(folder, 'tftp');
mkdirSync(path.join(given, 'linux'), { recursive: true });
/** One script starts with both firmwares. */
const LINUX = 'boot.ipxe';
const HELLO = 'hello.ipxe';
const OTHER = 'other.ipxe';
beforeAll(() => {
  copyFileSync(linuxKernel('amd64'), path.join(given, 'linux/vmlinuz'));
  copyFileSync(initramfs('amd64'), path.join(given, 'linux/initrd.gz'));
  const cmdline = `console=ttyS0,115200 quiet mitigations=off initrd=initrd.gz ${FAST_BOOT}`;
  writeFileSync(path.join(given, LINUX), `#!ipxe\nkernel linux/vmlinuz ${cmdline} \ninitrd linux/initrd.gz\nboot\n`);
  writeFileSync(path.join(given, OTHER), '#!ipxe\necho FOR THE OTHER FIRMWARE\nsleep 1000\n');
  writeFileSync(path.join(given, HELLO), '#!ipxe\necho SCRIPT OF THE GATEWAY\nsleep 1000\n');
});

const ENTRY = new URL('../../core/cli/main.ts', import.meta.url).href;
const uefi = findUefi('').available;
if (!uefi) console.log('skipped: a start from the network with UEFI needs OVMF (Debian: apt-get install ovmf)');
const ipxe = (['virtio', 'e1000'] as const).every((model) => findNetworkRom('', model, 'uefi'));
if (!ipxe) console.log('skipped: a start from the network needs iPXE (Debian: apt-get install ipxe-qemu)');

/** The library's machine below starts the same Linux over the same card. */
const withoutLibrary = () =>
  test.skipIf(!ipxe).concurrent(
    'a virtio card starts Linux by a script, a kernel and an initramfs from TFTP',
    async () => {
      const { code, out, err } = await hypervueRun(
        '--netboot',
        LINUX,
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
if (process.env.HYPERVUE_LONG) withoutLibrary();

test.skipIf(!ipxe).concurrent(
  'an e1000 card starts a script',
  async () => {
    const args = [
      '--nic',
      'e1000',
      '--netboot',
      HELLO,
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

/** A machine as the wizard makes it for a start from the network, with an empty disk, in a library of its own; `look` at it while it runs. */
async function libraryMachine(
  name: string,
  file: string,
  wanted: Pick<VmCreate, 'firmware'> & { model: NicModel },
  look: (guest: { terminal: Terminal; order: VmConfig['boot']['order'] }) => Promise<unknown>,
): Promise<void> {
  const at = (place: string) => path.join(folder, name, place);
  const manager = await openManager({
    folders: { library: at('machines'), libraryFrom: 'usual', config: at('config'), runtime: at('run'), locks: at('locks') },
    entry: ENTRY,
    version: '0.0.0',
    mode: 'headless',
    log: nullLogger,
  });
  try {
    const [mine, theirs] = memoryLine();
    manager.connect(theirs);
    const client = new ContractClient(mine);
    const { model, firmware = 'bios' } = wanted;
    // Each firmware has its own: the other's would tell.
    const files = firmware === 'uefi' ? { file: OTHER, uefiFile: file } : { file, uefiFile: OTHER };
    await client.call('network.update', { id: 'default', patch: { boot: { ...files, folder: given } } });
    const create: Params<'vm.create'> = {
      name,
      cpuModel: 'x86-64',
      memoryMiB: 256,
      firmware,
      source: { type: 'network' },
      newDisk: { sizeBytes: 64 * 1024 * 1024 },
      network: [{ id: 'net0', model, network: 'default' }],
    };
    expect((await client.call('vm.preflight', create)).filter(({ ok }) => !ok)).toEqual([]);
    const { id, config } = await client.call('vm.create', create);
    await client.call('vm.start', { id });
    const terminal = new Terminal(await manager.openChannel(id, 'serial0'));
    await look({ terminal, order: config!.boot.order });
    await client.call('vm.forceOff', { id });
  } finally {
    await manager.close();
  }
}

test.skipIf(!ipxe).concurrent(
  'a machine of a library with an empty disk starts Linux from the network behind it',
  () =>
    libraryMachine('bios', LINUX, { model: 'virtio' }, async ({ terminal, order }) => {
      expect(order.slice(0, 2)).toEqual(['disk', 'net0']);
      await terminal.until(/GUEST READY/, 0, 300_000);
    }),
  340_000,
);

test
  .skipIf(!ipxe || !uefi)
  .concurrent(
    'one with UEFI starts a script over an e1000',
    () =>
      libraryMachine('uefi', HELLO, { model: 'e1000', firmware: 'uefi' }, ({ terminal }) =>
        terminal.until(/SCRIPT OF THE GATEWAY/, 0, 300_000),
      ),
    340_000,
  );

test.skipIf(!ipxe || !uefi || !process.env.HYPERVUE_LONG).each(['virtio', 'e1000'] as const)(
  'with UEFI, Linux starts over %s',
  (model) =>
    libraryMachine(`long-${model}`, LINUX, { model, firmware: 'uefi' }, ({ terminal }) => terminal.until(/GUEST READY/, 0, 300_000)),
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
