/**
 * SMBIOS structures that describe the machine to its guest.
 * Spec: DMTF DSP0134 (System Management BIOS Reference Specification) 2.8.0; chapter 7 has the structures, chapter 5 the entry point.
 *
 * SeaBIOS takes them from two files (its fw/biostables.c): it copies the structures to where they stay, puts a structure of type 0 about
 * itself in front, since it knows its own version best, and completes the entry point.
 */
import type { FwCfg } from '../devices/platform/fwcfg.ts';

const TABLES_FILE = 'etc/smbios/smbios-tables';
const ANCHOR_FILE = 'etc/smbios/smbios-anchor';
const VERSION_MAJOR = 2;
const VERSION_MINOR = 8;
const ANCHOR_BYTES = 0x1f;
/** The part of the entry point that starts at "_DMI_". */
const INTERMEDIATE = 0x10;

const MANUFACTURER = 'Hypervue';
const PRODUCT = 'Virtual Machine';

const HANDLE_SYSTEM = 0x0100;
const HANDLE_CHASSIS = 0x0300;
const HANDLE_PROCESSOR = 0x0400;
const HANDLE_MEMORY_ARRAY = 0x1000;
const HANDLE_MEMORY_DEVICE = 0x1100;
const HANDLE_MEMORY_ADDRESS = 0x1300;
const HANDLE_BOOT = 0x2000;
const HANDLE_END = 0x7f00;
const NO_HANDLE = 0xffff;
/** "No error information is provided" (7.17, 7.18). */
const NO_ERROR_HANDLE = 0xfffe;
/** Values that most enumerations have at these places. */
const OTHER = 1;
const UNKNOWN = 2;
const SAFE = 3;

export interface SmbiosBoard {
  /** RFC 4122. */
  uuid: string;
  ramBytes: number;
}

/** One structure: its formatted area grows field by field; strings are numbered as they come. */
class Structure {
  private readonly area: number[];
  private readonly strings: string[] = [];

  constructor(type: number, handle: number) {
    // The length is known at the end.
    this.area = [type, 0, handle & 0xff, handle >> 8];
  }

  field(value: number, bytes: 1 | 2 | 4 | 8): this {
    for (let i = 0; i < bytes; i++) this.area.push(Math.floor(value / 2 ** (8 * i)) % 256);
    return this;
  }

  bytes(values: Iterable<number>): this {
    this.area.push(...values);
    return this;
  }

  /** A reference to a text; none for an empty one. */
  text(text: string): this {
    this.area.push(text ? this.strings.push(text) : 0);
    return this;
  }

  /** Formatted area, strings, and the double zero at the end (6.1.3). */
  encode(): Uint8Array {
    this.area[1] = this.area.length;
    const strings = this.strings.length ? this.strings.map((text) => `${text}\0`).join('') : '\0';
    return Uint8Array.of(...this.area, ...new TextEncoder().encode(`${strings}\0`));
  }
}

/** The first three fields of a UUID are little-endian here (7.2.1). */
function uuidField(uuid: string): number[] {
  const bytes = (uuid.replaceAll('-', '').match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  return [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((index) => bytes[index] ?? 0);
}

function structures({ uuid, ramBytes }: SmbiosBoard): Structure[] {
  const ramMiB = Math.floor(ramBytes / 2 ** 20);
  const system = new Structure(1, HANDLE_SYSTEM)
    .text(MANUFACTURER)
    .text(PRODUCT)
    .text('')
    .text('')
    .bytes(uuidField(uuid))
    .field(6, 1) // woken by the power switch
    .text('')
    .text('');
  const chassis = new Structure(3, HANDLE_CHASSIS)
    .text(MANUFACTURER)
    .field(OTHER, 1)
    .text('')
    .text('')
    .text('')
    .bytes([SAFE, SAFE, SAFE, UNKNOWN]) // boot-up, power supply, thermal, security
    .field(0, 4)
    .bytes([0, 0, 0, 0]) // height, power cords, contained elements and their length
    .text('');
  const processor = new Structure(4, HANDLE_PROCESSOR)
    .text('CPU 0')
    .bytes([3, OTHER]) // central processor, family
    .text(MANUFACTURER)
    .field(0, 8) // CPUID says it
    .text('')
    .field(0, 1) // voltage
    .field(0, 2)
    .field(0, 2)
    .field(0, 2) // clock, greatest and current speed: unknown
    .field(0x41, 1) // populated, enabled
    .field(OTHER, 1)
    .field(NO_HANDLE, 2)
    .field(NO_HANDLE, 2)
    .field(NO_HANDLE, 2) // caches
    .text('')
    .text('')
    .text('')
    .bytes([1, 1, 1]) // cores, enabled cores, threads
    .field(UNKNOWN, 2)
    .field(OTHER, 2);
  const array = new Structure(16, HANDLE_MEMORY_ARRAY)
    .bytes([OTHER, 3, 3]) // location, system memory, no error correction
    .field(ramMiB * 1024, 4)
    .field(NO_ERROR_HANDLE, 2)
    .field(1, 2)
    .field(0, 8);
  const memory = new Structure(17, HANDLE_MEMORY_DEVICE)
    .field(HANDLE_MEMORY_ARRAY, 2)
    .field(NO_ERROR_HANDLE, 2)
    .field(0xffff, 2)
    .field(0xffff, 2) // widths: unknown
    .field(ramMiB, 2)
    .bytes([9, 0]) // DIMM, of no set
    .text('DIMM 0')
    .text('')
    .field(7, 1) // RAM
    .field(1 << 1, 2)
    .field(0, 2)
    .text(MANUFACTURER)
    .text('')
    .text('')
    .text('')
    .field(0, 1)
    .field(0, 4)
    .field(0, 2)
    .field(0, 2)
    .field(0, 2)
    .field(0, 2); // voltages: unknown
  const mapped = new Structure(19, HANDLE_MEMORY_ADDRESS)
    .field(0, 4)
    .field(ramMiB * 1024 - 1, 4)
    .field(HANDLE_MEMORY_ARRAY, 2)
    .field(1, 1)
    .field(0, 8)
    .field(0, 8);
  const boot = new Structure(32, HANDLE_BOOT).bytes([0, 0, 0, 0, 0, 0]).field(0, 1);
  return [system, chassis, processor, array, memory, mapped, boot, new Structure(127, HANDLE_END)];
}

export function buildSmbios(board: SmbiosBoard): { tables: Uint8Array; anchor: Uint8Array } {
  const encoded = structures(board).map((structure) => structure.encode());
  const tables = new Uint8Array(encoded.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const bytes of encoded) {
    tables.set(bytes, at);
    at += bytes.length;
  }
  const anchor = new Uint8Array(ANCHOR_BYTES);
  const view = new DataView(anchor.buffer);
  anchor.set(new TextEncoder().encode('_SM_'));
  anchor.set([ANCHOR_BYTES, VERSION_MAJOR, VERSION_MINOR], 5);
  view.setUint16(8, Math.max(...encoded.map(({ length }) => length)), true);
  anchor.set(new TextEncoder().encode('_DMI_'), INTERMEDIATE);
  view.setUint16(0x16, tables.length, true);
  // The address at 0x18 is the firmware's to fill in.
  view.setUint16(0x1c, encoded.length, true);
  anchor[0x1e] = (VERSION_MAJOR << 4) | VERSION_MINOR;
  anchor[0x15] = -sum(anchor.subarray(INTERMEDIATE));
  anchor[4] = -sum(anchor);
  return { tables, anchor };
}

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => total + byte, 0);

export function installSmbios(board: SmbiosBoard, fwCfg: FwCfg): void {
  const { tables, anchor } = buildSmbios(board);
  fwCfg.addFile(TABLES_FILE, tables);
  fwCfg.addFile(ANCHOR_FILE, anchor);
}
