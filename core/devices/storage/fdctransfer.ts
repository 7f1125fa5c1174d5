import { BLOCK_OK, BLOCK_READ_ONLY, type BlockStatus } from '../../backend/asyncblock.ts';
import { BUFFER_SIZE, FdcController } from './fdccontroller.ts';
import {
  CONFIG_IMPLIED_SEEK,
  FORMAT_TRACK,
  MAX_CYLINDER,
  MULTI_TRACK,
  READ_DELETED,
  READ_TRACK,
  SECTOR,
  SECTOR_SIZE_CODE,
  ST0_ABNORMAL,
  ST1_DATA_ERROR,
  ST1_END_OF_CYLINDER,
  ST1_MISSING_ADDRESS,
  ST1_NOT_WRITABLE,
  ST1_NO_DATA,
  ST2_CONTROL_MARK,
  ST2_DATA_ERROR,
  ST2_WRONG_CYLINDER,
  VERIFY,
  VERIFY_COUNT,
  WRITE_DATA,
  WRITE_DELETED,
} from './fdcregisters.ts';
import { type FloppyGeometry, floppyGeometry } from './floppygeometry.ts';

/** Data commands: sectors between disk, buffer and guest (82077AA data sheet, sections 4.2 and 5.1). */
export abstract class FdcTransfer extends FdcController {
  /** The format of the disk in a drive that turns and is read at the right rate; undefined when no address mark can be seen. */
  protected readable(unit: number): FloppyGeometry | undefined {
    const info = this.media[unit]?.info;
    if (!info || !(this.dor & (0x10 << unit))) return undefined;
    const geometry = floppyGeometry(info.sizeBytes);
    return geometry.rates.includes(this.rate) ? geometry : undefined;
  }

  protected beginTransfer(code: number, unit: number, head: number): void {
    const drive = this.drives[unit]!;
    const geometry = this.readable(unit);
    drive.head = head;
    this.position = 0;
    this.length = 0;
    if (code === FORMAT_TRACK) {
      this.lastEot = this.command[3]!;
      if (!geometry) this.fail(ST1_MISSING_ADDRESS, 0);
      else if (this.media[unit]!.info!.readOnly) this.fail(ST1_NOT_WRITABLE, 0);
      else if (this.lastEot === 0) this.endTransfer(0, 0, 0);
      else {
        this.length = this.lastEot * 4;
        this.beginData();
      }
      return;
    }
    const [, , cylinder, side, sector, sizeCode, eot] = this.command as number[] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.lastEot = eot;
    if (this.config & CONFIG_IMPLIED_SEEK && drive.cylinder !== cylinder) {
      if (this.media[unit]?.info) drive.changed = false;
      drive.cylinder = Math.min(MAX_CYLINDER, cylinder);
    }
    if (!geometry || drive.cylinder >= geometry.cylinders || head >= geometry.heads) {
      this.fail(ST1_MISSING_ADDRESS, 0);
      return;
    }
    if (cylinder !== drive.cylinder) {
      this.fail(ST1_NO_DATA, ST2_WRONG_CYLINDER);
      return;
    }
    const start = code === READ_TRACK ? 1 : sector;
    if (sizeCode !== SECTOR_SIZE_CODE || side !== head || start < 1 || start > geometry.sectors) {
      this.fail(ST1_NO_DATA, 0);
      return;
    }
    const isWrite = code === WRITE_DATA || code === WRITE_DELETED;
    if (isWrite && this.media[unit]!.info!.readOnly) {
      this.fail(ST1_NOT_WRITABLE, 0);
      return;
    }
    // Up to the end of the track as EOT and the disk have it, and on the other side when MT is set.
    const last = Math.max(start, Math.min(eot, geometry.sectors));
    let sectors = last - start + 1;
    if (this.command[0]! & MULTI_TRACK && head === 0 && geometry.heads === 2 && code !== READ_TRACK) sectors += last;
    if (code === VERIFY && this.command[1]! & VERIFY_COUNT) sectors = Math.min(sectors, Math.max(1, this.command[8]!));
    // A sector with another address mark than asked for ends the command.
    if (code === READ_DELETED) sectors = 1;
    this.length = Math.min(sectors * SECTOR, BUFFER_SIZE);
    if (isWrite) this.beginData();
    else this.startDisk();
  }

  /** Where the transfer's sectors lie: runs of whole tracks, because EOT may end one side early. */
  private extents(bytes: number): { offset: number; start: number; length: number }[] {
    const unit = this.command[1]! & 3;
    const geometry = this.readable(unit);
    if (!geometry) return [];
    const drive = this.drives[unit]!;
    const code = this.command[0]! & 0x1f;
    const first = code === READ_TRACK ? 1 : this.command[4]!;
    const last = Math.max(first, Math.min(this.command[6]!, geometry.sectors));
    const track = (drive.cylinder * geometry.heads + drive.head) * geometry.sectors;
    const onFirst = Math.min(bytes, (last - first + 1) * SECTOR);
    const list = [{ offset: (track + first - 1) * SECTOR, start: 0, length: onFirst }];
    if (bytes > onFirst) list.push({ offset: (track + geometry.sectors) * SECTOR, start: onFirst, length: bytes - onFirst });
    return list;
  }

  /** Reads the sectors into the buffer, or writes them from it. */
  protected override startDisk(): void {
    this.phase = 'io';
    this.dma.setRequest(false);
    const unit = this.command[1]! & 3;
    const device = this.media[unit];
    const code = this.command[0]! & 0x1f;
    if (code === FORMAT_TRACK) {
      this.formatSectors();
      return;
    }
    const write = this.writing;
    // A transfer that stopped inside a sector fills it up with zeros.
    let bytes = this.length;
    if (write) {
      bytes = Math.ceil(this.position / SECTOR) * SECTOR;
      this.buffer.fill(0, this.position, bytes);
    } else this.buffer.fill(0, 0, bytes);
    const generation = this.generation;
    let waiting = 1;
    let worst: BlockStatus = BLOCK_OK;
    const done = (status: BlockStatus) => {
      if (generation !== this.generation) return;
      if (status !== BLOCK_OK) worst = status;
      if (--waiting === 0) this.diskDone(worst);
    };
    const size = device?.info?.sizeBytes ?? 0;
    for (const extent of this.extents(bytes)) {
      // An image that is shorter than its format reads as zeros past its end.
      const length = Math.max(0, Math.min(extent.length, size - extent.offset));
      if (length === 0 || !device) continue;
      waiting++;
      const view = [this.buffer.subarray(extent.start, extent.start + length)];
      if (write) device.write(extent.offset, view, done);
      else device.read(extent.offset, view, done);
    }
    // Nothing lies on the disk: the answer still must not come from inside the request.
    if (waiting === 1) this.answerTimer.arm(this.clock.now());
    else waiting--;
  }

  /** FORMAT TRACK: the buffer has C, H, R, N of each sector; sectors the format has are filled with the filler byte. */
  private formatSectors(): void {
    const unit = this.command[1]! & 3;
    const device = this.media[unit];
    const geometry = this.readable(unit);
    const drive = this.drives[unit]!;
    const generation = this.generation;
    const track = new Uint8Array(new SharedArrayBuffer(SECTOR)).fill(this.command[5]!);
    let waiting = 1;
    let worst: BlockStatus = BLOCK_OK;
    const done = (status: BlockStatus) => {
      if (generation !== this.generation) return;
      if (status !== BLOCK_OK) worst = status;
      if (--waiting === 0) this.diskDone(worst);
    };
    for (let at = 0; at + 4 <= this.position; at += 4) {
      const [cylinder, head, sector, sizeCode] = this.buffer.subarray(at, at + 4) as unknown as [number, number, number, number];
      if (!device || !geometry || cylinder !== drive.cylinder || head !== drive.head || sizeCode !== SECTOR_SIZE_CODE) continue;
      if (sector < 1 || sector > geometry.sectors || head >= geometry.heads || cylinder >= geometry.cylinders) continue;
      const offset = ((cylinder * geometry.heads + head) * geometry.sectors + sector - 1) * SECTOR;
      if (offset + SECTOR > device.info!.sizeBytes) continue;
      waiting++;
      device.write(offset, [track], done);
    }
    if (waiting === 1) this.answerTimer.arm(this.clock.now());
    else waiting--;
  }

  protected override diskDone(status: BlockStatus): void {
    if (status !== BLOCK_OK) {
      if (status === BLOCK_READ_ONLY) this.fail(ST1_NOT_WRITABLE, 0);
      else this.fail(ST1_DATA_ERROR, ST2_DATA_ERROR);
      return;
    }
    const code = this.command[0]! & 0x1f;
    if (code === VERIFY) {
      this.position = this.length;
      this.endTransfer(0, 0, 0);
    } else if (this.writing) this.endWrite();
    else this.beginData();
  }

  private beginData(): void {
    this.phase = 'data';
    this.position = 0;
    if (this.pio) this.setIrq(true);
    else {
      this.dma.setRequest(true);
      if (this.dma.ready) this.moveByDma();
    }
  }

  protected override moveByDma(): void {
    const rest = this.buffer.subarray(this.position, this.length);
    const { bytes, terminalCount } = this.writing ? this.dma.fromMemory(rest) : this.dma.toMemory(rest);
    this.position += bytes;
    this.terminalCount = terminalCount;
    // A channel that takes nothing is programmed wrongly; the command waits for it or for a reset.
    if (!terminalCount && this.position < this.length) return;
    if (this.writing) this.startDisk();
    else this.endRead();
  }

  protected endRead(): void {
    const deleted = (this.command[0]! & 0x1f) === READ_DELETED;
    this.endOfData(deleted ? ST2_CONTROL_MARK : 0);
  }

  private endWrite(): void {
    if ((this.command[0]! & 0x1f) === FORMAT_TRACK) this.endTransfer(0, 0, 0);
    else this.endOfData(0);
  }

  /** Without terminal count the controller runs into the end of the track, which it reports as an error (section 6.2, EN). */
  private endOfData(st2: number): void {
    const overran = !this.terminalCount && st2 === 0;
    this.endTransfer(overran ? ST0_ABNORMAL : 0, overran ? ST1_END_OF_CYLINDER : 0, st2);
  }

  private fail(st1: number, st2: number): void {
    this.position = 0;
    this.endTransfer(ST0_ABNORMAL, st1, st2);
  }

  /** Result phase of a data command; the address is that of the sector after the last one moved (data sheet, table 5-5). */
  private endTransfer(st0: number, st1: number, st2: number): void {
    const unit = this.command[1]! & 3;
    const drive = this.drives[unit]!;
    const code = this.command[0]! & 0x1f;
    if (code === FORMAT_TRACK) {
      this.finish([st0 | (drive.head << 2) | unit, st1, st2, drive.cylinder, drive.head, 0, SECTOR_SIZE_CODE], true);
      return;
    }
    let [, , cylinder, head, sector] = this.command as number[] as [number, number, number, number, number];
    const eot = Math.max(sector, this.command[6]!);
    const sizeCode = this.command[5]!;
    const multiTrack = (this.command[0]! & MULTI_TRACK) !== 0;
    for (let left = Math.ceil(this.position / SECTOR); left > 0; left--) {
      if (sector < eot) sector++;
      else {
        sector = 1;
        if (multiTrack && head === 0) {
          head = 1;
          // The head really moved on only if sectors of that side were touched.
          if (left > 1) drive.head = 1;
        } else {
          if (multiTrack) head = 0;
          cylinder = (cylinder + 1) & 0xff;
        }
      }
    }
    this.finish([st0 | (drive.head << 2) | unit, st1, st2, cylinder, head, sector, sizeCode], true);
  }
}
