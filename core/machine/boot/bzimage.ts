import { HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import type { DirectBoot } from '../definition.ts';
import { type BootPlan, FIRMWARE_TOP_BYTES, HIGH_MEMORY_START } from './bootplan.ts';

/*
 * Linux/x86 boot protocol (kernel documentation, arch/x86/boot.rst). Offsets are those of the setup header in the image.
 */
const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const VID_MODE = 0x1fa;
const BOOT_FLAG = 0x1fe;
const HEADER = 0x202;
const VERSION = 0x206;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const CODE32_START = 0x214;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const HEAP_END_PTR = 0x224;
const CMD_LINE_PTR = 0x228;
const INITRD_ADDR_MAX = 0x22c;
const KERNEL_ALIGNMENT = 0x230;
const RELOCATABLE_KERNEL = 0x234;
const CMDLINE_SIZE = 0x238;
const PREF_ADDRESS = 0x258;
const INIT_SIZE = 0x260;

const BOOT_FLAG_VALUE = 0xaa55;
const LOADED_HIGH = 0x01;
const CAN_USE_HEAP = 0x80;
/** No id has been assigned to this loader. */
const LOADER_UNDEFINED = 0xff;
const DEFAULT_SETUP_SECTS = 4;
const DEFAULT_INITRD_ADDR_MAX = 0x37ffffff;
const DEFAULT_CMDLINE_SIZE = 255;
/** Real-mode part, its heap and stack: one segment. The command line follows. */
const REAL_MODE_ADDRESS = 0x10000;
const REAL_MODE_BYTES = 0x10000;
const CMDLINE_ADDRESS = REAL_MODE_ADDRESS + REAL_MODE_BYTES;
/** Bytes for the command line without its final zero. */
const CMDLINE_ROOM = 0xffff;
const PAGE = 4096;
/** `syssize` counts in these. */
const PARAGRAPH = 16;
/** Words that `vga=` takes besides numbers. */
const VIDEO_MODES: { [word: string]: number } = { normal: 0xffff, ext: 0xfffe, ask: 0xfffd };

/** True for an image with the boot protocol's signatures. */
export function isBzImage(image: Uint8Array): boolean {
  return image.length > HEADER + 4 && ascii(image, HEADER, 4) === 'HdrS' && u16(image, BOOT_FLAG) === BOOT_FLAG_VALUE;
}

/**
 * Checks a Linux bzImage and plans its boot by the 16-bit entry, so that the kernel's own setup code asks the BIOS for the memory map and the
 * video mode. Throws 'corrupt', 'unsupported', 'invalid-argument' or 'resource-limit'.
 */
export function planBzImage({ kernel, initrd, cmdline, label }: DirectBoot, ramBytes: number): BootPlan {
  const fail = (kind: 'corrupt' | 'unsupported' | 'invalid-argument' | 'resource-limit', why: string | Saying, fix?: string | Saying) =>
    new HypervueError(kind, say('bootFails', { image: label, why }), { object: label, operation: 'boot' }, fix);
  const version = u16(kernel, VERSION);
  if (version < 0x202)
    throw fail('unsupported', say('kernelProtocol', { version: `${version >> 8}.${version & 0xff}` }), say('fixKernelProtocol'));
  if (!(kernel[LOADFLAGS]! & LOADED_HIGH)) throw fail('unsupported', say('kernelZimage'), say('fixKernelZimage'));
  const setupBytes = ((kernel[SETUP_SECTS] || DEFAULT_SETUP_SECTS) + 1) * 512;
  // The heap and stack behind it need room in the same segment.
  if (setupBytes > REAL_MODE_BYTES / 2 || setupBytes >= kernel.length) throw fail('corrupt', say('kernelDamaged'), say('fixCopyAgain'));
  const protectedBytes = kernel.length - setupBytes;
  // The field was 16 bits wide once. The last paragraph need not be full; signatures may follow.
  const paragraphs = version >= 0x204 ? u32(kernel, SYSSIZE) : u16(kernel, SYSSIZE);
  if (protectedBytes <= (paragraphs - 1) * PARAGRAPH) throw fail('corrupt', say('kernelCutOff'), say('fixCopyAgain'));
  const kernelEnd = Math.max(HIGH_MEMORY_START + protectedBytes, version >= 0x20a ? runtimeEnd(kernel) : 0);
  const ramEnd = Math.min(ramBytes, memoryLimit(cmdline)) - FIRMWARE_TOP_BYTES;
  const line = new TextEncoder().encode(cmdline);
  const lineMax = version >= 0x206 ? Math.min(u32(kernel, CMDLINE_SIZE), CMDLINE_ROOM) : DEFAULT_CMDLINE_SIZE;
  if (line.length > lineMax)
    throw fail('invalid-argument', `the command line has ${line.length} bytes, this kernel takes ${lineMax}`, 'Shorten the command line.');
  const needed = kernelEnd + (initrd ? initrd.length + PAGE : 0);
  if (needed > ramEnd)
    throw fail(
      'resource-limit',
      'the kernel and its initrd do not fit into the memory of the machine',
      `Give it ${Math.ceil((needed + FIRMWARE_TOP_BYTES) / 2 ** 20) + 8} MiB or more.`,
    );

  // As high as the kernel allows, away from where it unpacks itself.
  const initrdMax = version >= 0x203 ? u32(kernel, INITRD_ADDR_MAX) + 1 : DEFAULT_INITRD_ADDR_MAX + 1;
  const initrdAddress = initrd ? Math.floor((Math.min(initrdMax, ramEnd) - initrd.length) / PAGE) * PAGE : 0;
  if (initrd && initrdAddress < kernelEnd)
    throw fail(
      'resource-limit',
      `the initrd does not fit below ${(initrdMax / 2 ** 20).toFixed(0)} MiB, where this kernel wants it`,
      'Use a smaller initrd.',
    );

  const setup = kernel.slice(0, setupBytes);
  const header = new DataView(setup.buffer);
  setup[TYPE_OF_LOADER] = LOADER_UNDEFINED;
  setup[LOADFLAGS] = setup[LOADFLAGS]! | CAN_USE_HEAP;
  header.setUint16(HEAP_END_PTR, REAL_MODE_BYTES - 0x200 - 0x1000, true);
  const mode = videoMode(cmdline);
  if (mode !== undefined) header.setUint16(VID_MODE, mode, true);
  header.setUint32(CMD_LINE_PTR, CMDLINE_ADDRESS, true);
  header.setUint32(CODE32_START, HIGH_MEMORY_START, true);
  header.setUint32(RAMDISK_IMAGE, initrdAddress, true);
  header.setUint32(RAMDISK_SIZE, initrd?.length ?? 0, true);

  return {
    entry: {
      mode: 'real',
      codeSegment: (REAL_MODE_ADDRESS >> 4) + 0x20,
      dataSegment: REAL_MODE_ADDRESS >> 4,
      stackPointer: REAL_MODE_BYTES - 0x10,
    },
    load: (memory) => {
      memory.write(REAL_MODE_ADDRESS, setup);
      memory.write(CMDLINE_ADDRESS, line);
      memory.write8(CMDLINE_ADDRESS + line.length, 0);
      memory.write(HIGH_MEMORY_START, kernel.subarray(setupBytes));
      if (initrd) memory.write(initrdAddress, initrd);
    },
  };
}

/** End of the memory in which the kernel unpacks itself and runs until it knows the memory map ("init_size" in the protocol). */
function runtimeEnd(kernel: Uint8Array): number {
  const preferred = u32(kernel, PREF_ADDRESS) + u32(kernel, PREF_ADDRESS + 4) * 2 ** 32;
  const alignment = u32(kernel, KERNEL_ALIGNMENT) || 1;
  const start = kernel[RELOCATABLE_KERNEL] ? Math.ceil(Math.max(preferred, HIGH_MEMORY_START) / alignment) * alignment : preferred;
  return start + u32(kernel, INIT_SIZE);
}

/** Value of the last option `name=` of a command line. */
function option(cmdline: string, name: string): string | undefined {
  const words = cmdline.split(/[ \t\n]+/).filter((word) => word.startsWith(`${name}=`));
  return words.at(-1)?.slice(name.length + 1);
}

/** A number in C notation, with a suffix K, M or G. */
function cNumber(text: string): number | undefined {
  const parts = /^(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)([kmg]?)$/i.exec(text);
  if (!parts) return undefined;
  const [, digits, suffix] = parts as unknown as [string, string, string];
  const value = /^0[0-7]/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return value * 1024 ** ' KMG'.indexOf(suffix.toUpperCase() || ' ');
}

/** `vga=` is the loader's option: boot.rst, "special command line options". */
function videoMode(cmdline: string): number | undefined {
  const value = option(cmdline, 'vga');
  if (value === undefined) return undefined;
  const mode = VIDEO_MODES[value] ?? cNumber(value);
  return mode !== undefined && mode <= 0xffff ? mode : undefined;
}

/** `mem=` hides memory from the kernel, so that the initrd must lie below. */
function memoryLimit(cmdline: string): number {
  return cNumber(option(cmdline, 'mem') ?? '') || Number.POSITIVE_INFINITY;
}

/** Little-endian; 0 beyond the end of the image. */
const u16 = (bytes: Uint8Array, at: number) => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
const u32 = (bytes: Uint8Array, at: number) => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
const ascii = (bytes: Uint8Array, at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
