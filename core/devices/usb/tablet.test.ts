import { beforeEach, expect, it } from 'vitest';
import { ScatterList } from '../../bus/scatterlist.ts';
import { Bench } from '../testing/bench.ts';
import { UsbTablet } from './tablet.ts';

let bench: Bench;
let tablet: UsbTablet;
const heard: boolean[] = [];
beforeEach(() => {
  bench = new Bench();
  tablet = new UsbTablet(bench.clock);
  heard.length = 0;
  tablet.listeningChanged.on((listening) => heard.push(listening));
});

const control = (setup: readonly number[]) => {
  let answer: [string, number] | undefined;
  tablet.submit(
    { endpoint: 0, setup: Uint8Array.from(setup), data: new ScatterList(bench.memory, [{ gpa: 0, length: 256 }]) },
    (...ended) => {
      answer = ended;
    },
  );
  const bytes = new Uint8Array(answer![0] === 'ok' ? answer![1] : 0);
  bench.memory.read(0, bytes);
  return { status: answer![0], bytes };
};
const configure = () => control([0, 9, 1, 0, 0, 0, 0, 0]);
/** A report, or undefined as long as there is none. */
const ask = () => {
  const seen: { report?: number[] } = {};
  tablet.submit({ endpoint: 0x81, data: new ScatterList(bench.memory, [{ gpa: 0x1000, length: 8 }]) }, (_, moved) => {
    const bytes = new Uint8Array(moved);
    bench.memory.read(0x1000, bytes);
    seen.report = [...bytes];
  });
  return seen;
};

it('describes a report of six bytes', () => {
  const { bytes } = control([0x81, 6, 0, 0x22, 0, 0, 255, 0]);
  // Input items: count and size before each (HID 1.11, section 6.2.2).
  let [count, size, bits] = [0, 0, 0];
  for (let at = 0; at < bytes.length; at += 1 + [0, 1, 2, 4][bytes[at]! & 3]!) {
    if ((bytes[at]! & 0xfc) === 0x74) size = bytes[at + 1]!;
    if ((bytes[at]! & 0xfc) === 0x94) count = bytes[at + 1]!;
    if ((bytes[at]! & 0xfc) === 0x80) bits += count * size;
  }
  expect(bits).toBe(48);
  const whole = control([0x80, 6, 0, 2, 0, 0, 255, 0]).bytes;
  expect(whole[2]).toBe(whole.length);
  expect(whole.at(18 + 7)).toBe(bytes.length);
});

it('listens from when it is asked for a report until that is taken back', () => {
  expect(ask().report).toEqual([]);
  configure();
  tablet.moveTo(1, 1, 0, 1);
  const first = ask();
  expect([first.report, heard]).toEqual([undefined, [true]]);
  tablet.moveTo(0x7fff, 0, -1, 5);
  // Guest memory stays as it is until the machine runs on.
  expect(first.report).toBeUndefined();
  bench.clock.advance(0);
  expect(first.report).toEqual([5, 0xff, 0x7f, 0, 0, 1]);
  expect(tablet.listening).toBe(true);
  ask();
  tablet.cancel(0x81);
  expect([tablet.listening, heard]).toEqual([false, [true, false]]);
});

it('movements that nobody asked for yet become one; clicks and turns of the wheel stay', () => {
  configure();
  ask();
  for (let x = 0; x < 100; x++) tablet.moveTo(x, x, 0, 0);
  tablet.moveTo(5, 6, 0, 1);
  tablet.moveTo(7, 8, 0, 1);
  tablet.moveTo(7, 8, 0, 0);
  tablet.moveTo(7, 8, 1, 0);
  tablet.moveTo(7, 8, 1, 0);
  const reports = Array.from({ length: 6 }, () => ask().report);
  expect(reports).toEqual([
    [0, 99, 0, 99, 0, 0],
    [1, 7, 0, 8, 0, 0],
    [0, 7, 0, 8, 0, 0],
    [0, 7, 0, 8, 0, 0xff],
    [0, 7, 0, 8, 0, 0xff],
    undefined,
  ]);
});

it('has no end of clicks in its queue, and the last one is the truth', () => {
  configure();
  ask();
  for (let i = 0; i < 1001; i++) tablet.moveTo(i, 0, 0, i & 1);
  let last: number[] = [];
  for (let next = ask().report; next; next = ask().report) last = next;
  expect(last).toEqual([0, 1000 & 0xff, 1000 >> 8, 0, 0, 0]);
});
