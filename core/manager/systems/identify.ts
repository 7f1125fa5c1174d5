import type { IsoVolume } from '../../disk/iso/iso9660.ts';
import { oneLine } from '../../disk/iso/sector.ts';
import type { PcArchitecture } from '../../contract/systems.ts';
import type { DiscIdentifiers, SystemTable } from './systemtable.ts';

/** What a medium's own words make of it. */
export interface Identified {
  /** '' when unknown. */
  os: string;
  /** Id in the table, of the system itself or the nearest one in it. */
  systemId?: string;
  /** Set when the table knows no such release: the name of the one whose needs are taken. */
  like?: string;
  architectures: PcArchitecture[];
  live: boolean;
}

/** Names by which media give themselves away: volume id, application id or kernel version. */
const systems: readonly [RegExp, string][] = [
  [/debian/i, 'Debian GNU/Linux'],
  [/ubuntu/i, 'Ubuntu'],
  [/fedora/i, 'Fedora'],
  [/opensuse|suse/i, 'SUSE Linux'],
  [/centos|rhel|rocky|alma/i, 'Enterprise Linux'],
  [/archlinux|arch_/i, 'Arch Linux'],
  [/alpine/i, 'Alpine Linux'],
  [/freebsd/i, 'FreeBSD'],
  [/openbsd/i, 'OpenBSD'],
  [/netbsd/i, 'NetBSD'],
  [/memtest|mt86/i, 'Memtest86+'],
  [/^(CCCOMA|CPBA|CENA|ESD-ISO|J_CCSA|GRMC|WXP|XRM|XP|W2K|WIN)/i, 'Windows'],
  [/grub/i, 'GRUB'],
  [/kolibri/i, 'KolibriOS'],
  [/haiku/i, 'Haiku'],
  [/reactos/i, 'ReactOS'],
  [/freedos|FD\d\d/i, 'FreeDOS'],
  [/^hypervue[ _-]?check$/i, 'Hypervue check'],
  [/linux/i, 'Linux'],
];

export function guessSystem(...hints: string[]): string {
  for (const hint of hints) for (const [pattern, name] of systems) if (hint && pattern.test(hint)) return name;
  return '';
}

/** Volume ids that carry the release: for discs newer than the table. The first group is the version; distributions by their names in osinfo-db. */
const releases: readonly [RegExp, string, string][] = [
  [/^Debian (\d+(?:\.\d+)*)/i, 'debian', 'Debian'],
  [/^(?:[KXL]|Edu)?ubuntu(?:-\w+)* (\d+\.\d+(?:\.\d+)?)/i, 'ubuntu', 'Ubuntu'],
  [/^Fedora-.*?-(\d{2,})(?:-|$)/i, 'fedora', 'Fedora Linux'],
  [/^alpine-\w+ v?(\d+\.\d+(?:\.\d+)?)/i, 'alpinelinux', 'Alpine Linux'],
  [/^openSUSE-Leap-(\d+\.\d+)/i, 'opensuse', 'openSUSE Leap'],
  [/^AlmaLinux-(\d+[-.]\d+)/i, 'almalinux', 'AlmaLinux'],
  [/^Rocky-(\d+[-.]\d+)/i, 'rocky', 'Rocky Linux'],
  [/^RHEL-(\d+[-.]\d+)/i, 'rhel', 'Red Hat Enterprise Linux'],
  [/^(\d+_\d+)_RELEASE_/, 'freebsd', 'FreeBSD'],
  [/^OpenBSD\/\w+ +(\d+\.\d+)/i, 'openbsd', 'OpenBSD'],
];

/** Words for processors in names of discs. */
function architectures(text: string): PcArchitecture[] {
  const found: PcArchitecture[] = [];
  if (/\b(i[3-6]86|x86|x32|32-?bit)\b|X86FRE|_i386/i.test(text.replace(/x86[_-]64/gi, ''))) found.push('i386');
  if (/x86[_-]64|amd64|x64|64-?bit/i.test(text)) found.push('x86_64');
  return found;
}

/** `.disk/info` of Debian and its kin: `Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST 20240210-11:27`. */
function fromDiskInfo(text: string, table: SystemTable | undefined): Identified | undefined {
  const line = oneLine(text.split('\n')[0]!);
  const parts = /^([\p{L}][\p{L}\d/ ._-]*?) (\d+(?:\.\d+)*)\b/u.exec(line);
  if (!parts) return undefined;
  const [, full, version] = parts as unknown as [string, string, string];
  const name = full.replace(/ GNU\/Linux$/, '');
  const distro = /buntu/i.test(name) ? 'ubuntu' : name.split(/[ /]/)[0]!.toLowerCase();
  return { os: `${name} ${version}`, ...release(distro, version, table), architectures: architectures(line), live: /\blive\b/i.test(line) };
}

/** `.treeinfo` of Fedora and Red Hat's systems: an ini file with `family`, `version` and `arch` under [release] or [general]. */
function fromTreeInfo(text: string, table: SystemTable | undefined): Identified | undefined {
  const value = (key: string) => oneLine(new RegExp(`^${key}\\s*=\\s*(.+)$`, 'm').exec(text)?.[1] ?? '');
  const [family, version] = [value('family') || value('name'), value('version')];
  if (!family || !version) return undefined;
  const known = table?.ofTree(family, version);
  const distro = family.split(/[ -]/)[0]!.toLowerCase();
  return {
    os: known?.name ?? `${family} ${version}`.slice(0, 128),
    ...(known ? { systemId: known.id } : release(distro, version, table)),
    architectures: architectures(value('arch')),
    live: false,
  };
}

/** In the table: the release itself, or the newest one that stands in for one that is newer than the table. */
export function release(distro: string, version: string, table: SystemTable | undefined): Pick<Identified, 'systemId' | 'like'> {
  const found = table?.ofRelease(distro, version);
  return found ? { systemId: found.id, ...(found.nearest ? { like: found.name } : {}) } : {};
}

/**
 * The system on a disc: from the files by which distributions name it, then from the table's patterns for the disc's identifiers, then from the words in them.
 * `volume` is absent for discs that have no ISO 9660 file system.
 */
export async function identifyDisc(
  disc: DiscIdentifiers,
  volume: IsoVolume | undefined,
  table: SystemTable | undefined,
): Promise<Identified> {
  const fileText = async (path: string) => new TextDecoder().decode(await volume?.readFile(path, 4096));
  const named = fromDiskInfo(await fileText('.disk/info'), table) ?? fromTreeInfo(await fileText('.treeinfo'), table);
  const match = table?.ofDisc(disc);
  const words = `${disc.volumeId} ${disc.applicationId}`;
  if (named?.systemId && !named.like) return { ...named, live: named.live || (match?.live ?? false) };
  if (match)
    return { os: match.name, systemId: match.id, architectures: match.arch ? [match.arch] : architectures(words), live: match.live };
  if (named) return named;
  for (const [pattern, distro, name] of releases) {
    const version = pattern.exec(disc.volumeId)?.[1]?.replace(/[-_]/g, '.');
    if (version)
      return {
        os: `${name} ${version}`,
        ...release(distro, version, table),
        architectures: architectures(words),
        live: /\blive\b/i.test(disc.volumeId),
      };
  }
  // The application of a disc with UDF alone is the program that made it.
  const os = guessSystem(disc.volumeId, disc.publisherId, volume ? disc.applicationId : '');
  return { os, architectures: os ? architectures(words) : [], live: false };
}
