import { expect, test } from 'vitest';
import { BROADCAST, writeMac } from './ethernet.ts';
import { VirtualSwitch } from './switch.ts';

function rig() {
  const time = { now: 0 };
  const ethernet = new VirtualSwitch(() => time.now);
  const got: string[] = [];
  const port = (name: string) => {
    const one = { send: () => void got.push(name) };
    ethernet.plug(one);
    return one;
  };
  const send = (from: { send(): void }, source: number, destination: number) => {
    got.length = 0;
    const frame = new Uint8Array(60);
    writeMac(frame, 0, destination);
    writeMac(frame, 6, source);
    ethernet.receive(from, frame);
    return got.join('');
  };
  return { time, ethernet, port, send };
}

test('frames go to everybody until their station is known, then only there, and follow it to another port', () => {
  const { port, send, time, ethernet } = rig();
  const [a, b, c] = [port('a'), port('b'), port('c')];
  expect(send(a, 2, 4)).toBe('bc');
  expect(send(b, 4, 2)).toBe('a');
  expect(send(a, 2, 4)).toBe('b');
  expect(send(a, 2, BROADCAST)).toBe('bc');
  // Groups of bridges end here, and a group sends nothing.
  expect(send(a, 2, 0x0180_c200_0000)).toBe('');
  expect(send(a, 0x0100_0000_0001, 4)).toBe('');
  // To where it came from: nowhere.
  expect(send(b, 6, 4)).toBe('');
  expect(send(c, 4, 2)).toBe('a');
  expect(send(a, 2, 4)).toBe('c');
  time.now = 400_000;
  expect(send(a, 2, 4)).toBe('bc');
  ethernet.unplug(c);
  expect(send(a, 2, 4)).toBe('b');
  expect(send(c, 4, 2)).toBe('');
});

test('a machine that invents stations fills only its own share, and old ones make room', () => {
  const { port, send, time } = rig();
  const [a, b] = [port('a'), port('b')];
  port('c');
  for (let mac = 2; mac < 20_000; mac += 2) send(a, mac, BROADCAST);
  send(b, 0x5254_0000_0001, BROADCAST);
  expect(send(a, 2, 0x5254_0000_0001)).toBe('b');
  // The last ones found no room.
  expect(send(b, 0x5254_0000_0001, 19_998)).toBe('ac');
  time.now = 400_000;
  send(a, 19_998, BROADCAST);
  expect(send(b, 0x5254_0000_0001, 19_998)).toBe('a');
});
