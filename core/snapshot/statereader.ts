import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { DeviceState, StateValue } from './snapshottable.ts';

/** Takes named fields out of a saved state; a missing field or one of another type is 'corrupt', an unknown version 'unsupported'. */
export class StateReader {
  private readonly fields: { [key: string]: StateValue };
  private readonly owner: string;

  constructor(fields: { [key: string]: StateValue }, owner: string) {
    this.fields = fields;
    this.owner = owner;
  }

  /** Opens a device's state and checks its version. */
  static open(state: DeviceState, owner: string, version: number): StateReader {
    if (state?.version !== version)
      throw new HypervueError('unsupported', say('stateVersion', { owner, version: String(state?.version), expected: version }), {
        object: owner,
      });
    return new StateReader(state, owner);
  }

  /** A finite number in `min..max`. */
  number(key: string, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): number {
    const value = this.fields[key];
    if (typeof value !== 'number' || !(value >= min && value <= max)) this.corrupt(key);
    return value;
  }

  /** A 64-bit unsigned value. */
  u64(key: string): bigint {
    const value = this.fields[key];
    if (typeof value !== 'bigint' || value !== BigInt.asUintN(64, value)) this.corrupt(key);
    return value;
  }

  byte(key: string): number {
    return this.number(key, 0, 0xff) & 0xff;
  }

  boolean(key: string): boolean {
    const value = this.fields[key];
    if (typeof value !== 'boolean') this.corrupt(key);
    return value;
  }

  string(key: string): string {
    const value = this.fields[key];
    if (typeof value !== 'string') this.corrupt(key);
    return value;
  }

  /** A string, or undefined where null was saved. */
  optionalString(key: string): string | undefined {
    return this.fields[key] === null ? undefined : this.string(key);
  }

  /** A number, or undefined where null was saved. */
  optionalNumber(key: string): number | undefined {
    return this.fields[key] === null ? undefined : this.number(key);
  }

  /** A copy of a byte array; `length` fixes its size. */
  bytes(key: string, length?: number): Uint8Array {
    const value = this.fields[key];
    if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) this.corrupt(key);
    return value.slice();
  }

  /** A copy of a list of numbers, at most `maxLength` long. */
  numbers(key: string, maxLength: number): number[] {
    const value = this.fields[key];
    if (!Array.isArray(value) || value.length > maxLength) this.corrupt(key);
    return value.map((item) => (typeof item === 'number' ? item : this.corrupt(key)));
  }

  /** A list of pairs of numbers, at most `maxLength` long. */
  pairs(key: string, maxLength: number): [number, number][] {
    const value = this.fields[key];
    if (!Array.isArray(value) || value.length > maxLength) this.corrupt(key);
    return value.map((item) => {
      const [first, second] = Array.isArray(item) ? item : [];
      return typeof first === 'number' && typeof second === 'number' ? [first, second] : this.corrupt(key);
    });
  }

  object(key: string): StateReader {
    const value = this.fields[key];
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) this.corrupt(key);
    return new StateReader(value, `${this.owner}.${key}`);
  }

  /** A list of exactly `length` objects. */
  objects(key: string, length: number): StateReader[] {
    const value = this.fields[key];
    if (!Array.isArray(value) || value.length !== length) this.corrupt(key);
    return value.map((_, index) => new StateReader({ item: value[index]! }, `${this.owner}.${key}`).object('item'));
  }

  /** A list of at most `maxLength` objects. */
  list(key: string, maxLength: number): StateReader[] {
    const value = this.fields[key];
    if (!Array.isArray(value) || value.length > maxLength) this.corrupt(key);
    return this.objects(key, value.length);
  }

  /** The whole state of a device inside another one's. */
  state(key: string): DeviceState {
    this.object(key).number('version');
    return this.fields[key] as DeviceState;
  }

  private corrupt(key: string): never {
    throw new HypervueError('corrupt', say('stateField', { owner: this.owner, field: key }), { object: this.owner });
  }
}
