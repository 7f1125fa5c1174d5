import type { PcArchitecture } from '../../contract/systems.ts';
import { DiskBytes, type ReadDisk, TooMuch } from '../../disk/filesystem/diskbytes.ts';
import { ExtVolume } from '../../disk/filesystem/ext.ts';
import { FatVolume } from '../../disk/filesystem/fat.ts';
import type { FileVolume } from '../../disk/filesystem/filevolume.ts';
import { readPartitions } from '../../disk/filesystem/partitions.ts';
import { latin1, oneLine } from '../../disk/iso/sector.ts';
import { guessSystem, type Identified, release } from './identify.ts';
import type { SystemTable } from './systemtable.ts';

/** What a disk that is there already says of itself. */
export interface IdentifiedDisk extends Identified {
  /** Whether firmware of either kind finds something to start. */
  bios: boolean;
  uefi: boolean;
}

const MOST_PARTITIONS = 32;
const MOST_TEXT = 64 << 10;
const OS_RELEASE = ['etc/os-release', 'usr/lib/os-release'];
/** Programs that every system has, by which its processor shows. */
const PROGRAMS = ['sbin/init', 'bin/sh', 'usr/bin/sh'];
const GRUB_MENUS = ['boot/grub/grub.cfg', 'boot/grub2/grub.cfg', 'grub/grub.cfg', 'grub2/grub.cfg'];
/** Distributions in os-release, and in osinfo-db where that has another name. */
const distros: Readonly<Record<string, string>> = {
  alpine: 'alpinelinux',
  arch: 'archlinux',
  'opensuse-leap': 'opensuse',
  'opensuse-tumbleweed': 'opensuse',
  almalinux: 'almalinux',
};
/** ELF: machine numbers (System V ABI, e_machine). */
const machines: Readonly<Record<number, PcArchitecture>> = { 3: 'i386', 62: 'x86_64' };

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

/** os-release(5): lines of NAME=value, quoted or not. */
function releaseFields(content: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of content.split('\n')) {
    const parts = /^([A-Z_]+)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$/.exec(line);
    if (parts) fields.set(parts[1]!, oneLine(parts[2] ?? parts[3] ?? parts[4] ?? ''));
  }
  return fields;
}

/** The name and release as discs give them: `Debian 12`; without a release the system's own words. */
function fromOsRelease(content: string, table: SystemTable | undefined): Pick<Identified, 'os' | 'systemId' | 'like'> | undefined {
  const fields = releaseFields(content);
  const [id, name, version] = [fields.get('ID') ?? '', fields.get('NAME') ?? '', fields.get('VERSION_ID') ?? ''];
  const os = name && version ? `${name.replace(/ GNU\/Linux$/, '')} ${version}` : (fields.get('PRETTY_NAME') ?? name);
  if (!os) return undefined;
  return { os: os.slice(0, 128), ...(version ? release(distros[id] ?? id, version, table) : {}) };
}

async function programOf(volume: FileVolume): Promise<PcArchitecture[]> {
  for (const path of PROGRAMS) {
    const head = await volume.readFile(path, 20);
    if (!head || head.length < 20 || latin1(head, 0, 4) !== '\x7fELF') continue;
    const machine = machines[head[18]! | (head[19]! << 8)];
    return machine ? [machine] : [];
  }
  return [];
}

/** What its boot menu is called, of a system whose root is in something that is not read here. */
async function fromMenu(volume: FileVolume): Promise<string> {
  for (const name of (await volume.list('loader/entries')).slice(0, 8)) {
    const title = /^title\s+(.+)$/m.exec(text(await volume.readFile(`loader/entries/${name}`, 4096)))?.[1];
    if (title && guessSystem(title)) return guessSystem(title);
  }
  for (const path of GRUB_MENUS) {
    const title = /^\s*menuentry\s+['"]([^'"]+)/m.exec(text(await volume.readFile(path, MOST_TEXT)))?.[1];
    if (title && guessSystem(title)) return guessSystem(title);
  }
  return (await volume.list('')).some((name) => name.startsWith('vmlinuz')) ? 'Linux' : '';
}

/** Loaders of UEFI on a FAT volume: the one that any firmware finds (UEFI 2.10 section 3.5.1.1), and who else put some there. */
async function fromLoaders(volume: FileVolume): Promise<{ uefi: boolean; os: string }> {
  const vendors = await volume.list('efi');
  const fallback = (await volume.list('efi/boot')).some((name) => /^boot(x64|ia32)\.efi$/i.test(name));
  const others = vendors.filter((name) => name.toLowerCase() !== 'boot');
  const os = others.some((name) => name.toLowerCase() === 'microsoft') ? 'Windows' : others.map((name) => guessSystem(name)).find(Boolean);
  return { uefi: fallback || others.length > 0, os: os ?? '' };
}

/** Files in the root by which systems on FAT show. */
async function fromRoot(volume: FileVolume): Promise<string> {
  const names = new Set((await volume.list('')).map((name) => name.toLowerCase()));
  if (names.has('ntldr') || names.has('bootmgr')) return 'Windows';
  if (names.has('kernel.sys') && names.has('command.com')) return 'FreeDOS';
  if (names.has('io.sys') && names.has('msdos.sys')) return 'MS-DOS';
  return '';
}

/**
 * The system on a disk: by os-release of its file systems (ext2 to ext4), else by its boot menu, by who put loaders into the EFI system partition, or by NTFS. Undefined where the disk says nothing, or too
 * much. `read` fills its target with the bytes of the disk from an offset on.
 */
export async function identifyDisk(read: ReadDisk, sizeBytes: number, table: SystemTable | undefined): Promise<IdentifiedDisk | undefined> {
  try {
    return await look(new DiskBytes(read, sizeBytes), table);
  } catch (error) {
    if (error instanceof TooMuch) return undefined;
    throw error;
  }
}

async function look(disk: DiskBytes, table: SystemTable | undefined): Promise<IdentifiedDisk | undefined> {
  const found: IdentifiedDisk = { os: '', architectures: [], live: false, bios: await hasBootCode(disk), uefi: false };
  // What is less sure than os-release.
  const hints: string[] = [];
  let known = false;
  for (const { offset, length } of (await readPartitions(disk)).slice(0, MOST_PARTITIONS)) {
    const part = disk.part(offset, length);
    const ext = await ExtVolume.open(part);
    if (ext) {
      known = true;
      for (const path of OS_RELEASE) {
        const named = found.os ? undefined : fromOsRelease(text(await ext.readFile(path, 4096)), table);
        if (named) Object.assign(found, named, { architectures: await programOf(ext) });
      }
      if (!found.os) hints.unshift(await fromMenu(ext));
      continue;
    }
    const fat = await FatVolume.open(part);
    if (fat) {
      known = true;
      const { uefi, os } = await fromLoaders(fat);
      found.uefi ||= uefi;
      hints.push(os, await fromRoot(fat));
    } else if (await isNtfs(part)) {
      known = true;
      hints.push('Windows');
    }
  }
  if (!known) return undefined;
  found.os ||= hints.find(Boolean) ?? '';
  return found;
}

async function isNtfs(part: DiskBytes): Promise<boolean> {
  const boot = await part.at(0, 11);
  return boot.byteLength === 11 && latin1(new Uint8Array(boot.buffer), 3, 11) === 'NTFS    ';
}

/** A BIOS starts the first sector if it ends with 55 AA; that of a disk for UEFI alone has no code in it. */
async function hasBootCode(disk: DiskBytes): Promise<boolean> {
  const sector = await disk.at(0, 512);
  return sector.byteLength === 512 && sector.getUint16(510, true) === 0xaa55 && new Uint8Array(sector.buffer, 0, 440).some(Boolean);
}
