/**
 * Saved state as bytes: a tree of named values (StateValue). Format, all little-endian; a value is a tag byte and what follows it:
 *   0 null, 1 false, 2 true
 *   3 number: f64
 *   4 bigint: u64, 5 negative bigint: u64 of its absolute value
 *   6 string: u32 bytes, UTF-8;  7 bytes: u32 length
 *   8 list: u32 count, values;   9 object: u32 count, then string (without tag) and value, each
 * What is read is hostile: nothing is allocated that the input does not hold, and nesting is bounded.
 */
import type { SaidKey } from '../contract/saidtexts.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { StateValue } from './snapshottable.ts';

const [NULL, FALSE, TRUE, NUMBER, BIGINT, NEGATIVE, STRING, BYTES, LIST, OBJECT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
/** Deeper than any device nests. */
const MAX_DEPTH = 32;
/** Values in one tree; devices have some thousands. */
const MAX_VALUES = 1_000_000;
const U64_LIMIT = 1n << 64n;

class ByteSink {
  private bytes = new Uint8Array(65536);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  u8(value: number): void {
    this.room(1);
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  f64(value: number): void {
    this.room(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  u64(value: bigint): void {
    this.room(8);
    this.view.setBigUint64(this.length, value, true);
    this.length += 8;
  }

  put(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  private room(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}

/** The bytes of a tree. Throws 'internal' for a value that no state may hold: that is a device's mistake. */
export function encodeState(value: StateValue): Uint8Array<ArrayBuffer> {
  const sink = new ByteSink();
  const text = new TextEncoder();
  const write = (item: StateValue, depth: number): void => {
    if (depth > MAX_DEPTH) throw new HypervueError('internal', 'a saved state is nested too deeply');
    if (item === null) sink.u8(NULL);
    else if (item === false) sink.u8(FALSE);
    else if (item === true) sink.u8(TRUE);
    else if (typeof item === 'number') {
      sink.u8(NUMBER);
      sink.f64(item);
    } else if (typeof item === 'bigint') {
      const size = item < 0n ? -item : item;
      if (size >= U64_LIMIT) throw new HypervueError('internal', 'a saved state holds a number of more than 64 bits');
      sink.u8(item < 0n ? NEGATIVE : BIGINT);
      sink.u64(size);
    } else if (typeof item === 'string') {
      sink.u8(STRING);
      sink.put(text.encode(item));
    } else if (item instanceof Uint8Array) {
      sink.u8(BYTES);
      sink.put(item);
    } else if (Array.isArray(item)) {
      sink.u8(LIST);
      sink.u32(item.length);
      for (const one of item) write(one, depth + 1);
    } else if (typeof item === 'object') {
      // What is undefined is not there.
      const entries = Object.entries(item).filter(([, one]) => one !== undefined);
      sink.u8(OBJECT);
      sink.u32(entries.length);
      for (const [key, one] of entries) {
        sink.put(text.encode(key));
        write(one, depth + 1);
      }
    } else throw new HypervueError('internal', `a saved state holds a ${typeof item}`);
  };
  write(value, 0);
  return sink.finish();
}

/** Reads what `encodeState` wrote. `owner` is for messages. Throws 'corrupt' whatever the bytes are; never anything else. */
export function decodeState(bytes: Uint8Array, owner: string): StateValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true });
  let at = 0;
  let values = 0;
  const corrupt = (what: SaidKey): never => {
    throw new HypervueError('corrupt', say('stateDamaged', { file: owner, what: say(what) }), { object: owner });
  };
  const take = (length: number): number => {
    if (length > bytes.length - at) corrupt('damageEndsEarly');
    const from = at;
    at += length;
    return from;
  };
  const string = (): string => {
    const length = view.getUint32(take(4), true);
    const from = take(length);
    try {
      return text.decode(bytes.slice(from, from + length));
    } catch {
      return corrupt('stateNoUtf8');
    }
  };
  /** Each of `count` values takes `least` bytes or more. */
  const count = (least: number): number => {
    const n = view.getUint32(take(4), true);
    if (n * least > bytes.length - at) corrupt('stateListLong');
    return n;
  };
  const read = (depth: number): StateValue => {
    if (depth > MAX_DEPTH) corrupt('stateDeep');
    if (++values > MAX_VALUES) corrupt('stateMany');
    switch (bytes[take(1)]) {
      case NULL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case NUMBER:
        return view.getFloat64(take(8), true);
      case BIGINT:
        return view.getBigUint64(take(8), true);
      case NEGATIVE:
        return -view.getBigUint64(take(8), true);
      case STRING:
        return string();
      case BYTES: {
        const length = view.getUint32(take(4), true);
        const from = take(length);
        return bytes.slice(from, from + length);
      }
      case LIST: {
        const list: StateValue[] = [];
        for (let left = count(1); left > 0; left--) list.push(read(depth + 1));
        return list;
      }
      case OBJECT: {
        const object: { [key: string]: StateValue } = Object.create(null);
        for (let left = count(5); left > 0; left--) {
          const key = string();
          object[key] = read(depth + 1);
        }
        return object;
      }
      default:
        return corrupt('stateValueType');
    }
  };
  const value = read(0);
  if (at !== bytes.length) corrupt('damageAfterEnd');
  return value;
}
