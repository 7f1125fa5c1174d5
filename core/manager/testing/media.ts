/** Small media made in memory, as bytes that a test writes where it wants them. */

const SECTOR = 512;
const ISO_SECTOR = 2048;

export interface IsoOptions {
  label?: string;
  bootable?: boolean;
  /** Sectors that the image says it has; those it really has unless given. */
  claimedSectors?: number;
}

/** An ISO 9660 image of 24 sectors: primary descriptor, El Torito boot record and catalog, terminator (ECMA-119 section 8, El Torito 1.0). */
export function isoImage({ label = 'TEST_DISC', bootable = true, claimedSectors }: IsoOptions = {}): Buffer {
  const sectors = 24;
  const image = Buffer.alloc(sectors * ISO_SECTOR);
  const descriptor = (index: number, type: number) => {
    const at = image.subarray((16 + index) * ISO_SECTOR, (17 + index) * ISO_SECTOR);
    at[0] = type;
    at.write('CD001', 1, 'latin1');
    at[6] = 1;
    return at;
  };
  const primary = descriptor(0, 1);
  primary.write(label.padEnd(32), 40, 'latin1');
  primary.writeUInt32LE(claimedSectors ?? sectors, 80);
  if (bootable) {
    const boot = descriptor(1, 0);
    boot.write('EL TORITO SPECIFICATION', 7, 'latin1');
    boot.writeUInt32LE(20, 71);
    const catalog = image.subarray(20 * ISO_SECTOR);
    catalog[0] = 1;
    catalog.set([0x55, 0xaa], 30);
    catalog[32] = 0x88;
  }
  descriptor(bootable ? 2 : 1, 255);
  return image;
}

/** A raw disk or floppy whose first sector halts; 1.44 MB unless told otherwise. */
export function rawImage(sizeBytes = 1_474_560, bootable = true): Buffer {
  const image = Buffer.alloc(sizeBytes);
  image.set([0xfa, 0xf4, 0xeb, 0xfd], 0); // cli; hlt; jmp back
  if (bootable) image.set([0x55, 0xaa], 510);
  return image;
}

/** The boot sector of a DOS floppy of 1.44 MB. */
export function dosFloppy(): Buffer {
  const image = rawImage();
  image.set([0xeb, 0x3c, 0x90], 0);
  image.writeUInt16LE(SECTOR, 11);
  image.writeUInt16LE(2880, 19);
  image[21] = 0xf0;
  image.writeUInt16LE(9, 22);
  image[38] = 0x29;
  image.write('FD14-BOOT  ', 43, 'latin1');
  return image;
}

/** A disk with one MBR partition of `sectors` from sector 63 on. */
export function partitionedDisk(sizeBytes: number, sectors: number): Buffer {
  const image = rawImage(sizeBytes);
  const entry = image.subarray(446, 462);
  entry[0] = 0x80;
  entry[4] = 0x83;
  entry.writeUInt32LE(63, 8);
  entry.writeUInt32LE(sectors, 12);
  return image;
}

/** A Linux kernel by its header (boot protocol 2.15): 4 sectors of set-up and 64 KiB of code. */
export function bzImage(version = '6.1.0-test (builder@host) #1 SMP'): Buffer {
  const image = Buffer.alloc(5 * SECTOR + 65_536);
  image[0x1f1] = 4;
  image.writeUInt32LE(65_536 / 16, 0x1f4);
  image.set([0x55, 0xaa], 510);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x20f, 0x206);
  image.writeUInt16LE(0x300, 0x20e);
  image.write(`${version}\0`, 0x500, 'latin1');
  return image;
}

/** A multiboot kernel: an ELF header and the magic at 4096. */
export function multibootKernel(): Buffer {
  const image = Buffer.alloc(16_384);
  image.set([0x7f, 0x45, 0x4c, 0x46], 0);
  image.writeUInt32LE(0x1badb002, 4096);
  image.writeUInt32LE(-0x1badb002 >>> 0, 4104);
  return image;
}

/** A disk that starts under UEFI only: a GPT with one partition of FAT12, which has EFI/BOOT/BOOTX64.EFI, and no code for a BIOS. */
export function uefiDisk(): Buffer {
  const sector = 512;
  const fat = Buffer.alloc(64 * sector);
  fat.set([0xeb, 0x3c, 0x90]);
  fat.writeUInt16LE(sector, 11);
  // Sectors a cluster, reserved sectors, FATs, entries of the root, sectors, medium, sectors of a FAT.
  fat.set([1, 1, 0, 1, 16, 0, 64, 0, 0xf8, 1, 0], 13);
  fat.writeUInt16LE(0xaa55, 510);
  // Three chains of a cluster each.
  fat.set([0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], sector);
  const entry = (at: number, name: string, directory: boolean, cluster: number) => {
    fat.write(name.padEnd(11), at, 'latin1');
    fat[at + 11] = directory ? 0x10 : 0x20;
    fat.writeUInt16LE(cluster, at + 26);
    if (!directory) fat.writeUInt32LE(sector, at + 28);
  };
  entry(2 * sector, 'EFI', true, 2);
  entry(3 * sector, 'BOOT', true, 3);
  entry(4 * sector, 'BOOTX64 EFI', false, 4);
  const head = Buffer.alloc(1 << 20);
  head[446 + 4] = 0xee;
  head.writeUInt32LE(1, 446 + 8);
  head.writeUInt32LE(0xffff_ffff, 446 + 12);
  head.writeUInt16LE(0xaa55, 510);
  head.write('EFI PART', sector, 'latin1');
  head.writeBigUInt64LE(BigInt((2 << 20) / sector - 1), sector + 32);
  head.writeBigUInt64LE(2n, sector + 72);
  head.writeUInt32LE(128, sector + 80);
  head.writeUInt32LE(128, sector + 84);
  head.fill(0x5a, 1024, 1024 + 32);
  head.writeBigUInt64LE(BigInt(head.length / sector), 1024 + 32);
  head.writeBigUInt64LE(BigInt((head.length + fat.length) / sector - 1), 1024 + 40);
  return Buffer.concat([head, fat, Buffer.alloc((1 << 20) - fat.length)]);
}
