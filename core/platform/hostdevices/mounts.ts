import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** What this computer does with its block devices now. */
export interface UsedDevices {
  /** Folders by `major:minor`, and by the path of the device, which file systems with device numbers of their own have only. */
  mounts: ReadonlyMap<string, readonly string[]>;
  /** Paths of devices and files that are swapped to. */
  swaps: ReadonlySet<string>;
}

/** The kernel writes blanks, tabs, line ends and backslashes of names as three octal digits. */
const plainName = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** From /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/swaps below `root`. */
export async function readUsedDevices(root: string): Promise<UsedDevices> {
  const lines = async (file: string) => (await readFile(path.join(root, file), 'utf8').catch(() => '')).split('\n');
  const mounts = new Map<string, string[]>();
  for (const line of await lines('proc/self/mountinfo')) {
    const [before, behind] = line.split(' - ');
    const [, , device, , folder] = before!.split(' ');
    const source = behind?.split(' ')[1];
    if (device === undefined || folder === undefined || source === undefined) continue;
    for (const key of new Set([device, plainName(source)])) {
      const folders = mounts.get(key) ?? [];
      const one = plainName(folder);
      if (!folders.includes(one)) mounts.set(key, [...folders, one]);
    }
  }
  const swaps = (await lines('proc/swaps')).slice(1).map((line) => plainName(line.split(/\s/)[0]!));
  return { mounts, swaps: new Set(swaps.filter((swap) => swap !== '')) };
}
