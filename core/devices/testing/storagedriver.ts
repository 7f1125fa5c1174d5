import { expect } from 'vitest';
import { Bench } from './bench.ts';
import { createXhci, DISK_PORT, wrapper } from './xhcibench.ts';
import { DATA, XhciDriver } from './xhcidriver.ts';

/** Endpoints' indices of the two pipes. */
export const IN = 3;
export const OUT = 4;

export interface Answer {
  /** Status byte of the wrapper, and what was not moved of what was announced. */
  status: number;
  residue: number;
  data: Uint8Array;
}

/** A USB drive as a driver of the bulk-only transport has it. */
export class StorageDriver {
  readonly bench = new Bench();
  readonly xhci;
  readonly driver: XhciDriver;
  readonly slot: number;

  constructor(kind: 'disk' | 'cdrom') {
    this.xhci = createXhci(this.bench, kind);
    this.driver = new XhciDriver(this.xhci, this.bench);
    this.driver.start();
    this.slot = this.driver.connect(DISK_PORT);
    this.driver.configure(this.slot, [
      [IN, 6],
      [OUT, 2],
    ]);
  }

  /** A command with its data. `length`: what it announces; less is given room for when `room` says so. */
  scsi(cdb: readonly number[], length = 0, sent?: Uint8Array, unit = 0): Answer {
    const { driver, slot, xhci } = this;
    const { memory } = this.bench;
    const transfer = (index: number, gpa: number, bytes: number) => {
      driver.normal(slot, index, gpa, bytes);
      driver.doorbell(slot, index);
      xhci.testParts.block.run();
      const event = driver.events().find(({ type }) => type === 32);
      return event ? bytes - event.left : -1;
    };
    memory.write(DATA, wrapper(0x1234, length, sent === undefined, cdb, unit));
    expect(transfer(OUT, DATA, 31)).toBe(31);
    let moved = 0;
    if (sent) memory.write(DATA + 0x1000, sent);
    if (length) moved = transfer(sent ? OUT : IN, DATA + 0x1000, length);
    const data = new Uint8Array(sent ? 0 : moved);
    memory.read(DATA + 0x1000, data);
    expect(transfer(IN, DATA + 0x100, 13)).toBe(13);
    const csw = new Uint8Array(13);
    memory.read(DATA + 0x100, csw);
    const view = new DataView(csw.buffer);
    expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([0x5342_5355, 0x1234]);
    return { status: csw[12]!, residue: view.getUint32(8, true), data };
  }

  /** Sense key, additional sense code and qualifier. */
  sense(): number[] {
    return [...this.scsi([3, 0, 0, 0, 18, 0], 18).data].filter((_, index) => index === 2 || index === 12 || index === 13);
  }
}
