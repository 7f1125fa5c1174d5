import { expect, test } from 'vitest';
import { MAX_FRAME_BYTES } from '../backend/packet.ts';
import { frameRecord, messageRecord, type WireMessage, WireError, WireReader } from './wire.ts';

function reader() {
  const frames: Uint8Array[] = [];
  const messages: WireMessage[] = [];
  const wire = new WireReader({ frame: (frame) => frames.push(frame.slice()), message: (message) => messages.push(message) });
  return { wire, frames, messages };
}

const frameOf = (length: number, seed: number) => Uint8Array.from({ length }, (_, at) => (at * 7 + seed) & 0xff);
const raw = (length: number, type: number, payload: Uint8Array = new Uint8Array(0)) =>
  Uint8Array.of(length & 0xff, (length >>> 8) & 0xff, (length >>> 16) & 0xff, length >>> 24, type, ...payload);
const json = (value: unknown) => {
  const payload = new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
  return raw(payload.length + 1, 1, payload);
};

test('frames and messages come out as they went in, however the bytes are cut', () => {
  const sent = [frameOf(14, 1), frameOf(1514, 2), frameOf(MAX_FRAME_BYTES, 3), frameOf(60, 4)];
  const hello: WireMessage = { type: 'hello', vm: 'a', card: 'net0', mac: '52:54:00:00:00:01', long: true };
  const stream = Buffer.concat([messageRecord(hello), ...sent.map(frameRecord), messageRecord({ type: 'ready' })]);
  for (const step of [1, 3, 5, 1000, 4096, 65_536, stream.length]) {
    const { wire, frames, messages } = reader();
    for (let at = 0; at < stream.length; at += step) wire.push(stream.subarray(at, at + step));
    expect(messages).toEqual([hello, { type: 'ready' }]);
    expect(frames.map((frame) => Buffer.from(frame).equals(Buffer.from(sent[frames.indexOf(frame)]!)))).toEqual([true, true, true, true]);
  }
});

test('what is too short, too long or of no type is refused before anything is kept for it', () => {
  for (const bytes of [
    raw(0, 0),
    raw(14, 0),
    raw(MAX_FRAME_BYTES + 2, 0),
    raw(0xffff_ffff, 0),
    raw(0xffff_ffff, 1),
    raw(65_538, 1),
    raw(20, 2),
  ])
    expect(() => reader().wire.push(bytes)).toThrow(WireError);
  expect(() => frameRecord(new Uint8Array(13))).toThrow(RangeError);
  expect(() => frameRecord(new Uint8Array(MAX_FRAME_BYTES + 1))).toThrow(RangeError);
});

test('a message has to be what it says; one of a later version is let be', () => {
  for (const value of [
    '{',
    '[1]',
    'null',
    '5',
    { type: 'hello' },
    { type: 'hello', vm: 'x'.repeat(65), card: 'net0', mac: '' },
    { type: 'refused' },
  ])
    expect(() => reader().wire.push(json(value)), JSON.stringify(value)).toThrow(WireError);
  expect(() => reader().wire.push(raw(4, 1, Uint8Array.of(0x22, 0xff, 0x22)))).toThrow(WireError);
  const { wire, messages } = reader();
  wire.push(json({ type: 'later', x: 1 }));
  wire.push(json({ type: 'refused', message: 'no' }));
  expect(messages).toEqual([{ type: 'refused', message: 'no' }]);
});
