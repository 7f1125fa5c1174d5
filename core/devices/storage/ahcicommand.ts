/**
 * A command that the driver has put into a slot. Serial ATA AHCI 1.3.1, section 4.2; the frame: Serial ATA Revision 2.6, section 10.3.4.
 *
 * Command header: u32 {FIS dwords 4..0, ATAPI 5, write 6, reset 8, clear busy 10, PRDT entries 31..16}, u32 bytes moved, u64 command table
 * Command table: +00h FIS, +40h packet, +80h PRDT entries {u64 address, u32, u32 bytes - 1 (bits 21..0)}
 */
import { type MemoryRange, ScatterCursor, ScatterList } from '../../bus/scatterlist.ts';
import type { GuestMemory } from '../../memory/guestmemory.ts';
import * as R from './ahciregisters.ts';
import type { AtaUnit } from './ataunit.ts';

const HEADER_BYTES = 32;
const MOVED_AT = 4;
const TABLE_AT = 8;
const FIS_BYTES = 64;
const PACKET_AT = 0x40;
const PRDT_AT = 0x80;
const PRD_BYTES = 16;
const CMD_READ_FPDMA = 0x60;
const CMD_WRITE_FPDMA = 0x61;
const CMD_PACKET = 0xa0;
const FUA = 0x80;
const CONTROL_SRST = 0x04;

export class AhciCommand {
  readonly slot: number;
  /** Bytes moved. */
  moved = 0;
  private readonly memory: GuestMemory;
  private readonly header: number;
  private readonly flags: number;
  private readonly table: number;
  private readonly fis = new Uint8Array(FIS_BYTES);
  /** Where in its memory the drive's data register is. */
  private cursor: ScatterCursor | undefined;
  /** The packet was handed over. */
  private packetSent = false;

  constructor(memory: GuestMemory, list: number, slot: number) {
    this.memory = memory;
    this.slot = slot;
    this.header = list + slot * HEADER_BYTES;
    this.flags = memory.read32(this.header);
    this.table = memory.read32(this.header + TABLE_AT) + memory.read32(this.header + TABLE_AT + 4) * 2 ** 32;
    memory.read(this.table, this.fis.subarray(0, Math.min((this.flags & R.HEADER_FIS_DWORDS) * 4, FIS_BYTES)));
  }

  /** It is a frame with registers for the drive. */
  get valid(): boolean {
    return this.fis[0] === R.FIS_HOST_TO_DEVICE;
  }

  /** The command register was written, rather than the control register. */
  get isCommand(): boolean {
    return (this.fis[1]! & R.FIS_COMMAND) !== 0;
  }

  /** Software reset, as the control register has it. */
  get softReset(): boolean {
    return (this.fis[15]! & CONTROL_SRST) !== 0;
  }

  get code(): number {
    return this.fis[2]!;
  }

  /** READ or WRITE FPDMA QUEUED (ACS-2 sections 7.26 and 7.64): many of them at a time. */
  get queued(): boolean {
    return this.code === CMD_READ_FPDMA || this.code === CMD_WRITE_FPDMA;
  }

  /** What a queued command asks for; `lba` and `count` are sectors. */
  get queuedRequest(): { write: boolean; tag: number; lba: number; count: number; fua: boolean } {
    const { fis } = this;
    return {
      write: this.code === CMD_WRITE_FPDMA,
      tag: fis[12]! >> 3,
      lba: fis[4]! + fis[5]! * 2 ** 8 + fis[6]! * 2 ** 16 + fis[8]! * 2 ** 24 + fis[9]! * 2 ** 32 + fis[10]! * 2 ** 40,
      count: (fis[11]! << 8) | fis[3]! || 65_536,
      fua: (fis[7]! & FUA) !== 0,
    };
  }

  /** Puts the registers of the frame into the drive. */
  load(unit: AtaUnit): void {
    const { fis } = this;
    unit.features = fis[3]!;
    unit.lbaLow = fis[4]!;
    unit.lbaMid = fis[5]!;
    unit.lbaHigh = fis[6]!;
    unit.device = fis[7]!;
    unit.sectorCount = fis[12]!;
    Object.assign(unit.hob, { lbaLow: fis[8]!, lbaMid: fis[9]!, lbaHigh: fis[10]!, features: fis[11]!, sectorCount: fis[13]! });
  }

  /** True when what the drive wants next is the packet of a packet command. */
  get wantsPacket(): boolean {
    return this.code === CMD_PACKET && !this.packetSent;
  }

  sendPacket(target: Uint8Array): void {
    this.packetSent = true;
    this.memory.read(this.table + PACKET_AT, target);
  }

  /** Moves what the drive's data register offers or wants. */
  moveData(toHost: boolean, data: Uint8Array): void {
    this.cursor ??= new ScatterCursor(this.memory, this.ranges(Number.POSITIVE_INFINITY));
    this.moved += toHost ? this.cursor.put(data) : this.cursor.take(data);
  }

  /** What the command's table names, as much of it as `bytes` need. */
  ranges(bytes: number): ScatterList {
    const entries = this.flags >>> R.HEADER_PRDTL_SHIFT;
    const ranges: MemoryRange[] = [];
    for (let index = 0, left = bytes; index < entries && left > 0; index++) {
      const at = this.table + PRDT_AT + index * PRD_BYTES;
      const gpa = this.memory.read32(at) + this.memory.read32(at + 4) * 2 ** 32;
      const length = (this.memory.read32(at + 12) & R.PRD_COUNT) + 1;
      ranges.push({ gpa, length });
      left -= length;
    }
    return new ScatterList(this.memory, ranges);
  }

  /** Tells the driver how many bytes were moved. */
  report(bytes = this.moved): void {
    this.memory.write32(this.header + MOVED_AT, bytes);
  }
}
