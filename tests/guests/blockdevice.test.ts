import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { NodeFile } from '../../core/platform/nodefile.ts';
import { type LoopDevice, loopDevice, noLoopDevices } from '../../core/platform/testing/loopdevice.ts';
import { drive, Guest } from './support/guest.ts';
import { linux686 } from './support/images.ts';
import { storageInitrd } from './support/storageguest.ts';

/** Block devices of this computer as disks of a guest: Linux with its own drivers, over loop devices. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-blockdevice-'));
const loops: LoopDevice[] = [];
let guest: Guest | undefined;
afterEach(async () => {
  await guest?.end();
  guest = undefined;
  for (const loop of loops.splice(0)) loop.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MIB = 1 << 20;
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const device = (bytes: number): LoopDevice => {
  const loop = loopDevice(bytes);
  loops.push(loop);
  return loop;
};

test.skipIf(noLoopDevices)(
  'Linux makes a file system on a device, writes to it through the cache and around it, and reads one that is read-only',
  async () => {
    const content = randomBytes(6 * MIB);
    const source = device(6 * MIB);
    writeFileSync(source.path, content, { flag: 'r+' });
    const cached = device(48 * MIB);
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-E', 'lazy_itable_init=0', cached.path]);
    const around = device(16 * MIB);
    const sata = device(8 * MIB + 512);
    const initrd = path.join(folder, 'initrd');
    storageInitrd('i386', initrd);
    guest = await new Guest({
      memoryMiB: 96,
      drives: [
        drive('virtio0', 'disk', cached.path),
        drive('virtio1', 'disk', source.path, true),
        { ...drive('virtio2', 'disk', around.path), cache: 'none' },
        drive('sata0', 'disk', sata.path),
      ],
      kernel: { path: linux686(), initrd, cmdline: 'console=ttyS0,115200 cryptomgr.notests=1' },
    }).start();
    const sh = (line: string, pattern: RegExp) => guest!.ask(line, pattern, 120_000);
    await guest.onSerial(/GUEST READY/, 240_000);
    await sh('', /\/ # /);
    await sh('/load', /^LOADED/m);
    // While the guest has it, nobody else writes to it, and this computer does not mount it.
    await expect(NodeFile.open(cached.path, false)).rejects.toMatchObject({ kind: 'in-use' });
    expect(() => execFileSync('mount', [cached.path, folder], { stdio: 'pipe' })).toThrow();
    await sh('cat /sys/block/vda/size /sys/block/sda/size /sys/block/vdb/ro', /^98304\r?\n16385\r?\n1\r?$/m);
    await sh('sha256sum /dev/vdb', new RegExp(`^${sha(content)}  /dev/vdb`, 'm'));
    await sh('mount -t ext4 -o discard /dev/vda /mnt && dd if=/dev/vdb of=/mnt/copy bs=1M conv=fsync && echo COPIED', /^COPIED/m);
    await sh('dd if=/mnt/copy of=/mnt/gone bs=1M conv=fsync && rm /mnt/gone && sync && echo TRIMMED', /^TRIMMED/m);
    // What the guest has flushed is on the device, though the guest runs on.
    await sh('umount /mnt; dd if=/dev/vdb of=/dev/vdc bs=64k oflag=direct conv=fsync && echo DIRECT', /^DIRECT/m);
    await sh('dd if=/dev/vdb of=/dev/sda bs=1000 seek=7 conv=fsync && echo ODD', /^ODD/m);
    execFileSync('sync', ['-d', around.image]);
    expect(sha(around.content().subarray(0, content.length))).toBe(sha(content));
    await sh('dd if=/dev/vdb of=/dev/vdb bs=512 count=1 2>/dev/null || echo REFUSED', /^REFUSED/m);
    await sh('dmesg | grep -ciE "call trace|bug:|timed out|needs reset"', /^0\r?$/m);
    await guest.vm.forceOff();
    const expected = Buffer.alloc(8 * MIB + 512);
    content.copy(expected, 7000);
    expect(sha(sata.content())).toBe(sha(expected));
    expect(sha(source.content())).toBe(sha(content));
    // Throws on anything wrong.
    execFileSync('e2fsck', ['-fn', cached.path], { stdio: 'ignore' });
    const copy = execFileSync('debugfs', ['-R', 'cat /copy', cached.path], { maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] });
    expect(sha(copy)).toBe(sha(content));
    const same = path.join(folder, 'same.img');
    writeFileSync(same, expected);
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', sata.path, same]);
  },
  900_000,
);
