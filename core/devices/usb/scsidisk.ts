/** SCSI commands of a disk: SPC-4 and SBC-3. What moves data is carried out by whoever transports it. */
import type { BlockDevice } from '../../backend/asyncblock.ts';
import type { Logger } from '../../util/logger.ts';
import { answered, DONE, INVALID_FIELD, NO_MEDIUM, OUT_OF_RANGE, ScsiUnit, type ScsiWork, type Sense } from '../storage/scsi.ts';
import * as S from './scsireplies.ts';

const CAPACITY_CHANGED: Sense = [6, 0x2a, 9];
const WRITE_PROTECTED: Sense = [7, 0x27, 0];

/** REPORT LUNS. */
const ATTENTION_EXEMPT = new Set([0xa0]);
const FORCE_UNIT_ACCESS = 0x08;

export interface ScsiDiskOptions {
  block: BlockDevice;
  serial: string;
  /** False: every write is on stable storage before it is answered. */
  writeCache: boolean;
  log: Logger;
}

export class ScsiDisk extends ScsiUnit {
  protected readonly attentionExempt = ATTENTION_EXEMPT;
  private readonly options: ScsiDiskOptions;

  constructor(options: ScsiDiskOptions) {
    super(options.log);
    this.options = options;
    options.block.onResize(() => {
      this.attention = CAPACITY_CHANGED;
    });
  }

  protected command(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    return this.about(code, cdb, view) ?? this.medium(code, cdb, view);
  }

  private get facts(): S.DiskFacts {
    const { block, serial, writeCache } = this.options;
    return {
      blocks: Math.floor((block.info?.sizeBytes ?? 0) / S.BLOCK),
      readOnly: block.info?.readOnly ?? false,
      writeCache,
      serial,
    };
  }

  /** Commands that tell about the unit. */
  private about(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    const { facts } = this;
    switch (code) {
      case 0x00: // TEST UNIT READY
        return this.ready(() => DONE);
      case 0x12: // INQUIRY
        return this.orField(cdb[1]! & 1 ? S.vitalPage(cdb[2]!, facts) : cdb[2] === 0 ? S.inquiry() : undefined, view.getUint16(3));
      case 0x1a: // MODE SENSE (6)
        return this.orField(S.modePages(cdb[2]! & 0x3f, cdb[2]! >> 6, false, facts), cdb[4]!);
      case 0x5a: // MODE SENSE (10)
        return this.orField(S.modePages(cdb[2]! & 0x3f, cdb[2]! >> 6, true, facts), view.getUint16(7));
      case 0x1b: // START STOP UNIT
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
        return DONE;
      case 0x23: // READ FORMAT CAPACITIES
        return this.ready(() => answered(S.formatCapacities(facts), view.getUint16(7)));
      case 0x25: // READ CAPACITY (10)
        return this.ready(() => answered(S.capacity10(facts), 8));
      case 0x9e: // SERVICE ACTION IN (16): READ CAPACITY (16)
        return (cdb[1]! & 0x1f) === 0x10 ? this.ready(() => answered(S.capacity16(facts), view.getUint32(10))) : this.failed(INVALID_FIELD);
      case 0xa0: // REPORT LUNS: unit 0
        return answered(Uint8Array.from([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), view.getUint32(6));
      default:
        return undefined;
    }
  }

  /** Commands to the medium. */
  private medium(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined {
    switch (code) {
      case 0x08: // READ (6)
      case 0x0a: // WRITE (6)
        return this.move(code === 0x0a, view.getUint32(0) & 0x1f_ffff, cdb[4]! || 256, 0);
      case 0x28: // READ (10)
      case 0x2a: // WRITE (10)
        return this.move(code === 0x2a, view.getUint32(2), view.getUint16(7), cdb[1]!);
      case 0xa8: // READ (12)
      case 0xaa: // WRITE (12)
        return this.move(code === 0xaa, view.getUint32(2), view.getUint32(6), cdb[1]!);
      case 0x88: // READ (16)
      case 0x8a: // WRITE (16)
        return this.move(code === 0x8a, view.getUint32(2) * 2 ** 32 + view.getUint32(6), view.getUint32(10), cdb[1]!);
      case 0x2f: // VERIFY (10), of the medium alone
        return cdb[1]! & 0x06
          ? this.failed(INVALID_FIELD)
          : this.ready(() => (view.getUint32(2) + view.getUint16(7) > this.facts.blocks ? this.failed(OUT_OF_RANGE) : DONE));
      case 0x35: // SYNCHRONIZE CACHE (10)
      case 0x91: // SYNCHRONIZE CACHE (16)
        return this.ready(() => ({ kind: 'flush' }));
      default:
        return undefined;
    }
  }

  private move(write: boolean, lba: number, count: number, flags: number): ScsiWork {
    const { blocks, readOnly, writeCache } = this.facts;
    return this.ready(() => {
      if (write && readOnly) return this.failed(WRITE_PROTECTED);
      if (lba + count > blocks) return this.failed(OUT_OF_RANGE);
      if (count === 0) return DONE;
      const durable = write && (!writeCache || (flags & FORCE_UNIT_ACCESS) !== 0);
      return { kind: 'move', write, offset: lba * S.BLOCK, bytes: count * S.BLOCK, durable };
    });
  }

  private ready(then: () => ScsiWork): ScsiWork {
    return this.options.block.info ? then() : this.failed(NO_MEDIUM);
  }

  private orField(data: Uint8Array | undefined, allocation: number): ScsiWork {
    return data ? answered(data, allocation) : this.failed(INVALID_FIELD);
  }
}
