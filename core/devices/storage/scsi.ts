/** SCSI units apart from what carries their commands and moves their data: SPC-4. */
import type { DeviceState } from '../../snapshot/snapshottable.ts';

/** Sense key, additional sense code and qualifier. */
export type Sense = readonly [key: number, asc: number, ascq: number];
export const NO_SENSE: Sense = [0, 0, 0];
export const READ_ERROR: Sense = [3, 0x11, 0];
export const WRITE_ERROR: Sense = [3, 0x0c, 0];

/** What a command comes to. `move`: between the disk and the guest. */
export type ScsiWork =
  | { kind: 'done' | 'flush' }
  | { kind: 'failed'; sense: Sense }
  | { kind: 'reply'; data: Uint8Array }
  | { kind: 'move'; write: boolean; offset: number; bytes: number; durable: boolean };

export const DONE: ScsiWork = { kind: 'done' };

/** An answer, cut to the allocation length of the command. */
export const answered = (data: Uint8Array, allocation: number): ScsiWork => ({ kind: 'reply', data: data.slice(0, allocation) });

export interface ScsiUnit {
  /** `unit`: logical unit number; `cdb` has 12 bytes or more, filled with zeros behind the command. */
  begin(unit: number, cdb: Uint8Array): ScsiWork;
  /** The host could not do what a command asked for. */
  failed(sense: Sense): ScsiWork;
  reset(): void;
  save(): DeviceState;
  restore(state: DeviceState): void;
}
