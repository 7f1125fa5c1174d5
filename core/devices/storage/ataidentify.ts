/** What a hard disk says of itself: IDENTIFY DEVICE. ATA/ATAPI-6 section 8.16, table 26; ACS-2 section 7.16 for what came later. */
import { ataString } from './ataunit.ts';

/** Most sectors one READ/WRITE MULTIPLE block may have. */
export const MAX_MULTIPLE = 16;
export const HEADS = 16;
export const SECTORS_PER_TRACK = 63;
export const LBA28_SECTORS = 0x0fff_ffff;
/** Commands that can be queued. */
export const QUEUE_DEPTH = 32;
/** Blocks of ranges in one DATA SET MANAGEMENT command. */
export const MAX_TRIM_BLOCKS = 8;

export interface DiskShape {
  sectors: number;
  /** At most 20 characters. */
  serial: string;
  /** Geometry of INITIALIZE DEVICE PARAMETERS. */
  heads: number;
  sectorsPerTrack: number;
  /** Sectors a MULTIPLE block has; 0 = not set. */
  multiple: number;
  /** As SET FEATURES gave it. */
  transferMode: number;
  writeCache: boolean;
  sata: boolean;
}

export function identifyDisk(disk: DiskShape): Uint16Array {
  const words = new Uint16Array(256);
  const { sectors } = disk;
  const cylinders = Math.min(16_383, Math.max(1, Math.floor(sectors / (HEADS * SECTORS_PER_TRACK))));
  const currentCylinders = Math.min(65_535, Math.max(1, Math.floor(sectors / (disk.heads * disk.sectorsPerTrack))));
  const chsSectors = Math.min(sectors, currentCylinders * disk.heads * disk.sectorsPerTrack);
  words[0] = 0x0040;
  words[1] = cylinders;
  words[3] = HEADS;
  words[6] = SECTORS_PER_TRACK;
  ataString(words, 10, 10, disk.serial);
  ataString(words, 23, 4, '1.0');
  ataString(words, 27, 20, 'HYPERVUE HARDDISK');
  words[47] = 0x8000 | MAX_MULTIPLE;
  words[49] = 0x0b00; // IORDY, LBA, DMA
  words[50] = 0x4000;
  words[51] = 0x0200;
  words[53] = 0x0007;
  words[54] = currentCylinders;
  words[55] = disk.heads;
  words[56] = disk.sectorsPerTrack;
  words[57] = chsSectors & 0xffff;
  words[58] = chsSectors >>> 16;
  words[59] = disk.multiple ? 0x0100 | disk.multiple : 0;
  const lba28 = Math.min(sectors, LBA28_SECTORS);
  words[60] = lba28 & 0xffff;
  words[61] = lba28 >>> 16;
  words[63] = 0x0007 | (disk.transferMode >> 3 === 4 ? 1 << (8 + (disk.transferMode & 7)) : 0);
  words[64] = 0x0003;
  words[65] = words[66] = words[67] = words[68] = 120;
  words[69] = 0x4000; // trimmed sectors read the same each time
  words[80] = 0x01fe; // ATA-1 to ACS-2
  words[82] = 0x4020; // NOP, write cache
  words[83] = 0x7400; // FLUSH CACHE (EXT), LBA48
  words[84] = 0x4040; // WRITE DMA FUA EXT
  words[85] = disk.writeCache ? 0x4020 : 0x4000;
  words[86] = 0x3400;
  words[87] = 0x4040;
  words[88] = 0x003f | (disk.transferMode >> 3 === 8 ? 1 << (8 + (disk.transferMode & 7)) : 0);
  if (disk.sata) {
    words[75] = QUEUE_DEPTH - 1;
    words[76] = 0x0106; // NCQ, generations 1 and 2
    words[84] = words[87] = 0x4060; // general purpose logs
  } else words[93] = 0x6001;
  words[105] = MAX_TRIM_BLOCKS;
  words[106] = 0x6003; // 2^3 logical sectors in a physical one
  words[169] = 0x0001; // TRIM
  words[100] = sectors % 0x10000;
  words[101] = Math.floor(sectors / 2 ** 16) % 0x10000;
  words[102] = Math.floor(sectors / 2 ** 32) % 0x10000;
  return words;
}
