import path from 'node:path';
import type { VmConfig } from '../../contract/vm.ts';

/** True for a path of vm.json that stays in the machine's folder. */
export const isInside = (file: string): boolean => !path.isAbsolute(file) && path.normalize(file).split(path.sep)[0] !== '..';

/** The configuration with every path that leads out of `folder` as an absolute one. */
export function plainPaths(config: VmConfig, folder: string): VmConfig {
  const plain = (file: string) => (isInside(file) ? file : path.resolve(folder, file));
  const { kernel } = config.boot;
  return {
    ...config,
    drives: config.drives.map((drive) => (drive.path === null ? drive : { ...drive, path: plain(drive.path) })),
    boot: kernel
      ? { ...config.boot, kernel: { ...kernel, path: plain(kernel.path), initrd: kernel.initrd === null ? null : plain(kernel.initrd) } }
      : config.boot,
  };
}
