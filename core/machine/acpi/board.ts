/** What the tables say about the board; everything else about it is fixed. */
export interface AcpiBoard {
  ramBytes: number;
  /** COM ports from COM1 on. */
  serialPorts: number;
  /** There is a floppy drive. */
  floppy: boolean;
  hpet: boolean;
}

/** PM1 event block. SeaBIOS puts the power management chip there when it finds `etc/table-loader` (its paravirt.c), else at 0xB000. */
export const PM_BASE = 0x600;
/** SCI: ISA interrupt 9, as the PIIX4 is wired. */
export const SCI_IRQ = 9;
/** I/O APIC inputs of PIRQA..PIRQD. */
export const PIRQ_IOAPIC_BASE = 16;
export const IOAPIC_ID = 0;
