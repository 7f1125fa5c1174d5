/** Offsets and bits of AHCI. Serial ATA AHCI 1.3.1, sections 3 and 4. */

/** Generic host control, section 3.1. */
export const H_CAP = 0x00;
export const H_GHC = 0x04;
export const H_IS = 0x08;
export const H_PI = 0x0c;
export const H_VS = 0x10;
export const CAP_64BIT = 0x8000_0000;
export const CAP_NCQ = 0x4000_0000;
export const CAP_AHCI_ONLY = 0x0004_0000;
export const CAP_SPEED_SHIFT = 20;
export const CAP_SLOTS_SHIFT = 8;
export const GHC_ENABLE = 0x8000_0000;
export const GHC_INTERRUPTS = 0x0000_0002;
export const GHC_RESET = 0x0000_0001;
/** 1.3.1 */
export const VERSION = 0x0001_0301;
export const PORTS_AT = 0x100;
export const PORT_BYTES = 0x80;

/** Port registers, section 3.3. */
export const P_CLB = 0x00;
export const P_CLBU = 0x04;
export const P_FB = 0x08;
export const P_FBU = 0x0c;
export const P_IS = 0x10;
export const P_IE = 0x14;
export const P_CMD = 0x18;
export const P_TFD = 0x20;
export const P_SIG = 0x24;
export const P_SSTS = 0x28;
export const P_SCTL = 0x2c;
export const P_SERR = 0x30;
export const P_SACT = 0x34;
export const P_CI = 0x38;

export const IS_DHRS = 0x0000_0001;
export const IS_PSS = 0x0000_0002;
export const IS_SDBS = 0x0000_0008;
export const IS_PCS = 0x0000_0040;
export const IS_IFS = 0x0800_0000;
export const IS_TFES = 0x4000_0000;
export const IS_ALL = 0xfdc0_00ff;

export const CMD_ST = 0x0000_0001;
export const CMD_CLO = 0x0000_0008;
export const CMD_FRE = 0x0000_0010;
export const CMD_CCS_SHIFT = 8;
export const CMD_FR = 0x0000_4000;
export const CMD_CR = 0x0000_8000;
export const CMD_ATAPI = 0x0100_0000;
/** ST, spin-up, power-on, FRE, ATAPI LED, power management; the interface state change request is carried out at once. */
export const CMD_WRITABLE = 0x0e00_0017;

export const TFD_NONE = 0x7f;
export const SIG_NONE = 0xffff_ffff;
/** Device present, generation 1, interface active. */
export const SSTS_PRESENT = 0x113;
export const SCTL_DET = 0x0f;
export const SCTL_WRITABLE = 0xfff;
export const DET_RESET = 1;
/** Exchanged: a device came. */
export const SERR_X = 0x0400_0000;

/** Command header and PRDT, section 4.2. */
export const HEADER_FIS_DWORDS = 0x1f;
export const HEADER_PRDTL_SHIFT = 16;
export const PRD_COUNT = 0x3f_ffff;

/** FIS types and their flags; where the port puts them, section 4.2.1. */
export const FIS_HOST_TO_DEVICE = 0x27;
export const FIS_DEVICE_TO_HOST = 0x34;
export const FIS_PIO_SETUP = 0x5f;
export const FIS_SET_DEVICE_BITS = 0xa1;
export const FIS_COMMAND = 0x80;
export const FIS_INTERRUPT = 0x40;
export const FIS_TO_HOST = 0x20;
export const PSFIS_AT = 0x20;
export const RFIS_AT = 0x40;
export const SDBFIS_AT = 0x58;
