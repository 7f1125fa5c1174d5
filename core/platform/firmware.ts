import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/** SeaBIOS and the VGA BIOS for the standard VGA, under the names that Debian, Fedora, Arch and QEMU give them. */
const FILES = ['bios-256k.bin', 'vgabios-stdvga.bin'];
/** Where distributions and package managers put them. */
const SYSTEM_FOLDERS = [
  '/usr/share/seabios',
  '/usr/share/qemu',
  '/usr/share/seavgabios',
  '/usr/local/share/qemu',
  '/opt/homebrew/share/qemu',
];

export interface Firmware {
  available: boolean;
  /** Meaningful while available. */
  folder: string;
  reason: string;
  fix?: string;
}

/** Looks for firmware in `own` (filled at set-up) and then in the system's folders. */
export function findFirmware(own: string): Firmware {
  const folders = [own, ...SYSTEM_FOLDERS];
  for (const folder of folders)
    if (FILES.every((file) => usable(path.join(folder, file)))) return { available: true, folder, reason: folder };
  return {
    available: false,
    folder: own,
    reason: `${FILES.join(' and ')} are in none of ${folders.join(', ')}`,
    fix: 'Install SeaBIOS (Debian, Ubuntu: apt-get install seabios).',
  };
}

function usable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).size > 0;
  } catch {
    return false;
  }
}
