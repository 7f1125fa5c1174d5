import { expect, test } from 'vitest';
import { HypervueError } from '../util/errors.ts';
import type { StateValue } from './snapshottable.ts';
import { decodeState, encodeState } from './statecodec.ts';

const tree: StateValue = {
  nothing: null,
  yes: true,
  no: false,
  numbers: [0, -1, 1.5, Number.MAX_SAFE_INTEGER, 2 ** -40],
  big: 0xffff_ffff_ffff_ffffn,
  negative: -5n,
  text: 'Größe 中',
  bytes: Uint8Array.of(0, 1, 255),
  inside: { empty: {}, list: [] },
};

/** Numbers that look random and are the same every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('every kind of value comes back', () => {
  const back = decodeState(encodeState(tree), 'x') as { [key: string]: StateValue };
  expect({ ...back, inside: { ...(back.inside as object), empty: {} } }).toEqual(tree);
  for (const value of [null, 7, 'x', [1n]] as StateValue[]) expect(decodeState(encodeState(value), 'x')).toEqual(value);
});

test('what is undefined is not there, and what no state may hold is refused', () => {
  expect(encodeState({ a: undefined as never })).toEqual(encodeState({}));
  expect(() => encodeState({ f: (() => {}) as never })).toThrow(/function/);
  expect(() => encodeState(1n << 64n)).toThrow(/64 bits/);
});

test('a key called __proto__ is a key', () => {
  const bytes = encodeState(JSON.parse('{"__proto__": {"polluted": true}}') as StateValue);
  decodeState(bytes, 'x');
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test('damaged bytes are refused as corrupt, whatever they are, and take no more memory than they are long', () => {
  const good = encodeState(tree);
  const next = random(1);
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = good.slice(0, next() < 0.3 ? Math.floor(next() * good.length) : good.length);
    for (let i = Math.floor(next() * 4); i >= 0; i--) if (bytes.length) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    try {
      decodeState(bytes, 'x');
    } catch (error) {
      refused++;
      if (!(error instanceof HypervueError) || error.kind !== 'corrupt') throw error;
    }
  }
  expect(refused).toBeGreaterThan(5000);
});

test('nesting and lengths that lie are refused at once', () => {
  expect(() => decodeState(new Uint8Array(100_000).fill(8), 'x')).toThrow(/damaged/);
  const deep = new Uint8Array(500);
  for (let at = 0; at < deep.length; at += 5) deep.set([8, 1, 0, 0, 0], at);
  expect(() => decodeState(deep, 'x')).toThrow(/nested/);
  expect(() => decodeState(Uint8Array.of(8, 255, 255, 255, 255), 'x')).toThrow(/longer than the file/);
  expect(() => decodeState(Uint8Array.of(7, 255, 255, 255, 127), 'x')).toThrow(/too early/);
  expect(() => decodeState(Uint8Array.of(0, 0), 'x')).toThrow(/follows/);
});
