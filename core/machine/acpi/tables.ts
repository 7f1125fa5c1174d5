/**
 * ACPI tables with fixed layout.
 * Specs: ACPI 2.0, sections 5.2.6 (header), 5.2.8 (FADT), 5.2.9 (FACS), 5.2.10.4 (MADT); IA-PC HPET 1.0a, section 3.2.4 (HPET table).
 *
 * Pointers between tables are left 0 and checksums too: the loader fills them in (acpifiles.ts).
 */
import { IOAPIC_BASE } from '../../devices/intc/ioapic.ts';
import { LAPIC_DEFAULT_BASE } from '../../devices/intc/lapic.ts';
import { ACPI_DISABLE_COMMAND, ACPI_ENABLE_COMMAND, GPE_BASE, GPE_BYTES, SMI_COMMAND } from '../../devices/platform/piix4pm.ts';
import { HPET_BASE, HPET_ID, HPET_MIN_PERIODIC_TICKS } from '../../devices/timer/hpet.ts';
import { CMOS_CENTURY } from '../../devices/timer/rtc.ts';
import { IOAPIC_ID, PM_BASE, SCI_IRQ } from './board.ts';

export const HEADER_BYTES = 36;
export const HEADER_CHECKSUM = 9;
const OEM_ID = 'HYPERV';
const OEM_TABLE_ID = 'HYPERVUE';
const CREATOR_ID = 'HVUE';
const OEM_REVISION = 1;

// FADT, offsets of table 5-8.
const FADT_BYTES = 244;
const FADT_REVISION = 3;
export const FADT_FIRMWARE_CTRL = 36;
export const FADT_DSDT = 40;
export const FADT_X_DSDT = 140;
/** WBINVD works; C1 is supported; no sleep button in fixed hardware; no RTC wake in fixed hardware; reset register. Bit 4 clear: fixed power button. */
const FADT_FLAGS = (1 << 0) | (1 << 2) | (1 << 5) | (1 << 6) | (1 << 10);
/** There are ISA devices and an 8042. */
const IAPC_BOOT_ARCH = 0x03;
const PROFILE_DESKTOP = 1;
/** Longer than 100 and 1000 us: no C2, no C3. */
const NO_C2 = 0x0fff;
/** Port CF9: reset the processor, and everything else with it. */
const RESET_PORT = 0xcf9;
const RESET_VALUE = 0x06;
const SPACE_IO = 1;

const FACS_BYTES = 64;

/** Polarity and trigger of an interrupt override: active high, level-triggered. */
const OVERRIDE_LEVEL_HIGH = 0x000d;
const OVERRIDE_BUS_DEFAULT = 0;
const MADT_PCAT_COMPATIBLE = 1;

/** Writes fields one after another, little-endian. */
class Fields {
  private readonly out: number[] = [];

  number(value: number, bytes: 1 | 2 | 4 | 8): this {
    for (let i = 0; i < bytes; i++) this.out.push(Math.floor(value / 2 ** (8 * i)) % 256);
    return this;
  }

  text(text: string, bytes: number): this {
    for (let i = 0; i < bytes; i++) this.out.push(i < text.length ? text.charCodeAt(i) : 0);
    return this;
  }

  get length(): number {
    return this.out.length;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.out);
  }
}

/** A table: its header and `body`. */
export function table(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const header = new Fields()
    .text(signature, 4)
    .number(HEADER_BYTES + body.length, 4)
    .number(revision, 1)
    .number(0, 1)
    .text(OEM_ID, 6)
    .text(OEM_TABLE_ID, 8)
    .number(OEM_REVISION, 4)
    .text(CREATOR_ID, 4)
    .number(1, 4)
    .bytes();
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  bytes.set(header);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

interface Block {
  address: number;
  bytes: number;
}

export function fadt(): Uint8Array {
  const event: Block = { address: PM_BASE, bytes: 4 };
  const control: Block = { address: PM_BASE + 4, bytes: 2 };
  const timer: Block = { address: PM_BASE + 8, bytes: 4 };
  const gpe: Block = { address: GPE_BASE, bytes: GPE_BYTES };
  const none: Block = { address: 0, bytes: 0 };
  const blocks = [event, none, control, none, none, timer, gpe, none];
  const fields = new Fields().number(0, 4).number(0, 4); // FIRMWARE_CTRL, DSDT
  fields.number(0, 1).number(PROFILE_DESKTOP, 1).number(SCI_IRQ, 2);
  fields.number(SMI_COMMAND, 4).number(ACPI_ENABLE_COMMAND, 1).number(ACPI_DISABLE_COMMAND, 1);
  fields.number(0, 1).number(0, 1); // S4BIOS_REQ, PSTATE_CNT
  for (const { address } of blocks) fields.number(address, 4);
  // PM1_EVT_LEN, PM1_CNT_LEN, PM2_CNT_LEN, PM_TMR_LEN, GPE0_BLK_LEN, GPE1_BLK_LEN
  for (const { bytes } of [event, control, none, timer, gpe, none]) fields.number(bytes, 1);
  fields.number(0, 1).number(0, 1); // GPE1_BASE, CST_CNT
  fields.number(NO_C2, 2).number(NO_C2, 2);
  fields.number(0, 2).number(0, 2).number(0, 1).number(0, 1); // FLUSH_SIZE, FLUSH_STRIDE, DUTY_OFFSET, DUTY_WIDTH
  fields.number(0, 1).number(0, 1).number(CMOS_CENTURY, 1); // DAY_ALRM, MON_ALRM, CENTURY
  fields.number(IAPC_BOOT_ARCH, 2).number(0, 1).number(FADT_FLAGS, 4);
  address(fields, { address: RESET_PORT, bytes: 1 });
  fields.number(RESET_VALUE, 1).text('', 3);
  fields.number(0, 8).number(0, 8); // X_FIRMWARE_CTRL, X_DSDT
  for (const block of blocks) address(fields, block);
  const body = fields.bytes();
  if (body.length !== FADT_BYTES - HEADER_BYTES) throw new RangeError(`the FADT has ${body.length} bytes`);
  return table('FACP', FADT_REVISION, body);
}

/** Generic address structure (5.2.3.1); an absent block is all zero. */
function address(fields: Fields, { address, bytes }: Block): void {
  fields
    .number(address ? SPACE_IO : 0, 1)
    .number(bytes * 8, 1)
    .number(0, 2)
    .number(address, 8);
}

/** Firmware control: not a table with a header, and without a checksum. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(FACS_BYTES);
  bytes.set(new Fields().text('FACS', 4).number(FACS_BYTES, 4).bytes());
  return bytes;
}

export function madt(): Uint8Array {
  const fields = new Fields().number(LAPIC_DEFAULT_BASE, 4).number(MADT_PCAT_COMPATIBLE, 4);
  // Local APIC: processor 0, APIC id 0, enabled.
  fields.number(0, 1).number(8, 1).number(0, 1).number(0, 1).number(1, 4);
  fields.number(1, 1).number(12, 1).number(IOAPIC_ID, 1).number(0, 1).number(IOAPIC_BASE, 4).number(0, 4);
  const override = (isa: number, input: number, flags: number) =>
    fields.number(2, 1).number(10, 1).number(0, 1).number(isa, 1).number(input, 4).number(flags, 2);
  override(0, 2, OVERRIDE_BUS_DEFAULT);
  override(SCI_IRQ, SCI_IRQ, OVERRIDE_LEVEL_HIGH);
  // Local APIC NMI: LINT1 of every processor.
  fields.number(4, 1).number(6, 1).number(0xff, 1).number(0, 2).number(1, 1);
  return table('APIC', 1, fields.bytes());
}

export function hpet(): Uint8Array {
  const fields = new Fields().number(HPET_ID, 4);
  // Base address: memory space, 64 bits wide.
  fields.number(0, 1).number(64, 1).number(0, 2).number(HPET_BASE, 8);
  fields.number(0, 1).number(HPET_MIN_PERIODIC_TICKS, 2).number(0, 1);
  return table('HPET', 1, fields.bytes());
}

/** Room for `count` pointers. */
export const rsdt = (count: number): Uint8Array => table('RSDT', 1, new Uint8Array(4 * count));

export const RSDP_RSDT = 16;
export const RSDP_CHECKSUM = 8;
export const RSDP_BYTES = 20;

/** Root pointer of revision 0 (ACPI 1.0). */
export const rsdp = (): Uint8Array => new Fields().text('RSD PTR ', 8).number(0, 1).text(OEM_ID, 6).number(0, 1).number(0, 4).bytes();
