/** The frames that a drive sends to the host. Serial ATA Revision 2.6, sections 10.3.5 (registers), 10.3.6 (set device bits) and 10.3.11 (PIO setup). */
import * as R from './ahciregisters.ts';
import { type AtaUnit, ST_DRQ } from './ataunit.ts';

const address = ({ lbaLow, lbaMid, lbaHigh, device, hob }: AtaUnit): number[] => [
  ...[lbaLow, lbaMid, lbaHigh, device],
  ...[hob.lbaLow, hob.lbaMid, hob.lbaHigh, 0],
];

/** The drive's registers as they are now; `interrupt`: it is the end of a command. */
export function registersFis(unit: AtaUnit, interrupt: boolean): number[] {
  return [
    ...[R.FIS_DEVICE_TO_HOST, interrupt ? R.FIS_INTERRUPT : 0, unit.status, unit.error],
    ...address(unit),
    ...[unit.sectorCount, unit.hob.sectorCount, 0, 0],
    ...[0, 0, 0, 0],
  ];
}

/** The drive is about to send `bytes` through its data register. */
export function pioSetupFis(unit: AtaUnit, bytes: number): number[] {
  return [
    ...[R.FIS_PIO_SETUP, R.FIS_INTERRUPT | R.FIS_TO_HOST, unit.status, unit.error],
    ...address(unit),
    // The status that holds once the data is moved is the last byte of this word.
    ...[unit.sectorCount, unit.hob.sectorCount, 0, unit.status & ~ST_DRQ],
    ...[bytes & 0xff, bytes >> 8, 0, 0],
  ];
}

/** Queued commands are over: a bit for each tag. */
export function setBitsFis(status: number, error: number, tags: number): number[] {
  // Bits 7 and 3 of the status do not travel in this frame.
  return [
    ...[R.FIS_SET_DEVICE_BITS, R.FIS_INTERRUPT, status & 0x77, error],
    ...[tags & 0xff, (tags >>> 8) & 0xff, (tags >>> 16) & 0xff, tags >>> 24],
  ];
}
