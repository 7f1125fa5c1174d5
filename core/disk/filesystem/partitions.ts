import { getU64LE } from '../littleendian.ts';
import type { DiskBytes } from './diskbytes.ts';

const SECTOR = 512;
const MBR_ENTRIES = 446;
const MBR_ENTRY_BYTES = 16;
const EXTENDED = [0x05, 0x0f, 0x85];
/** Of GPT, in an MBR that keeps others away (UEFI 2.10 section 5.2.3). */
const PROTECTIVE = 0xee;
const MOST_LOGICAL = 32;
const GPT_MAGIC = 'EFI PART';
/** UEFI 2.10 section 5.3.2: usually 128 entries of 128 bytes. */
const MOST_GPT_ENTRIES = 256;
const GPT_ENTRY_BYTES = { least: 128, most: 4096 };

export interface Partition {
  offset: number;
  length: number;
}

interface Entry extends Partition {
  type: number;
}

function entriesOf(sector: DataView): Entry[] {
  return [0, 1, 2, 3].flatMap((index) => {
    const at = MBR_ENTRIES + index * MBR_ENTRY_BYTES;
    const [type, first, count] = [sector.getUint8(at + 4), sector.getUint32(at + 8, true), sector.getUint32(at + 12, true)];
    // A status other than 0 and 80h is code or text of a file system that begins here.
    return type === 0 || count === 0 || sector.getUint8(at) & 0x7f ? [] : [{ type, offset: first * SECTOR, length: count * SECTOR }];
  });
}

const signed = (sector: DataView) => sector.byteLength === SECTOR && sector.getUint16(510, true) === 0xaa55;

/** The chain of an extended partition: each link has one logical partition and the next link, both counted from places of their own. */
async function logical(disk: DiskBytes, extended: Entry): Promise<Partition[]> {
  const found: Partition[] = [];
  let link = extended.offset;
  for (let count = 0; count < MOST_LOGICAL; count++) {
    const sector = await disk.at(link, SECTOR);
    if (!signed(sector)) break;
    const entries = entriesOf(sector);
    const [data, next] = [entries.find(({ type }) => !EXTENDED.includes(type)), entries.find(({ type }) => EXTENDED.includes(type))];
    if (data) found.push({ offset: link + data.offset, length: data.length });
    if (!next || next.offset === 0) break;
    link = extended.offset + next.offset;
  }
  return found;
}

async function gptPartitions(disk: DiskBytes): Promise<Partition[] | undefined> {
  const header = await disk.at(SECTOR, SECTOR);
  if (header.byteLength < SECTOR || String.fromCharCode(...new Uint8Array(header.buffer, 0, 8)) !== GPT_MAGIC) return undefined;
  const bytes = header.getUint32(84, true);
  if (bytes < GPT_ENTRY_BYTES.least || bytes > GPT_ENTRY_BYTES.most) return [];
  const table = await disk.at(getU64LE(header, 72) * SECTOR, Math.min(header.getUint32(80, true), MOST_GPT_ENTRIES) * bytes);
  const found: Partition[] = [];
  for (let at = 0; at + bytes <= table.byteLength; at += bytes) {
    if (getU64LE(table, at) === 0 && getU64LE(table, at + 8) === 0) continue;
    const [first, last] = [getU64LE(table, at + 32), getU64LE(table, at + 40)];
    if (last >= first) found.push({ offset: first * SECTOR, length: (last - first + 1) * SECTOR });
  }
  return found;
}

/** The partitions of a disk by its GPT (UEFI 2.10 section 5.3) or MBR, logical ones included; of a disk without any, all of it as one. Sectors of 512 bytes. */
export async function readPartitions(disk: DiskBytes): Promise<Partition[]> {
  const whole = [{ offset: 0, length: disk.length }];
  const mbr = await disk.at(0, SECTOR);
  const entries = signed(mbr) ? entriesOf(mbr) : [];
  if (entries.length === 0 || entries.some(({ type }) => type === PROTECTIVE)) return (await gptPartitions(disk)) ?? whole;
  const found: Partition[] = [];
  for (const entry of entries) {
    if (EXTENDED.includes(entry.type)) found.push(...(await logical(disk, entry)));
    else found.push({ offset: entry.offset, length: entry.length });
  }
  return found;
}
