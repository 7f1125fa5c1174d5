import type { MediaInfo } from '../contract/host.ts';
import type { RandomAccessFile } from '../backend/file.ts';
import type { ReadDisk } from '../disk/filesystem/diskbytes.ts';
import type { ImageFormat } from '../contract/vm.ts';
import { printable } from '../disk/iso/sector.ts';
import { misnamed } from '../platform/namedformat.ts';
import { NodeFile } from '../platform/nodefile.ts';
import { openImage, probeFormat } from '../platform/openimage.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { cutOff, inspectDisc, notBootable, problem } from './inspectdisc.ts';
import { guessSystem } from './systems/identify.ts';
import { identifyDisk } from './systems/identifydisk.ts';
import type { SystemTable } from './systems/systemtable.ts';
import { absolutePath } from './paths.ts';

/** Sizes of floppy images: 160 KiB to 2.88 MiB, and 1.68 MiB DMF. */
const FLOPPY_SIZES = new Set([163840, 184320, 327680, 368640, 737280, 1228800, 1474560, 1720320, 2949120]);
const SECTOR = 512;
/** Linux boot protocol: "HdrS" at 0x202, kernel_version pointer at 0x20e. */
const LINUX_MAGIC = 'HdrS';
const MULTIBOOT_MAGIC = 0x1badb002;
const MULTIBOOT_SEARCH = 8192;
const MULTIBOOT_HAS_ADDRESSES = 1 << 16;
const ELF_MAGIC = 0x7f454c46;

async function readAt(file: RandomAccessFile, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  await file.read(offset, buffer);
  return buffer;
}

/** Says what a file is from its bytes, and with the table of systems what is on it. Rejects with 'not-found' or 'permission-denied'; anything readable gets an answer. */
export async function inspectMedia(path: string, systems?: SystemTable): Promise<MediaInfo> {
  absolutePath(path);
  const file = await NodeFile.open(path, true);
  try {
    const sizeBytes = await file.size();
    const info: MediaInfo = { path, kind: 'unknown', sizeBytes, bootable: false, label: '', os: '', problems: [] };
    if (sizeBytes === 0) {
      info.problems.push(problem('error', say('mediaEmpty'), say('fixCopyAgain')));
      return info;
    }
    const head = await readAt(file, 0, Math.min(sizeBytes, MULTIBOOT_SEARCH));
    const format = await probeFormat(file);
    if (format !== 'raw') return await inspectImage(info, format, systems);
    if (await inspectDisc(file, info, systems)) return info;
    if (inspectMultiboot(head, info)) return info;
    if (await inspectLinux(file, head, info)) return info;
    inspectDisk(head, info);
    if (info.kind === 'disk') await inspectContent((offset, target) => file.read(offset, target), info, systems);
    return info;
  } finally {
    await file.close();
  }
}

/** The disk inside an image of another format than raw. */
async function inspectImage(info: MediaInfo, format: ImageFormat, systems: SystemTable | undefined): Promise<MediaInfo> {
  info.kind = 'disk';
  info.format = format;
  try {
    const disk = await openImage(info.path, { readOnly: true, format });
    try {
      info.sizeBytes = disk.info.sizeBytes;
      const head = Buffer.alloc(Math.min(info.sizeBytes, MULTIBOOT_SEARCH));
      await disk.read(0, head);
      inspectDiskStart(head, info);
      await inspectContent((offset, target) => disk.read(offset, target), info, systems);
    } finally {
      await disk.close();
    }
  } catch (error) {
    // What is in it shows when it is opened with its passphrase.
    if (error instanceof HypervueError && error.kind === 'unauthorized') return info;
    const { kind: _, context: _context, ...words } = asHypervueError(error, { path: info.path }).toJSON();
    info.problems.push({ severity: 'error', ...words });
  }
  return info;
}

/** What is installed on a disk, and how it starts. A loader that calls itself GRUB says less than the system that it starts. */
async function inspectContent(read: ReadDisk, info: MediaInfo, systems: SystemTable | undefined): Promise<void> {
  const found = await identifyDisk(read, info.sizeBytes, systems);
  if (!found) return;
  const { os, ...content } = found;
  if (os) info.os = os;
  info.content = content;
  info.bootable ||= content.uefi;
  if (content.uefi && !content.bios) {
    info.problems = info.problems.filter(({ said }) => said?.key !== 'mediaNoSignature');
    info.problems.push(problem('warning', say('mediaDiskUefiOnly'), say('fixUefi')));
  }
}

/** Multiboot 0.6.96 section 3.1: the header lies in the first 8192 bytes, aligned to 4; a loader needs an ELF file or the addresses in the header. */
function inspectMultiboot(head: Buffer, info: MediaInfo): boolean {
  for (let at = 0; at + 12 <= head.length; at += 4) {
    if (head.readUInt32LE(at) !== MULTIBOOT_MAGIC) continue;
    const sum = (MULTIBOOT_MAGIC + head.readUInt32LE(at + 4) + head.readUInt32LE(at + 8)) >>> 0;
    const elf = head.readUInt32BE(0) === ELF_MAGIC;
    if (sum !== 0 || !(elf || head.readUInt32LE(at + 4) & MULTIBOOT_HAS_ADDRESSES)) continue;
    // A disk whose boot loader carries such a header in its first sectors is a disk.
    if (!elf && hasBootSignature(head)) continue;
    info.kind = 'multiboot';
    info.bootable = true;
    info.label = 'Multiboot kernel';
    return true;
  }
  return false;
}

async function inspectLinux(file: RandomAccessFile, head: Buffer, info: MediaInfo): Promise<boolean> {
  if (head.length < 0x210 || head.toString('latin1', 0x202, 0x206) !== LINUX_MAGIC) return false;
  info.kind = 'bzimage';
  info.bootable = true;
  // Boot protocol: setup_sects at 0x1f1 (0 means 4) after the boot sector, then syssize 16-byte units (0x1f4).
  const expected = ((head[0x1f1] || 4) + 1) * SECTOR + head.readUInt32LE(0x1f4) * 16;
  // The last unit need not be full.
  if (expected - 15 > info.sizeBytes) info.problems.push(cutOff(expected, info.sizeBytes));
  const at = head.readUInt16LE(0x20e) + 0x200;
  info.label = at < info.sizeBytes ? printable(await readAt(file, at, 128)) : 'Linux kernel';
  info.os = guessSystem(info.label) || 'Linux';
  return true;
}

/** Largest floppy: 2.88 MB. */
export const MAX_FLOPPY_BYTES = 2_949_120;

/** Whether a PC would start this file from its first sector: hybrid ISO files are floppies or disks too. */
export async function hasBootSector(path: string): Promise<boolean> {
  const file = await NodeFile.open(path, true);
  try {
    return hasBootSignature(await readAt(file, 0, SECTOR));
  } finally {
    await file.close();
  }
}

const hasBootSignature = (head: Buffer) => head.length >= 512 && head[510] === 0x55 && head[511] === 0xaa;

/** Other formats by their first bytes, which a guest would see as garbage. */
const foreignFormats: readonly [string, string][] = [
  ['KDMV', 'VMDK'],
  ['# Disk DescriptorFile', 'VMDK'],
  ['vhdxfile', 'VHDX'],
  ['conectix', 'VHD'],
  ['<<< ', 'VDI'],
];
/** And files that are no disks at all. */
const archives: readonly [string, string][] = [
  ['\x1f\x8b', 'gzip'],
  ['\xfd7zXZ\0', 'xz'],
  ['BZh', 'bzip2'],
  ['PK\x03\x04', 'zip'],
  ['\x28\xb5\x2f\xfd', 'zstd'],
];

function inspectDisk(head: Buffer, info: MediaInfo): void {
  const startsWith = ([magic]: readonly [string, string]) => head.toString('latin1', 0, magic.length) === magic;
  const format = foreignFormats.find(startsWith)?.[1];
  const archive = archives.find(startsWith)?.[1];
  const refuse = (label: string, message: Saying, fix: Saying) => {
    info.label = label;
    info.problems.push(problem('error', message, fix));
  };
  if (format) {
    refuse(`${format} image`, say('mediaForeign', { format }), say('fixConvert'));
    return;
  }
  if (archive) {
    refuse(`${archive} archive`, say('mediaPacked', { format: archive }), say('fixUnpack'));
    return;
  }
  if (info.sizeBytes < SECTOR) {
    refuse('', say('mediaTooSmall'), say('fixOtherFile'));
    return;
  }
  const floppyBytes = dosFloppyBytes(head);
  const short = floppyBytes !== undefined && info.sizeBytes < floppyBytes;
  // Any file is some disk's bytes; but one of no whole sectors that nothing starts from is a text or a picture rather.
  if (!short && info.sizeBytes % SECTOR && !hasBootSignature(head)) {
    refuse('', say('mediaNoDisk'), say('fixOtherFile'));
    return;
  }
  info.kind = short || FLOPPY_SIZES.has(info.sizeBytes) ? 'floppy' : 'disk';
  if (short) info.problems.push(cutOff(floppyBytes, info.sizeBytes));
  if (info.kind === 'disk') info.format = 'raw';
  const wrong = misnamed(info.path);
  if (wrong) info.problems.push(problem('error', { text: wrong.message, said: wrong.said! }, { text: wrong.fix!, said: wrong.saidFix! }));
  if (info.sizeBytes % SECTOR && !short) info.problems.push(problem('warning', say('mediaOddSize'), say('fixCompare')));
  inspectDiskStart(head, info);
}

/** Label, system and partitions by the first sectors of a disk or floppy. */
function inspectDiskStart(head: Buffer, info: MediaInfo): void {
  info.bootable = hasBootSignature(head);
  // A volume label of DOS boot sectors lies at 43 (FAT12 and FAT16); printable or nothing.
  const label = printable(head.subarray(43, 54));
  if (head[38] === 0x29 && /^[\x20-\x7e]+$/.test(label) && label !== 'NO NAME') info.label = label;
  info.os = guessSystem(info.label, bootText(head));
  if (!info.bootable) info.problems.push(notBootable('mediaNoSignature'));
  else if (info.kind === 'disk') inspectPartitions(head, info);
}

/**
 * Size that the BIOS parameter block of a floppy with a DOS file system gives (bytes per sector at 11, sectors at 19, media descriptor at 21, sectors
 * per FAT at 22); undefined when there is no such block.
 */
function dosFloppyBytes(head: Buffer): number | undefined {
  const jump = (head[0] === 0xeb && head[2] === 0x90) || head[0] === 0xe9;
  if (!jump || head.readUInt16LE(11) !== SECTOR || head.readUInt16LE(22) === 0 || head.readUInt16LE(22) > 32) return undefined;
  const bytes = head.readUInt16LE(19) * SECTOR;
  return head[21]! >= 0xf0 && FLOPPY_SIZES.has(bytes) ? bytes : undefined;
}

/** The text a boot loader shows, which names it. */
const bootText = (head: Buffer) => (head.toString('latin1', 0, SECTOR).match(/[\x20-\x7e]{4,}/g) ?? []).join(' ');

/** MBR partition table (four entries of 16 bytes at 446) and the GPT header at sector 1 (UEFI 2.10 section 5.3.2). */
function inspectPartitions(head: Buffer, info: MediaInfo): void {
  const gpt = head.length >= 2 * SECTOR && head.toString('latin1', SECTOR, SECTOR + 8) === 'EFI PART';
  const entries = [0, 1, 2, 3].map((index) => head.subarray(446 + index * 16, 462 + index * 16)).filter((entry) => entry[4] !== 0);
  // A file system without partitions has code or text where the table would be.
  if (entries.some((entry) => (entry[0]! & 0x7f) !== 0)) return;
  const end = gpt
    ? Number(head.readBigUInt64LE(SECTOR + 32)) + 1
    : Math.max(0, ...entries.map((entry) => entry.readUInt32LE(8) + entry.readUInt32LE(12)));
  if (gpt) info.label ||= 'GPT disk';
  else if (entries.length) info.label ||= `MBR disk, ${entries.length} ${entries.length === 1 ? 'partition' : 'partitions'}`;
  if (end * SECTOR > info.sizeBytes) info.problems.push(problem('warning', say('mediaShortPartitions'), say('fixCopyAgain')));
}
