/** Registers of an xHCI controller. eXtensible Host Controller Interface for Universal Serial Bus, revision 1.2, chapter 5. Offsets from BAR 0. */

/** Where the parts of the register file are (our choice; the capability registers say so). */
export const OPERATIONAL_AT = 0x40;
export const PORTS_AT = 0x440;
export const RUNTIME_AT = 0x1000;
export const DOORBELLS_AT = 0x2000;
export const EXTENDED_AT = 0x900;
export const XHCI_BYTES = 0x4000;

/** Capability registers, section 5.3. */
export const C_LENGTH_VERSION = 0x00;
export const C_STRUCTURE1 = 0x04;
export const C_STRUCTURE2 = 0x08;
export const C_CAPABILITY1 = 0x10;
export const C_DOORBELLS = 0x14;
export const C_RUNTIME = 0x18;
/** Interface version 1.0: what came after it is optional and not here. */
export const VERSION = 0x0100;
/** HCCPARAMS1: 64-bit addresses; contexts of 32 bytes; no streams. */
export const CAP_64BIT = 0x1;

/** Operational registers, section 5.4, from OPERATIONAL_AT. */
export const O_COMMAND = 0x00;
export const O_STATUS = 0x04;
export const O_PAGE_SIZE = 0x08;
export const O_NOTIFICATIONS = 0x14;
export const O_COMMAND_RING = 0x18;
export const O_CONTEXTS = 0x30;
export const O_CONFIGURE = 0x38;
export const PAGE_4K = 1;

export const CMD_RUN = 0x001;
export const CMD_RESET = 0x002;
export const CMD_INTERRUPTS = 0x004;
export const CMD_HOST_ERRORS = 0x008;
export const CMD_SAVE = 0x100;
export const CMD_RESTORE = 0x200;
export const CMD_KEPT = CMD_RUN | CMD_INTERRUPTS | CMD_HOST_ERRORS;

export const STS_HALTED = 0x0001;
export const STS_INTERRUPT = 0x0008;
export const STS_PORT_CHANGE = 0x0010;
export const STS_RESTORE_ERROR = 0x0400;
export const STS_ERROR = 0x1000;
/** Bits that a write of 1 clears. */
export const STS_CLEARED = STS_INTERRUPT | STS_PORT_CHANGE | STS_RESTORE_ERROR;

export const RING_CYCLE = 0x1;
export const RING_STOP = 0x2;
export const RING_ABORT = 0x4;
export const RING_RUNNING = 0x8;

/** Port registers, section 5.4.8: PORTSC, PORTPMSC, PORTLI, PORTHLPMC. */
export const PORT_BYTES = 0x10;
export const P_STATUS = 0x0;
export const P_POWER = 0x4;

export const PORT_CONNECTED = 0x0000_0001;
export const PORT_ENABLED = 0x0000_0002;
export const PORT_RESET = 0x0000_0010;
export const PORT_LINK_SHIFT = 5;
export const PORT_LINK = 0x0000_01e0;
export const PORT_POWER = 0x0000_0200;
export const PORT_SPEED_SHIFT = 10;
export const PORT_LINK_WRITE = 0x0001_0000;
export const PORT_CONNECT_CHANGE = 0x0002_0000;
export const PORT_ENABLE_CHANGE = 0x0004_0000;
export const PORT_WARM_CHANGE = 0x0008_0000;
export const PORT_OVERCURRENT_CHANGE = 0x0010_0000;
export const PORT_RESET_CHANGE = 0x0020_0000;
export const PORT_LINK_CHANGE = 0x0040_0000;
export const PORT_CONFIG_CHANGE = 0x0080_0000;
export const PORT_CHANGES =
  PORT_CONNECT_CHANGE |
  PORT_ENABLE_CHANGE |
  PORT_WARM_CHANGE |
  PORT_OVERCURRENT_CHANGE |
  PORT_RESET_CHANGE |
  PORT_LINK_CHANGE |
  PORT_CONFIG_CHANGE;
/** Wake on connect, disconnect and overcurrent: kept as written. */
export const PORT_WAKES = 0x0e00_0000;
export const PORT_WARM_RESET = 0x8000_0000;

/** Port link states, table 5-27. */
export const LINK_U0 = 0;
export const LINK_U3 = 3;
export const LINK_DISABLED = 4;
export const LINK_RX_DETECT = 5;
export const LINK_POLLING = 7;
export const LINK_RESUME = 15;

/** Runtime registers, section 5.5: microframe index, and the one interrupter, from RUNTIME_AT. */
export const R_FRAME = 0x00;
export const R_MANAGEMENT = 0x20;
export const R_MODERATION = 0x24;
export const R_TABLE_SIZE = 0x28;
export const R_TABLE = 0x30;
export const R_DEQUEUE = 0x38;
export const MANAGEMENT_PENDING = 1;
export const MANAGEMENT_ENABLE = 2;
export const DEQUEUE_BUSY = 8;
/** Interval of 1 ms in units of 250 ns. */
export const MODERATION_RESET = 4000;

/** Default speed ids, section 7.2.2.1.1. */
export const SPEED_IDS = { full: 1, low: 2, high: 3, super: 4 } as const;
