import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { decimal, linkName, names } from './sysfs.ts';

/**
 * What tells that a list of this computer's devices is out of date, cheap enough to be asked every few seconds: which there are, how large the block devices are, what drives
 * PCI functions, what is mounted. Two equal texts mean that nothing of that changed. `root` is where /sys and /proc are.
 */
export async function presentDevices(root = '/'): Promise<string> {
  const folder = (...parts: string[]) => path.join(root, 'sys', ...parts);
  const [pci, usb, block] = await Promise.all([
    names(folder('bus/pci/devices')),
    names(folder('bus/usb/devices')),
    names(folder('class/block')),
  ]);
  const [drivers, sizes, mounts, swaps] = await Promise.all([
    Promise.all(pci.map((address) => linkName(folder('bus/pci/devices', address, 'driver')))),
    Promise.all(block.map((name) => decimal(folder('class/block', name, 'size')))),
    ...['self/mountinfo', 'swaps'].map((name) => readFile(path.join(root, 'proc', name), 'utf8').catch(() => '')),
  ]);
  return JSON.stringify([pci, drivers, usb, block, sizes, mounts, swaps]);
}
