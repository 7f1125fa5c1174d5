import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inspectMedia } from '../inspectmedia.ts';
import { SystemTable } from './systemtable.ts';

const entry = (id: string, name: string, distro: string, version: string, released: string, more: object = {}) => ({
  id,
  name,
  family: 'linux',
  distro,
  version,
  released,
  endOfLife: '',
  virtio: true,
  uefiOnly: false,
  media: [],
  trees: [],
  ...more,
});

const table = new SystemTable([
  entry('debian11', 'Debian 11', 'debian', '11', '2021-08-14', { media: [{ arch: 'x86_64', volumeId: 'Debian 11.\\d+.\\d+ amd64 n' }] }),
  entry('debian9', 'Debian 9', 'debian', '9', '2017-06-17'),
  entry('fedora36', 'Fedora Linux 36', 'fedora', '36', '2022-05-10', {
    media: [{ arch: 'x86_64', live: true, volumeId: 'Fedora-WS-Live-36' }],
    trees: [{ arch: 'x86_64', family: 'Fedora', version: '36' }],
  }),
  entry('fedora-unknown', 'Fedora', 'fedora', 'unknown', '', { media: [{ arch: 'x86_64', volumeId: 'Fedora.*' }] }),
  entry('win7', 'Microsoft Windows 7', 'win', '6.1', '2009-10-22', {
    family: 'winnt',
    virtio: false,
    media: [{ arch: 'x86_64', volumeId: 'GRMC', publisherId: 'MICROSOFT' }],
  }),
  entry('win8', 'Microsoft Windows 8', 'win', '6.2', '2012-10-26', {
    family: 'winnt',
    virtio: false,
    media: [{ arch: 'i386', volumeId: 'GRMC' }],
  }),
  entry('winxp', 'Microsoft Windows XP', 'win', '5.1', '2001-10-25', {
    family: 'winnt',
    virtio: false,
    media: [{ arch: 'all', volumeId: '(?P<odd>XP)' }],
  }),
]);

test('the bus is one that the system has a driver for', () => {
  const buses = Object.fromEntries(table.systems.map(({ id, bus }) => [id, bus]));
  expect(buses).toMatchObject({ debian11: 'virtio', win7: 'sata', winxp: 'ide' });
});

describe.runIf(existsSync('/usr/bin/xorriso'))('discs made with xorriso', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hypervue-systems-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  async function disc(label: string, files: Record<string, string> = { README: 'x' }, options: string[] = []) {
    for (const [name, content] of Object.entries(files)) {
      const at = path.join(folder, 'tree', name);
      mkdirSync(path.dirname(at), { recursive: true });
      writeFileSync(at, content);
    }
    const iso = path.join(folder, 'made.iso');
    execFileSync('xorriso', ['-as', 'mkisofs', '-V', label, ...options, '-o', iso, path.join(folder, 'tree')], { stdio: 'ignore' });
    return inspectMedia(iso, table);
  }

  const info = 'Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27';

  test.each([
    ['Rock Ridge', ['-R']],
    ['Joliet', ['-J']],
  ])('.disk/info names the system (%s names)', async (_names, options) => {
    const found = await disc('WHATEVER', { '.disk/info': info }, options);
    expect(found.os).toBe('Debian 12.5.0');
    // Newer than the table: the newest release it has.
    expect(found.content).toMatchObject({ systemId: 'debian11', like: 'Debian 11', architectures: ['x86_64'], live: false });
  });

  test('a release in the table is that release, and not like another', async () => {
    const found = await disc('X', { '.disk/info': 'Debian GNU/Linux 9.13.0 "Stretch" - Official i386 NETINST 20200718-11:07' });
    expect(found.content).toMatchObject({ systemId: 'debian9', architectures: ['i386'] });
    expect(found.content).not.toHaveProperty('like');
  });

  test('a release older than everything known and not in the table stands for none', async () => {
    const found = await disc('X', { '.disk/info': 'Debian GNU/Linux 4.0 "Etch" - Official i386' });
    expect(found.os).toBe('Debian 4.0');
    expect(found.content).not.toHaveProperty('systemId');
  });

  test('.treeinfo names the system', async () => {
    const found = await disc('X', { '.treeinfo': '[general]\nfamily = Fedora\nversion = 36\narch = x86_64\n' });
    expect(found).toMatchObject({ os: 'Fedora Linux 36', content: { systemId: 'fedora36', architectures: ['x86_64'] } });
  });

  test('patterns of the table match the identifiers, and the one that says more wins over the newer', async () => {
    expect(await disc('Fedora-WS-Live-36-1-5')).toMatchObject({ os: 'Fedora Linux 36', content: { live: true } });
    expect((await disc('GRMCULFRER_EN_DVD', { a: '' }, ['-publisher', 'MICROSOFT CORPORATION'])).os).toBe('Microsoft Windows 7');
    expect((await disc('GRMCULFRER_EN_DVD')).os).toBe('Microsoft Windows 8');
  });

  test('a volume id with a release newer than the table', async () => {
    expect(await disc('Fedora-WS-Live-40-1-14')).toMatchObject({
      os: 'Fedora Linux 40',
      content: { systemId: 'fedora36', like: 'Fedora Linux 36', live: true },
    });
  });

  test('an unknown disc is fine', async () => {
    expect(await disc('NOTHING_KNOWN')).toMatchObject({ os: '', content: { architectures: [], live: false, bios: false, uefi: false } });
  });

  test('boot records: UEFI only is said', async () => {
    const found = await disc('X', { 'efi.img': 'x'.repeat(4096), 'EFI/BOOT/BOOTX64.EFI': 'x' }, ['-e', 'efi.img', '-no-emul-boot']);
    expect(found.content).toMatchObject({ bios: false, uefi: true });
    expect(found.bootable).toBe(true);
    expect(found.problems.map(({ message }) => message)).toEqual(['This disc starts under UEFI only.']);
  });

  test('boot records for both', async () => {
    const found = await disc('X', { 'boot.img': 'x'.repeat(2048), 'efi.img': 'x'.repeat(4096) }, [
      '-b',
      'boot.img',
      '-no-emul-boot',
      '-eltorito-alt-boot',
      '-e',
      'efi.img',
      '-no-emul-boot',
    ]);
    expect(found).toMatchObject({ content: { bios: true, uefi: true }, problems: [] });
  });

  test('names with control characters and nonsense in .disk/info stay text on one line', async () => {
    const found = await disc('X', { '.disk/info': 'Evil\x1b[31m 1.0\nDebian 11' });
    expect(found.os).not.toMatch(/\p{Cc}/u);
  });
});
