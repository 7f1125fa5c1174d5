import { expect, test } from 'vitest';
import { writeMac } from './ethernet.ts';
import { Onlooker } from './onlooker.ts';

const MACHINE = 0x5254_0000_0001;

/** An ARP request of `mac` from `address`. */
function arp(mac: number, address: number[], sender = mac): Uint8Array {
  const frame = new Uint8Array(60);
  frame.fill(0xff, 0, 6);
  writeMac(frame, 6, mac);
  frame.set([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], 12);
  writeMac(frame, 22, sender);
  frame.set(address, 28);
  return frame;
}

test('addresses of machines are seen, those of others, of nobody and of groups are not', () => {
  let changes = 0;
  const onlooker = new Onlooker(
    () => 0,
    (mac) => mac === MACHINE,
    () => changes++,
  );
  for (const frame of [
    arp(MACHINE, [0, 0, 0, 0]),
    arp(MACHINE, [224, 0, 0, 1]),
    arp(MACHINE + 1, [10, 0, 0, 1]),
    arp(MACHINE + 1, [10, 0, 0, 1], MACHINE),
    arp(MACHINE, [10, 0, 0, 1]).subarray(0, 30),
    new Uint8Array(3),
  ])
    onlooker.send(frame);
  expect(onlooker.addresses()).toEqual([]);
  onlooker.send(arp(MACHINE, [10, 0, 0, 7]));
  onlooker.send(arp(MACHINE, [10, 0, 0, 7]));
  expect([onlooker.addresses(), changes]).toEqual([[{ mac: '52:54:00:00:00:01', address: '10.0.0.7' }], 1]);
  onlooker.send(arp(MACHINE, [10, 0, 0, 8]));
  expect(onlooker.addresses()).toMatchObject([{ address: '10.0.0.8' }]);
});
