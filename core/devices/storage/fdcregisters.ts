/** Registers, commands and status bits of the 82077AA: Intel data sheet (order 290166), sections 2, 5 and 6. */

export const BASE = 0x3f0;
export const SRA = 0;
export const SRB = 1;
export const DOR = 2;
export const TDR = 3;
export const MSR_DSR = 4;
export const FIFO = 5;
/** 3F6h between them belongs to the IDE controller. */
export const DIR_PORT = 0x3f7;

// DOR: MOTEN3..0 DMAEN RESET# DSEL1..0
export const DOR_SELECT = 0x03;
export const DOR_NOT_RESET = 0x04;
export const DOR_DMA_ENABLE = 0x08;
export const DSR_RESET = 0x80;
export const RATE_MASK = 0x03;
export const RATE_250 = 2;
// MSR: RQM DIO NONDMA CB DRV3..0 BUSY
export const MSR_RQM = 0x80;
export const MSR_DIO = 0x40;
export const MSR_NON_DMA = 0x20;
export const MSR_BUSY = 0x10;
export const DIR_CHANGED = 0x80;

export const ST0_ABNORMAL = 0x40;
export const ST0_INVALID = 0x80;
export const ST0_READY_CHANGED = 0xc0;
export const ST0_SEEK_END = 0x20;
export const ST0_EQUIPMENT_CHECK = 0x10;
export const ST1_MISSING_ADDRESS = 0x01;
export const ST1_NOT_WRITABLE = 0x02;
export const ST1_NO_DATA = 0x04;
export const ST1_DATA_ERROR = 0x20;
export const ST1_END_OF_CYLINDER = 0x80;
export const ST2_WRONG_CYLINDER = 0x10;
export const ST2_DATA_ERROR = 0x20;
export const ST2_CONTROL_MARK = 0x40;
export const ST3_WRITE_PROTECTED = 0x40;
export const ST3_READY = 0x20;
export const ST3_TRACK_0 = 0x10;
export const ST3_TWO_SIDED = 0x08;

// Command codes without MT, MFM, SK in bits 7..5.
export const READ_TRACK = 0x02;
export const SPECIFY = 0x03;
export const SENSE_DRIVE = 0x04;
export const WRITE_DATA = 0x05;
export const READ_DATA = 0x06;
export const RECALIBRATE = 0x07;
export const SENSE_INTERRUPT = 0x08;
export const WRITE_DELETED = 0x09;
export const READ_ID = 0x0a;
export const READ_DELETED = 0x0c;
export const FORMAT_TRACK = 0x0d;
export const DUMPREG = 0x0e;
export const SEEK = 0x0f;
export const VERSION = 0x10;
export const PERPENDICULAR = 0x12;
export const CONFIGURE = 0x13;
export const LOCK = 0x14;
export const VERIFY = 0x16;
export const MULTI_TRACK = 0x80;
export const VERSION_82077 = 0x90;
/** SEEK: bit 7 makes it relative, bit 6 says inwards. VERIFY: byte 1 bit 7 counts sectors. */
export const SEEK_RELATIVE = 0x80;
export const SEEK_INWARD = 0x40;
export const VERIFY_COUNT = 0x80;

/** Bytes of a command with its parameters. */
export const COMMAND_LENGTH: { readonly [code: number]: number } = {
  [READ_TRACK]: 9,
  [SPECIFY]: 3,
  [SENSE_DRIVE]: 2,
  [WRITE_DATA]: 9,
  [READ_DATA]: 9,
  [RECALIBRATE]: 2,
  [SENSE_INTERRUPT]: 1,
  [WRITE_DELETED]: 9,
  [READ_ID]: 2,
  [READ_DELETED]: 9,
  [FORMAT_TRACK]: 6,
  [DUMPREG]: 1,
  [SEEK]: 3,
  [VERSION]: 1,
  [PERPENDICULAR]: 2,
  [CONFIGURE]: 4,
  [LOCK]: 1,
  [VERIFY]: 9,
};

export const CONFIG_IMPLIED_SEEK = 0x40;
export const CONFIG_NO_FIFO = 0x20;
export const CONFIG_NO_POLL = 0x10;
export const SECTOR = 512;
export const SECTOR_SIZE_CODE = 2;
export const MAX_CYLINDER = 85;

/** The code of a command's first byte, -1 where none has it: commands with fixed upper bits are valid only as they are. */
export function commandCode(value: number): number {
  const code = value & 0x1f;
  switch (code) {
    case SPECIFY:
    case SENSE_DRIVE:
    case RECALIBRATE:
    case SENSE_INTERRUPT:
    case DUMPREG:
    case VERSION:
    case PERPENDICULAR:
    case CONFIGURE:
      return value === code ? code : -1;
    case LOCK:
      return (value & 0x7f) === code ? code : -1;
    case SEEK:
      return (value & 0x3f) === code ? code : -1;
    default:
      return code;
  }
}
