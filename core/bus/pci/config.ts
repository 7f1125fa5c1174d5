/** Offsets in the type 0 configuration header, PCI Local Bus Specification 2.1 section 6.1. */
export const PCI_VENDOR_ID = 0x00;
export const PCI_DEVICE_ID = 0x02;
export const PCI_COMMAND = 0x04;
export const PCI_STATUS = 0x06;
export const PCI_REVISION = 0x08;
export const PCI_CLASS = 0x09;
export const PCI_CACHE_LINE = 0x0c;
export const PCI_LATENCY = 0x0d;
export const PCI_HEADER_TYPE = 0x0e;
export const PCI_BAR0 = 0x10;
export const PCI_SUBSYSTEM_VENDOR = 0x2c;
export const PCI_SUBSYSTEM = 0x2e;
export const PCI_ROM = 0x30;
export const PCI_CAPABILITIES = 0x34;
export const PCI_INTERRUPT_LINE = 0x3c;
export const PCI_INTERRUPT_PIN = 0x3d;

/** Command register bits, section 6.2.2. */
export const COMMAND_IO = 0x0001;
export const COMMAND_MEMORY = 0x0002;
export const COMMAND_MASTER = 0x0004;
export const COMMAND_SERR = 0x0100;
export const COMMAND_INTX_DISABLE = 0x0400;

/** Status register bits, section 6.2.3: the list of capabilities, and the first place for one. */
export const STATUS_CAPABILITIES = 0x10;
export const FIRST_CAPABILITY = 0x40;

/** Base address register bits, section 6.2.5.1. */
export const BAR_IO = 1;
export const BAR_PREFETCH = 8;
export const ROM_ENABLE = 1;

/** Index of the expansion ROM among a function's BARs. */
export const ROM_BAR = 6;
