/** What a SCSI disk says about itself: SPC-4 sections 6.6 and 7.5 to 7.8, SBC-3 sections 5.15, 5.16 and 6.5. Numbers are big-endian. */

export interface DiskFacts {
  /** Blocks of 512 bytes. */
  blocks: number;
  readOnly: boolean;
  writeCache: boolean;
  /** At most 20 characters. */
  serial: string;
}

export const BLOCK = 512;
const MAX_READ_CAPACITY_10 = 0xffff_ffff;
/** Direct access block device. */
const TYPE_DISK = 0;
const VERSION_SPC3 = 5;
const NO_ASSOCIATION_ASCII_T10 = [0x02, 0x01, 0];

const text = (value: string, length: number): number[] => [...value.padEnd(length).slice(0, length)].map((c) => c.charCodeAt(0) & 0x7f);

/** Standard data. */
export function inquiry(): Uint8Array {
  return Uint8Array.from([
    ...[TYPE_DISK, 0, VERSION_SPC3, 0x02, 31, 0, 0, 0],
    ...text('HYPERVUE', 8),
    ...text('USB DISK', 16),
    ...text('1.0', 4),
  ]);
}

/** A page of vital product data; undefined when it is none of ours. */
export function vitalPage(page: number, { serial }: DiskFacts): Uint8Array | undefined {
  const body = vitalBody(page, serial);
  return body && Uint8Array.from([TYPE_DISK, page, 0, body.length, ...body]);
}

function vitalBody(page: number, serial: string): number[] | undefined {
  switch (page) {
    case 0x00: // supported pages
      return [0x00, 0x80, 0x83];
    case 0x80: // serial number
      return text(serial, serial.length);
    case 0x83: {
      // Device identification: a T10 vendor's identifier.
      const id = [...text('HYPERVUE', 8), ...text(serial, serial.length)];
      return [...NO_ASSOCIATION_ASCII_T10, id.length, ...id];
    }
    default:
      return undefined;
  }
}

export function capacity10({ blocks }: DiskFacts): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, Math.min(blocks - 1, MAX_READ_CAPACITY_10));
  view.setUint32(4, BLOCK);
  return new Uint8Array(view.buffer);
}

export function capacity16({ blocks }: DiskFacts): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setBigUint64(0, BigInt(blocks - 1));
  view.setUint32(8, BLOCK);
  return new Uint8Array(view.buffer);
}

/** READ FORMAT CAPACITIES (UFI 1.0, section 4.10): formatted medium of so many blocks. */
export function formatCapacities({ blocks }: DiskFacts): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint32(0, 8);
  view.setUint32(4, Math.min(blocks, MAX_READ_CAPACITY_10));
  view.setUint32(8, (2 << 24) | BLOCK);
  return new Uint8Array(view.buffer);
}

/** MODE SENSE: header and the caching page; undefined when another page alone is asked for. `control`: 1 asks for what can be changed, which is nothing. */
export function modePages(page: number, control: number, long: boolean, { readOnly, writeCache }: DiskFacts): Uint8Array | undefined {
  if (page !== 0x08 && page !== 0x3f) return undefined;
  const caching = new Array<number>(20).fill(0);
  caching[0] = 0x08;
  caching[1] = 18;
  if (writeCache && control !== 1) caching[2] = 0x04;
  const specific = readOnly ? 0x80 : 0;
  const header = long ? [0, caching.length + 6, 0, specific, 0, 0, 0, 0] : [caching.length + 3, 0, specific, 0];
  return Uint8Array.from([...header, ...caching]);
}
