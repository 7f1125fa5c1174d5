import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../../tests/e2e/support/browser.ts';
import { openContract } from '../../tests/e2e/support/contract.ts';
import type { TestServer } from '../../tests/e2e/support/server.ts';
import { FAST_BOOT, grubCdrom, linuxIso, linuxKernel, memtestIso } from '../../tests/guests/support/images.ts';
import { networkInitramfs } from '../../tests/guests/support/networkinitramfs.ts';

/** A server of a copy of the built app, installed aside so that the pictures show no path of this checkout. */
export interface Showcase {
  server: TestServer;
  contract: Awaited<ReturnType<typeof openContract>>;
  /** Boots to a shell; used for the pages of one machine. */
  linux: string;
  linuxImage: string;
  /** Makes the machines, disks, snapshots and tasks that the pictures show; before that the library is empty. */
  fill(): Promise<void>;
  end(): Promise<void>;
}

/** The shell of the initramfs asks with this. */
const SHELL = '/ #';

/** `stage`: the folder it lies in, which pictures show. It is emptied first and removed at the end. */
export async function openShowcase(stage = path.join(tmpdir(), 'hypervue')): Promise<Showcase> {
  rmSync(stage, { recursive: true, force: true });
  const root = fileURLToPath(new URL('../..', import.meta.url));
  for (const part of ['out/main', 'out/renderer', 'out/wasm', 'out/sample', 'out/systems', 'resources/firmware', 'package.json'])
    cpSync(path.join(root, part), path.join(stage, 'app', part), { recursive: true });
  mkdirSync(path.join(stage, 'images'));
  const image = (from: string, name: string) => {
    const to = path.join(stage, 'images', name);
    copyFileSync(from, to);
    return to;
  };
  const linuxImage = image(linuxIso(), 'linux-6.1-i386.iso');
  const memtestImage = image(memtestIso(), 'memtest86+.iso');
  const grubImage = image(grubCdrom(), 'grub-rescue.iso');
  const kernel = image(linuxKernel('amd64'), 'vmlinuz-6.1-amd64');
  const initrd = image(networkInitramfs(), 'initrd-6.1-amd64.gz');
  process.env.HYPERVUE_CLI = path.join(stage, 'app/out/main/cli.js');
  const { startServer } = await import('../../tests/e2e/support/server.ts');
  const server = await startServer(path.join(stage, 'home'));
  const contract = await openContract(server);

  const showcase: Showcase = {
    server,
    contract,
    linux: '',
    linuxImage,
    async fill() {
      const create = async (
        name: string,
        source: Parameters<typeof contract.call<'vm.create'>>[1]['source'],
        memoryMiB: number,
        disk = false,
      ) => {
        // The check image has no use for a card.
        const network = source.type === 'sample' ? [] : [{ id: 'net0' as const, model: 'virtio' as const, network: 'default' }];
        return (await contract.call('vm.create', { name, memoryMiB, source, newDisk: disk ? { sizeBytes: 8 * 1024 ** 3 } : null, network }))
          .id;
      };
      const check = await create('Hypervue check', { type: 'sample' }, 32);
      const linux = await create('Debian kernel 6.1', { type: 'iso', path: linuxImage }, 256, true);
      showcase.linux = linux;
      const memtest = await create('Memory test', { type: 'iso', path: memtestImage }, 64);
      const grub = await create('GRUB rescue', { type: 'iso', path: grubImage }, 64);
      const cmdline = `console=tty0 console=ttyS0,115200 quiet mitigations=off ${FAST_BOOT}`;
      const web = await create('Web server', { type: 'kernel', path: kernel, initrd, cmdline }, 192);
      await create('Blank machine', { type: 'blank' }, 512, true);
      for (const id of [check, linux, web, memtest, grub]) await contract.call('vm.start', { id });
      const text = async (id: string) => (await contract.call('vm.screenText', { id }))?.rows.join('\n') ?? '';
      /** Types a line at a prompt and waits for the next: what is typed ahead would stand before the output of what runs. */
      const enter = async (id: string, line: string, prompt: string) => {
        await contract.call('vm.typeText', { id, text: `${line}\n` });
        await eventually(`the prompt after "${line}"`, async () => {
          const rows = (await text(id)).trimEnd().split('\n');
          return rows.at(-1)?.trim() === prompt && rows.some((row) => row.trim() === `${prompt} ${line}`);
        });
      };
      await eventually('the shell', async () => /^\/ #/m.test(await text(linux)), 300_000);
      // The kernel may still say something behind the first prompt.
      await contract.call('vm.typeText', { id: linux, text: '\n' });
      for (const line of ['uname -a', 'head -8 /proc/cpuinfo']) await enter(linux, line, SHELL);
      await eventually('the shell of the web server', async () => /^\/ #/m.test(await text(web)), 300_000);
      await contract.call('vm.typeText', { id: web, text: 'sh /network/load && udhcpc -i eth0 -n -q -s /network/leased\n' });
      await eventually('an address', async () => /^LEASE /m.test(await text(web)), 60_000);
      await contract.call('vm.sendKeys', { id: grub, keys: ['c'] });
      // It draws its letters in graphics: nobody can read when it is ready.
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await contract.call('vm.typeText', { id: grub, text: 'ls\n' });
      await contract.call('vm.pause', { id: memtest });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      // GRUB waits for keys in a loop; it would take half a processor from all that follows.
      await contract.call('vm.pause', { id: grub });

      await contract.call('network.create', {
        name: 'Laboratory',
        kind: 'isolated',
        description: 'Sees nobody else.',
        subnet: '10.20.0.0/24',
        dhcp: { from: '10.20.0.10', to: '10.20.0.200' },
      });
      const forward = { protocol: 'tcp' as const, vm: web, card: 'net0' as const };
      await contract.call('network.update', {
        id: 'default',
        patch: { forwards: [{ ...forward, id: 'web', hostPort: 28_080, guestPort: 80, description: 'Its pages' }] },
      });

      const volume = (name: string, changes: object = {}) =>
        contract.call('storage.create', { pool: 'default', name, format: 'qcow2', sizeBytes: 20 * 1024 ** 3, ...changes });
      const base = await volume('debian-12.qcow2');
      await volume('web.qcow2', { sizeBytes: undefined, backing: base.path });
      await volume('scratch.img', { format: 'raw' });
      await contract.call('storage.delete', { path: (await volume('old.qcow2')).path });

      const take = (name: string, description: string) => contract.call('snapshot.take', { id: linux, name, description });
      const first = await take('fresh shell', 'Right after the first boot');
      await enter(linux, 'ls /', SHELL);
      await take('looked around', '');
      await contract.call('snapshot.revert', { id: linux, snapshot: first.id });
      await enter(linux, 'free -m', SHELL);
      await take('another way', 'A second branch from the same moment');
    },
    async end() {
      contract.end();
      await server.stop();
      rmSync(stage, { recursive: true, force: true });
    },
  };
  return showcase;
}
