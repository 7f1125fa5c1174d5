import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import type { NicModel } from '../contract/networks.ts';
import type { FirmwareKind } from '../contract/vm.ts';
import { plain, say, type Saying } from '../util/say.ts';

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
  reason: Saying;
  fix?: Saying;
}

/** Looks for firmware in `own` (filled at set-up) and then in the system's folders. */
export function findFirmware(own: string): Firmware {
  const folders = [own, ...SYSTEM_FOLDERS];
  for (const folder of folders)
    if (FILES.every((file) => usable(path.join(folder, file)))) return { available: true, folder, reason: plain(folder) };
  return {
    available: false,
    folder: own,
    reason: say('firmwareNowhere', { files: FILES.join(', '), folders: folders.join(', ') }),
    fix: say('fixSeabios'),
  };
}

/**
 * UEFI for x86-64 as one image of code and variables, under the names that Debian, Arch, openSUSE and QEMU give it. The variables' part of it is the
 * machine's flash memory. The builds that ask for system management mode do not run.
 */
const UEFI_FILES = [
  '/usr/share/ovmf/OVMF.fd',
  '/usr/share/edk2/x64/OVMF.4m.fd',
  '/usr/share/edk2-ovmf/x64/OVMF.fd',
  '/usr/share/qemu/ovmf-x86_64.bin',
  '/usr/share/qemu/OVMF.fd',
  '/usr/local/share/qemu/OVMF.fd',
];

/** Looks for `OVMF.fd` in `own` and then where distributions put it; `folder` holds `file`. */
export function findUefi(own: string): Firmware & { file: string } {
  const files = [path.join(own, 'OVMF.fd'), ...UEFI_FILES];
  for (const file of files) if (usable(file)) return { available: true, folder: path.dirname(file), file, reason: plain(file) };
  return {
    available: false,
    folder: own,
    file: '',
    reason: say('uefiNowhere'),
    fix: UEFI_FIX,
  };
}

export const UEFI_FIX = say('fixOvmf');

/** iPXE as expansion ROMs, by QEMU's names: those for UEFI hold an image for a BIOS, too. */
const NETWORK_ROM_FOLDERS = [
  '/usr/lib/ipxe/qemu',
  '/usr/share/ipxe/qemu',
  '/usr/share/qemu',
  '/usr/local/share/qemu',
  '/opt/homebrew/share/qemu',
];

const romNames = { bios: ['pxe', 'efi'], uefi: ['efi'] } as const satisfies Record<FirmwareKind, readonly string[]>;

/** The ROM that starts a system over such a card, or undefined where there is none; looked for in `own` first. */
export function findNetworkRom(own: string, model: NicModel, firmware: FirmwareKind): string | undefined {
  const folders = [own, ...NETWORK_ROM_FOLDERS];
  return romNames[firmware].flatMap((name) => folders.map((folder) => path.join(folder, `${name}-${model}.rom`))).find(usable);
}

function usable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).size > 0;
  } catch {
    return false;
  }
}
