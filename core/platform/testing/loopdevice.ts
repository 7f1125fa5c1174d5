import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface LoopDevice {
  /** `/dev/loop3` */
  path: string;
  /** The file behind it. */
  image: string;
  /** What the device holds, as another program reads it: past our own descriptors, after all that was written is in the file. */
  content(): Buffer;
  /** Makes a file system on it and mounts it; gives the folder. */
  mount(): string;
  unmount(): void;
  /** Unmounts it, takes it away and removes the file. */
  dispose(): void;
}

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Why there is no loop device to be had here; undefined when there is. */
export const noLoopDevices: string | undefined = (() => {
  if (process.platform !== 'linux') return 'loop devices are Linux’s';
  if (process.getuid?.() !== 0) return 'loop devices want root';
  try {
    run('losetup', '-f');
    return undefined;
  } catch (error) {
    return `there are no loop devices here: ${String(error).split('\n')[0]}`;
  }
})();
if (noLoopDevices) process.stderr.write(`Tests with block devices are left out: ${noLoopDevices}\n`);

/** A block device of `bytes` over a file of its own, the first that is free. `partition`: with one from 1 MiB on, `/dev/loop3p1`; `within`: folder of the file. */
export function loopDevice(bytes: number, { readOnly = false, sectorBytes = 512, partition = false, within = tmpdir() } = {}): LoopDevice {
  const folder = mkdtempSync(path.join(within, 'hypervue-loop-'));
  const image = path.join(folder, 'device.img');
  writeFileSync(image, '');
  truncateSync(image, bytes);
  const device = run(
    'losetup',
    '--find',
    '--show',
    ...(readOnly ? ['--read-only'] : []),
    ...(sectorBytes === 512 ? [] : ['--sector-size', String(sectorBytes)]),
    image,
  ).trim();
  // The kernel need not know partition tables for that.
  if (partition) run('addpart', device, '1', '2048', String(bytes / 512 - 2048));
  const mounted = path.join(folder, 'mounted');
  let isMounted = false;
  const unmount = () => {
    if (isMounted) run('umount', mounted);
    isMounted = false;
  };
  return {
    path: device,
    image,
    content() {
      run('blockdev', '--flushbufs', device);
      return readFileSync(device);
    },
    mount() {
      run('mkfs.ext4', '-q', '-F', device);
      mkdirSync(mounted, { recursive: true });
      run('mount', device, mounted);
      isMounted = true;
      return mounted;
    },
    unmount,
    dispose() {
      unmount();
      if (partition) run('delpart', device, '1');
      run('losetup', '--detach', device);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
