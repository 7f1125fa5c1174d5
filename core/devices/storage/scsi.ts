/** SCSI units apart from what carries their commands and moves their data: SPC-4. */
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';

/** Sense key, additional sense code and qualifier. */
export type Sense = readonly [key: number, asc: number, ascq: number];
export const NO_SENSE: Sense = [0, 0, 0];
export const NO_MEDIUM: Sense = [2, 0x3a, 0];
export const READ_ERROR: Sense = [3, 0x11, 0];
export const WRITE_ERROR: Sense = [3, 0x0c, 0];
export const INVALID_COMMAND: Sense = [5, 0x20, 0];
export const OUT_OF_RANGE: Sense = [5, 0x21, 0];
export const INVALID_FIELD: Sense = [5, 0x24, 0];
const NO_UNIT: Sense = [5, 0x25, 0];

const REQUEST_SENSE = 0x03;
const INQUIRY = 0x12;

/** What a command comes to. `move`: between the disk and the guest. */
export type ScsiWork =
  | { kind: 'done' | 'flush' }
  | { kind: 'failed'; sense: Sense }
  | { kind: 'reply'; data: Uint8Array }
  | { kind: 'move'; write: boolean; offset: number; bytes: number; durable: boolean };

export const DONE: ScsiWork = { kind: 'done' };

/** An answer, cut to the allocation length of the command. */
export const answered = (data: Uint8Array, allocation: number): ScsiWork => ({ kind: 'reply', data: data.slice(0, allocation) });

/** A unit with number 0: the sense of its last command, and what it wants to tell before the next one. */
export abstract class ScsiUnit {
  protected sense: Sense = NO_SENSE;
  protected attention: Sense | undefined;
  protected readonly log: Logger;
  /** Commands that a waiting unit attention lets through, besides REQUEST SENSE and INQUIRY (SPC-4 section 5.14). */
  protected abstract readonly attentionExempt: ReadonlySet<number>;

  constructor(log: Logger) {
    this.log = log;
  }

  /** `unit`: logical unit number; `cdb` has 12 bytes or more, filled with zeros behind the command. */
  begin(unit: number, cdb: Uint8Array): ScsiWork {
    const code = cdb[0]!;
    if (unit !== 0 && code !== INQUIRY && code !== REQUEST_SENSE) return this.failed(NO_UNIT);
    if (code === REQUEST_SENSE) return answered(this.takeSense(), cdb[4]!);
    if (this.attention && code !== INQUIRY && !this.attentionExempt.has(code)) {
      const sense = this.attention;
      this.attention = undefined;
      return this.failed(sense);
    }
    this.sense = NO_SENSE;
    const work = this.command(code, cdb, new DataView(cdb.buffer, cdb.byteOffset, cdb.length));
    if (work) return work;
    this.log.guest(`SCSI command 0x${code.toString(16)} is not supported`);
    return this.failed(INVALID_COMMAND);
  }

  /** Any command but REQUEST SENSE; undefined for one that is not known. */
  protected abstract command(code: number, cdb: Uint8Array, view: DataView): ScsiWork | undefined;

  /** The host could not do what a command asked for. */
  failed(sense: Sense): ScsiWork {
    this.sense = sense;
    return { kind: 'failed', sense };
  }

  reset(): void {
    this.sense = NO_SENSE;
    this.attention = undefined;
  }

  fields(): { [key: string]: StateValue } {
    return { sense: [...this.sense], attention: [...(this.attention ?? [])] };
  }

  restoreFields(state: StateReader): void {
    this.sense = senseOf(state.numbers('sense', 3));
    const attention = state.numbers('attention', 3);
    this.attention = attention.length ? senseOf(attention) : undefined;
  }

  save(): DeviceState {
    return { version: 1, ...this.fields() };
  }

  restore(state: DeviceState): void {
    this.restoreFields(StateReader.open(state, 'SCSI unit', 1));
  }

  /** Fixed format, which is forgotten with it (SPC-4 section 4.5.3); a unit attention that waits comes first (section 5.14). */
  private takeSense(): Uint8Array {
    const [key, asc, ascq] = this.attention ?? this.sense;
    this.attention = undefined;
    this.sense = NO_SENSE;
    return Uint8Array.from([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0]);
  }
}

const senseOf = ([key = 0, asc = 0, ascq = 0]: readonly number[]): Sense => [key & 0xf, asc & 0xff, ascq & 0xff];
