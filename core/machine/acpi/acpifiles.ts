import type { FwCfg } from '../../devices/platform/fwcfg.ts';
import { littleEndian } from './aml.ts';
import type { AcpiBoard } from './board.ts';
import { dsdtBody } from './dsdt.ts';
import { TableLoader, ZONE_FSEG, ZONE_HIGH } from './loader.ts';
import {
  FADT_DSDT,
  FADT_FIRMWARE_CTRL,
  FADT_X_DSDT,
  facs,
  fadt,
  HEADER_BYTES,
  HEADER_CHECKSUM,
  hpet,
  madt,
  RSDP_BYTES,
  RSDP_CHECKSUM,
  RSDP_RSDT,
  rsdp,
  rsdt,
  table,
} from './tables.ts';

const TABLES_FILE = 'etc/acpi/tables';
const RSDP_FILE = 'etc/acpi/rsdp';
const LOADER_FILE = 'etc/table-loader';
/** The FACS, first in its file, must lie on a 64-byte boundary (ACPI 5.2.9). */
const TABLES_ALIGNMENT = 64;
const RSDP_ALIGNMENT = 16;
/** Revision 1: integers have 32 bits, as the guests this board is for expect. */
const DSDT_REVISION = 1;
const TABLE_GAP = 8;

export interface AcpiFiles {
  tables: Uint8Array;
  rsdp: Uint8Array;
  loader: Uint8Array;
}

export function buildAcpi(board: AcpiBoard): AcpiFiles {
  const loader = new TableLoader();
  loader.allocate(TABLES_FILE, TABLES_ALIGNMENT, ZONE_HIGH);
  loader.allocate(RSDP_FILE, RSDP_ALIGNMENT, ZONE_FSEG);

  const parts: { at: number; bytes: Uint8Array }[] = [];
  let end = 0;
  const place = (bytes: Uint8Array): number => {
    const at = Math.ceil(end / TABLE_GAP) * TABLE_GAP;
    parts.push({ at, bytes });
    end = at + bytes.length;
    return at;
  };
  const checksum = (at: number, length: number) => loader.addChecksum(TABLES_FILE, at + HEADER_CHECKSUM, at, length);
  const placeTable = (bytes: Uint8Array): number => {
    const at = place(bytes);
    checksum(at, bytes.length);
    return at;
  };

  const facsAt = place(facs());
  const dsdtAt = placeTable(table('DSDT', DSDT_REVISION, dsdtBody(board)));
  const fadtBytes = fadt();
  fadtBytes.set(littleEndian(facsAt, 4), FADT_FIRMWARE_CTRL);
  fadtBytes.set(littleEndian(dsdtAt, 4), FADT_DSDT);
  fadtBytes.set(littleEndian(dsdtAt, 8), FADT_X_DSDT);
  const fadtAt = place(fadtBytes);
  loader.addPointer(TABLES_FILE, fadtAt + FADT_FIRMWARE_CTRL, 4, TABLES_FILE);
  loader.addPointer(TABLES_FILE, fadtAt + FADT_DSDT, 4, TABLES_FILE);
  loader.addPointer(TABLES_FILE, fadtAt + FADT_X_DSDT, 8, TABLES_FILE);
  checksum(fadtAt, fadtBytes.length);
  const listed = [fadtAt, placeTable(madt())];
  if (board.hpet) listed.push(placeTable(hpet()));

  const rsdtBytes = rsdt(listed.length);
  listed.forEach((at, index) => {
    rsdtBytes.set(littleEndian(at, 4), HEADER_BYTES + 4 * index);
  });
  const rsdtAt = place(rsdtBytes);
  for (let index = 0; index < listed.length; index++) loader.addPointer(TABLES_FILE, rsdtAt + HEADER_BYTES + 4 * index, 4, TABLES_FILE);
  checksum(rsdtAt, rsdtBytes.length);

  const root = rsdp();
  root.set(littleEndian(rsdtAt, 4), RSDP_RSDT);
  loader.addPointer(RSDP_FILE, RSDP_RSDT, 4, TABLES_FILE);
  loader.addChecksum(RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_BYTES);

  const tables = new Uint8Array(end);
  for (const { at, bytes } of parts) tables.set(bytes, at);
  return { tables, rsdp: root, loader: loader.bytes() };
}

/** Hands the tables to the firmware, which then uses none of its own. */
export function installAcpi(board: AcpiBoard, fwCfg: FwCfg): void {
  const { tables, rsdp: root, loader } = buildAcpi(board);
  fwCfg.addFile(TABLES_FILE, tables);
  fwCfg.addFile(RSDP_FILE, root);
  fwCfg.addFile(LOADER_FILE, loader);
}
